# SPDX-License-Identifier: Apache-2.0
"""Photos that show what most photos don't, a closed eye or a mouth that is wide open, by their landmarks.

One photo in ten shows either. Drawn no more often than the others, they teach a network to answer open eyes and closed
mouths to everything.
"""

import itertools
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from numpy.typing import NDArray

from facefactor.data.epochs import fresh_processes
from facefactor.data.photo_sample import estimate_yaw_deg
from facefactor.data.photographs import PhotoCorpus
from facefactor.photo.landmarks import OPENINGS

CLOSED_EYES, CLOSED_EYE = 0.11, 0.06
"""Opening over width below which both eyes, or one of them, are closed; open eyes have 0.2 to 0.3, narrow ones 0.12."""
OPEN_MOUTH = 0.3
"""The same of a mouth that is wide open."""
PORTION = 1000
"""Photos that a process reads at a time."""
MOST_YAW_DEG = 35.0
"""The far eye of a head that is turned further is a guess."""


def rare_expressions(photos: PhotoCorpus, numbers: Sequence[int], workers: int = 0) -> tuple[int, ...]:
    """Those of some photos that show a closed eye or an open mouth; reads the landmarks of all of them.

    Args:
        photos: the corpus.
        numbers: of the photos in it.
        workers: processes that read them; 0 reads them here, a millisecond each.
    """
    portions = [numbers[first : first + PORTION] for first in range(0, len(numbers), PORTION)]
    if not workers or len(portions) < 2:
        return _rare_among(photos, numbers)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(fresh_processes())) as pool:
        return tuple(itertools.chain.from_iterable(pool.map(_rare_among, itertools.repeat(photos), portions)))


def _rare_among(photos: PhotoCorpus, numbers: Sequence[int]) -> tuple[int, ...]:
    return tuple(number for number in numbers if is_rare(photos.landmarks_px(number)))


def is_rare(landmarks_px: NDArray[np.floating]) -> bool:
    """Whether (478, 2) landmarks are of a face with a closed eye or a wide open mouth."""
    if abs(estimate_yaw_deg(landmarks_px)) > MOST_YAW_DEG:
        return False
    openings = {part: opening(landmarks_px, upper, lower) for part, (upper, lower) in OPENINGS.items()}
    eyes, mouth = (openings["left_eye"], openings["right_eye"]), openings["mouth"]
    return max(eyes) < CLOSED_EYES or min(eyes) < CLOSED_EYE or mouth > OPEN_MOUTH


def opening(landmarks_px: NDArray[np.floating], upper: Sequence[int], lower: Sequence[int]) -> float:
    """How far two edges that meet at their ends are apart, over the distance of these."""
    gaps = np.linalg.norm(landmarks_px[list(upper[1:-1])] - landmarks_px[list(lower[1:-1])], axis=1)
    width = np.linalg.norm(landmarks_px[upper[0]] - landmarks_px[upper[-1]])
    return float(gaps.mean() / max(width, 1e-6))

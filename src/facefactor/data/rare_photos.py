# SPDX-License-Identifier: Apache-2.0
"""Photos that show what most photos don't, a closed eye or a mouth that is wide open, by their landmarks.

One photo in thirty shows closed eyes, one in forty a wide open mouth, one in a hundred a wink. Drawn no more often than
the others, they teach a network to answer open eyes and closed mouths to everything, and the same to both eyes.
"""

import itertools
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from facefactor.data.epochs import fresh_processes
from facefactor.data.photo_sample import estimate_yaw_deg
from facefactor.data.photographs import PhotoCorpus
from facefactor.photo.landmarks import OPENINGS

CLOSED_EYES, CLOSED_EYE, OTHER_EYE = 0.11, 0.08, 0.12
"""Opening over width below which both eyes, or one of them, are closed, and above which the other one is not; open eyes
have 0.2 to 0.3, narrow ones 0.12."""
OPEN_MOUTH = 0.3
"""The same of a mouth that is wide open."""
PORTION = 1000
"""Photos that a process reads at a time."""
MOST_YAW_DEG = 35.0
"""The far eye of a head that is turned further is a guess."""


class Rarity(Enum):
    """What a rare photo shows."""

    WINK = "one eye closed"
    CLOSED = "both eyes closed"
    OPEN_MOUTH = "the mouth wide open"


@dataclass(frozen=True)
class RareRepeats:
    """How often more than others a photo is drawn that shows something rare."""

    wink: int = 30
    closed: int = 15
    open_mouth: int = 5

    def __post_init__(self) -> None:
        if min(self.wink, self.closed, self.open_mouth) < 0:
            raise ValueError(f"repeats must be at least 0, got {self.wink}, {self.closed} and {self.open_mouth}")

    @property
    def are_any(self) -> bool:
        """Whether anything is repeated at all."""
        return any((self.wink, self.closed, self.open_mouth))

    def of(self, rare: Mapping[Rarity, Sequence[int]]) -> tuple[int, ...]:
        """The numbers of rare photos, each as often as it is drawn beside the first time."""
        times = {Rarity.WINK: self.wink, Rarity.CLOSED: self.closed, Rarity.OPEN_MOUTH: self.open_mouth}
        return tuple(number for kind, numbers in rare.items() for number in times[kind] * tuple(numbers))


def rare_expressions(photos: PhotoCorpus, numbers: Sequence[int], workers: int = 0) -> dict[Rarity, tuple[int, ...]]:
    """Those of some photos that show each of them; reads the landmarks of all photos.

    Args:
        photos: the corpus.
        numbers: of the photos in it.
        workers: processes that read them; 0 reads them here, a millisecond each.
    """
    portions = [numbers[first : first + PORTION] for first in range(0, len(numbers), PORTION)]
    if not workers or len(portions) < 2:
        found = _rarities(photos, numbers)
    else:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(fresh_processes())) as pool:
            found = list(itertools.chain.from_iterable(pool.map(_rarities, itertools.repeat(photos), portions)))
    return by_rarity(numbers, found)


def by_rarity(numbers: Sequence[int], found: Sequence[Rarity | None]) -> dict[Rarity, tuple[int, ...]]:
    """Sort numbers by what was found of each."""
    each = list(zip(numbers, found, strict=True))
    return {kind: tuple(number for number, rarity in each if rarity is kind) for kind in Rarity}


def _rarities(photos: PhotoCorpus, numbers: Sequence[int]) -> list[Rarity | None]:
    return [rarity_of(photos.landmarks_px(number)) for number in numbers]


def rarity_of(landmarks_px: NDArray[np.floating]) -> Rarity | None:
    """What is rare about the face of (478, 2) landmarks; None where nothing is."""
    if abs(estimate_yaw_deg(landmarks_px)) > MOST_YAW_DEG:
        return None
    openings = {part: opening(landmarks_px, upper, lower) for part, (upper, lower) in OPENINGS.items()}
    eyes = openings["left_eye"], openings["right_eye"]
    if max(eyes) < CLOSED_EYES:
        return Rarity.CLOSED
    if min(eyes) < CLOSED_EYE and max(eyes) > OTHER_EYE:
        return Rarity.WINK
    return Rarity.OPEN_MOUTH if openings["mouth"] > OPEN_MOUTH else None


def opening(landmarks_px: NDArray[np.floating], upper: Sequence[int], lower: Sequence[int]) -> float:
    """How far two edges that meet at their ends are apart, over the distance of these."""
    gaps = np.linalg.norm(landmarks_px[list(upper[1:-1])] - landmarks_px[list(lower[1:-1])], axis=1)
    width = np.linalg.norm(landmarks_px[upper[0]] - landmarks_px[upper[-1]])
    return float(gaps.mean() / max(width, 1e-6))

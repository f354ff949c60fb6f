# SPDX-License-Identifier: Apache-2.0
"""Who is who in a clip, and one identity for each: shape and reflectance with their corrections.

A track's identity is the geometric median of its frames' answers, weighted by confidence: frames that are blurred,
turned away or half covered do not move it. Tracks are one person when their identities agree; tracks that overlap in
time are not. A face that is lost for a moment and found at the same place is the same person in any case.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.photo.crop import crop_to_photo, similarity_scale
from facefactor.video.rows import SeenFaces, runs_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

IDENTITY_PARTS = ("shape", "reflectance", "geometry_corrective", "reflectance_corrective")
SAME_PERSON = 6.0
"""Largest distance of the identities of two tracks of one person, `identity_distance`."""
MOMENT_SECONDS = 0.6
"""A face that is found again after no more, at its place, is the same person."""
MOVED_CROPS = 0.25
"""How far it may have moved meanwhile, in widths of its crop."""
MOST_ROWS = 400
"""Rows of a track that its median is taken over, spread evenly."""
ROUNDS = 25
"""Of Weiszfeld's iteration."""


def assign_people(seen: SeenFaces) -> Int[np.ndarray, " rows"]:
    """Number the people, from zero in the order in which they appear; the number of each row."""
    people = np.full(len(seen.tracks), -1)
    for run in sorted(runs_of(seen.tracks), key=lambda run: (seen.times_s[run[0]], run[0])):
        others = range(people.max() + 1)
        distances = [_distance(seen, run, np.flatnonzero(people == person)) for person in others]
        nearest = int(np.argmin(distances)) if distances else -1
        people[run] = nearest if distances and distances[nearest] <= SAME_PERSON else len(others)
    return people


def share_identity(seen: SeenFaces, people: Int[np.ndarray, " rows"]) -> FaceCode[np.ndarray]:
    """The codes with one identity for each person, all else as it was answered."""
    shared = {}
    for name in IDENTITY_PARTS:
        answered = getattr(seen.code, name)
        shared[name] = np.empty_like(answered)
        for person in np.unique(people):
            rows = np.flatnonzero(people == person)
            shared[name][rows] = _median(answered, seen.confidence, rows)
    return replace(seen.code, **shared)


def identity_distance(seen: SeenFaces, first: Int[np.ndarray, " some"], second: Int[np.ndarray, " others"]) -> float:
    """How far the identities of two groups of rows are apart: root of the summed squares, base coefficients only.

    They are standard deviations of the prior; the corrections say more about light than about people.
    """
    parts = (seen.code.shape, seen.code.reflectance)
    pairs = ((_median(part, seen.confidence, rows) for rows in (first, second)) for part in parts)
    return float(np.sqrt(sum(((one - other) ** 2).sum() for one, other in pairs)))


def geometric_median(values: Float[np.ndarray, "rows coeffs"], weights: Float[np.ndarray, " rows"]) -> np.ndarray:
    """The point whose weighted distances to the rows sum to the least (Weiszfeld's iteration): (coeffs,)."""
    weights = np.maximum(weights, 1e-6)
    point = np.average(values, axis=0, weights=weights)
    for _ in range(ROUNDS):
        pulls = weights / np.maximum(np.linalg.norm(values - point, axis=1), 1e-6)
        point = np.average(values, axis=0, weights=pulls)
    return point


def _median(values: np.ndarray, confidence: np.ndarray, rows: np.ndarray) -> np.ndarray:
    some = rows[:: max(1, len(rows) // MOST_ROWS)]
    return geometric_median(values[some].astype(np.float64), confidence[some])


def _distance(seen: SeenFaces, run: np.ndarray, rows: np.ndarray) -> float:
    """From a new track to what is known of a person; infinite where both are in one frame."""
    if np.isin(seen.frames[run], seen.frames[rows]).any():
        return np.inf
    if _goes_on(seen, rows[-1], run[0]):
        return 0.0
    return identity_distance(seen, rows, run)


def _goes_on(seen: SeenFaces, last: int, first: int) -> bool:
    """Whether a face is found again a moment after it was lost, where it was."""
    transforms = seen.T_photo_crop[[last, first]]
    before_px, after_px = (crop_to_photo(np.full(2, ENCODER_CROP_PX / 2), T_photo_crop) for T_photo_crop in transforms)
    crop_px = ENCODER_CROP_PX * similarity_scale(transforms[0])
    is_near = bool(np.linalg.norm(after_px - before_px) < MOVED_CROPS * crop_px)
    is_soon = seen.times_s[first] - seen.times_s[last] <= MOMENT_SECONDS
    return is_near and bool(is_soon) and seen.scenes[first] == seen.scenes[last]

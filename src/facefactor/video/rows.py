# SPDX-License-Identifier: Apache-2.0
"""The faces of a clip as rows, one for each face and frame: what the steps of `video/` hand over.

    SeenFaces   what was looked at and what the encoder answered, each code in its own crop's camera
    ClipFaces   the same faces as people in the clip's one camera, by `people.py`, `camera.py` and `smoothing.py`

Rows are in the order of time. A track is one face followed without a break: no cut, no loss inside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from facefactor.code.face_code import FaceCode

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class SeenFaces:
    """What the first pass over a clip answers."""

    frames: Int[np.ndarray, " rows"]
    times_s: Float[np.ndarray, " rows"]
    scenes: Int[np.ndarray, " rows"]
    """Cuts before the frame."""
    tracks: Int[np.ndarray, " rows"]
    confidence: Float[np.ndarray, " rows"]
    """[0, 1]: mean visibility of the landmarks, low in profile and at the picture's border."""
    T_photo_crop: Float[np.ndarray, "rows 3 3"]
    """Of the encoder's crop."""
    code: FaceCode[np.ndarray]
    """A batch, each in its crop's camera."""


@dataclass(frozen=True, eq=False)
class ClipFaces:
    """People in the clip's camera."""

    frames: Int[np.ndarray, " rows"]
    times_s: Float[np.ndarray, " rows"]
    tracks: Int[np.ndarray, " rows"]
    people: Int[np.ndarray, " rows"]
    """Counted from zero in the order in which they appear."""
    K: Float[np.ndarray, "3 3"]
    """One camera for the whole clip."""
    code: FaceCode[np.ndarray]
    """A batch; rotation, translation and light in the clip's camera frame."""

    def with_code(self, code: FaceCode[np.ndarray]) -> ClipFaces:
        """The same rows with other codes."""
        return replace(self, code=code)

    def of_person(self, person: int) -> ClipFaces:
        """The rows of one person."""
        mine = self.people == person
        frames, times_s, tracks, people = (row[mine] for row in (self.frames, self.times_s, self.tracks, self.people))
        return ClipFaces(frames, times_s, tracks, people, self.K, self.code[mine])


def runs_of(tracks: Int[np.ndarray, " rows"]) -> Iterator[Int[np.ndarray, " run"]]:
    """The row numbers of each track, in the order of time."""
    for track in np.unique(tracks):
        yield np.flatnonzero(tracks == track)

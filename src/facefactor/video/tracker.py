# SPDX-License-Identifier: Apache-2.0
"""Follow faces from frame to frame without detecting them again.

    frame ─cut?─► each face: crop where it was ─landmark network─► where it is, or lost
                  detect: at the start, after a cut, when a face was lost, and now and then for newcomers

The landmarks of one frame are where the network looks in the next; its `face` probability tells when the face is gone.
A face that is found again begins a new track: who it is, is decided when the whole clip is known (`people.py`).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from facefactor.photo.detect import FaceBox, SlimeFaceDetector, show_same_face
from facefactor.photo.find import landmarks_extent
from facefactor.photo.landmarks import Landmarks
from facefactor.photo.network_landmarks import NetworkLandmarks
from facefactor.photo.read import Photo
from facefactor.video.reader import Frame

NEWCOMERS_SECONDS = 1.0
"""Between two looks for faces that come in while others are followed."""
LOST_SECONDS = 0.2
"""Between two looks when nobody is followed, or somebody was lost not long ago."""
NOT_LONG_SECONDS = 2.0
THUMBNAIL_PX = 48
"""About the larger side of the picture in which cuts are looked for."""
LEAST_CUT = 0.08
"""Mean difference of two frames' thumbnails, [0, 1], below which there is no cut between them."""
CUT_OVER_USUAL = 4.0
"""A cut differs so many times as much as the frames before it."""
USUAL_FRAMES = 12


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """One face in one frame."""

    track: int
    landmarks: Landmarks


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame with the faces that are followed in it."""

    frame: Frame
    scene: int
    """Cuts before it."""
    faces: list[TrackedFace]


class CutFinder:
    """Tells where a new scene begins: where two frames differ much, and much more than those before."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._usual: list[float] = []

    def is_cut(self, photo: Photo) -> bool:
        """Look at the next frame; the first is no cut."""
        step = max(1, max(photo.width, photo.height) // THUMBNAIL_PX)
        thumbnail = photo.srgb[step // 2 :: step, step // 2 :: step].astype(np.float32) / 255.0
        last, self._last = self._last, thumbnail
        if last is None or last.shape != thumbnail.shape:
            return False
        difference = float(np.abs(thumbnail - last).mean())
        usual = float(np.median(self._usual)) if self._usual else 0.0
        if difference > max(LEAST_CUT, CUT_OVER_USUAL * usual):
            self._usual = []
            return True
        self._usual = [*self._usual[1 - USUAL_FRAMES :], difference]
        return False


class FaceTracker:
    """Follows the faces of one clip.

    Args:
        network: finds landmarks.
        detector: finds boxes.
    """

    def __init__(self, network: NetworkLandmarks, detector: SlimeFaceDetector) -> None:
        self._network, self._detector = network, detector
        self._cuts, self._numbers = CutFinder(), itertools.count()
        self._scene, self._faces = 0, list[TrackedFace]()
        self._looked_s = self._lost_s = -np.inf

    def track(self, frames: Iterator[Frame]) -> Iterator[TrackedFrame]:
        """Follow all frames of the clip, in order."""
        for frame in frames:
            is_cut = self._cuts.is_cut(frame.photo)
            self._scene += is_cut
            before = [] if is_cut else self._faces
            self._faces = self._follow(frame.photo, before)
            is_lost = len(self._faces) < len(before)
            self._lost_s = frame.time_s if is_lost else self._lost_s
            if frame.index == 0 or is_cut:
                self._look(frame, thorough=True)
            elif is_lost or frame.time_s - self._looked_s >= self._patience_seconds(frame):
                self._look(frame)
            yield TrackedFrame(frame, self._scene, self._faces)

    def _patience_seconds(self, frame: Frame) -> float:
        is_all_well = bool(self._faces) and frame.time_s - self._lost_s > NOT_LONG_SECONDS
        return NEWCOMERS_SECONDS if is_all_well else LOST_SECONDS

    def _follow(self, photo: Photo, before: Sequence[TrackedFace]) -> list[TrackedFace]:
        """Find the faces of the frame before; of two that came to lie on each other the older is kept."""
        followed: list[TrackedFace] = []
        for face in before:
            landmarks = self._network.follow(photo, face.landmarks)
            if landmarks is not None and not _is_known(landmarks_extent(landmarks), followed):
                followed.append(TrackedFace(face.track, landmarks))
        return followed

    def _look(self, frame: Frame, thorough: bool = False) -> None:
        """Detect faces that are not followed yet; thoroughly, turned and small ones too."""
        self._looked_s = frame.time_s
        boxes = self._detector.glance(frame.photo)
        if thorough and not boxes:
            boxes = self._detector.detect(frame.photo)
        for box in boxes:
            if _is_known(box, self._faces):
                continue
            landmarks = self._network.detect(frame.photo, box)
            if landmarks is not None and not _is_known(landmarks_extent(landmarks), self._faces):
                self._faces = [*self._faces, TrackedFace(next(self._numbers), landmarks)]


def _is_known(extent: FaceBox, faces: Sequence[TrackedFace]) -> bool:
    return any(show_same_face(extent, landmarks_extent(face.landmarks)) for face in faces)

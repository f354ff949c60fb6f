# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV (the extra `video`) is not installed")

from facefactor.code.face_code import FaceCode
from facefactor.data.crops import mean_landmarks_mm
from facefactor.photo.crop import face_crop
from facefactor.photo.landmarks import Landmarks
from facefactor.photo.read import Photo
from facefactor.video.encoding import encode_faces
from facefactor.video.pipeline import PartSeconds
from facefactor.video.reader import Frame
from facefactor.video.tracker import TrackedFace, TrackedFrame


class BrightnessEncoder:
    """Answers a crop's mean as the first shape coefficient; no finite answer for black ones."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode(self, crops_srgb: np.ndarray) -> FaceCode[np.ndarray]:
        self.batches.append(len(crops_srgb))
        code = FaceCode.neutral((len(crops_srgb),))
        brightness = crops_srgb.mean(axis=(1, 2, 3))
        code.shape[:, 0] = np.where(brightness > 0, brightness, np.nan)
        return code


def face_at(x_px: float, visibility: float = 1.0) -> Landmarks:
    return Landmarks(mean_landmarks_mm()[:, :2] * (0.5, -0.5) + (x_px, 50), np.full(478, visibility))


def tracked(levels: list[int], faces: list[TrackedFace]) -> list[TrackedFrame]:
    photos = (Photo(np.full((100, 160, 3), level, np.uint8), "a frame") for level in levels)
    return [TrackedFrame(Frame(n, n, n / 25, photo), n // 30, faces) for n, photo in enumerate(photos)]


def test_each_face_of_each_frame_is_a_row_whatever_the_batches():
    faces, encoder = [TrackedFace(4, face_at(50, 0.9)), TrackedFace(7, face_at(110, 0.3))], BrightnessEncoder()
    seen = encode_faces(tracked(list(range(100, 140)), faces), encoder, PartSeconds())
    assert seen is not None
    assert encoder.batches == [32, 32, 16]
    np.testing.assert_array_equal(seen.frames, np.repeat(np.arange(40), 2))
    np.testing.assert_allclose(seen.times_s, np.repeat(np.arange(40) / 25, 2))
    np.testing.assert_array_equal(seen.tracks, np.tile([4, 7], 40))
    np.testing.assert_array_equal(seen.scenes, seen.frames // 30)
    np.testing.assert_allclose(seen.confidence, np.tile([0.9, 0.3], 40))
    np.testing.assert_allclose(seen.code.shape[:, 0], (100 + seen.frames) / 255, atol=1e-3)
    for row, face in enumerate(faces):
        np.testing.assert_array_equal(seen.T_photo_crop[row], face_crop(face.landmarks, 128))


def test_answers_that_are_not_finite_are_left_out():
    seen = encode_faces(tracked([90, 0, 90], [TrackedFace(0, face_at(80))]), BrightnessEncoder(), PartSeconds())
    assert seen is not None
    np.testing.assert_array_equal(seen.frames, [0, 2])


def test_no_face_is_no_rows():
    assert encode_faces(tracked([90, 90], []), BrightnessEncoder(), PartSeconds()) is None

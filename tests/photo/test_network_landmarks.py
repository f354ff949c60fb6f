# SPDX-License-Identifier: Apache-2.0
"""The landmark network at run time; its answers come from tiny stand-ins, or from a freshly exported network."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.data import astronaut

from facefactor.data.crops import mean_landmarks_mm, mirror_permutation
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.photo import photo_from_array
from facefactor.photo.crop import crop_image, crop_to_photo, face_crop, photo_to_crop
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import Landmarks
from facefactor.photo.network_landmarks import NetworkLandmarks
from facefactor.photo.read import Photo

if TYPE_CHECKING:
    from facefactor.encode.landmark_network import LandmarkNetwork

BOX = FaceBox(170, 60, 104, 116, 0.98)
"""The astronaut's face."""


def mean_face_px() -> np.ndarray:
    """The mean face as its own crop shows it: (478, 2)."""
    flat = mean_landmarks_mm()[:, :2] * (1, -1)
    return photo_to_crop(flat, face_crop(Landmarks(flat, np.ones(478)), 128))


@pytest.fixture(scope="module")
def network() -> "LandmarkNetwork":
    """An untrained network that answers the mean face and depends on the crop a little."""
    torch = pytest.importorskip("torch")
    from facefactor.encode.landmark_network import LandmarkNetwork

    torch.manual_seed(0)
    network = LandmarkNetwork()
    network.start_at(torch.from_numpy(mean_face_px()))
    torch.nn.init.normal_(network.points.weight, std=0.0001)
    torch.nn.init.constant_(network.face.bias, 4.0)
    return network.eval()


@pytest.fixture(scope="module")
def graph(network: "LandmarkNetwork", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, exported."""
    pytest.importorskip("onnxscript", reason="onnxscript (the extra `export`) is not installed")
    from facefactor.infer.export import export_landmark_network

    path = tmp_path_factory.mktemp("graph") / "landmarks.onnx"
    export_landmark_network(network, path, {"step": "0"})
    return path


@pytest.fixture
def photo() -> Photo:
    return photo_from_array(astronaut(), "astronaut.png")


class Scripted(NetworkLandmarks):
    """A network whose answers to one look after the other are given: T_photo_crop to points, and how sure it is."""

    def __init__(self, *looks) -> None:
        self.looks, self.crops = list(looks), []

    def answer(self, crops_srgb):
        self.crops.append(crops_srgb[0])
        points_px, face = self.looks.pop(0)
        return np.float32(points_px)[None], np.full((1, 478), 0.75, np.float32), np.float32([face])


def test_an_exported_network_finds_a_face_of_its_own(graph: Path, photo: Photo) -> None:
    network = NetworkLandmarks(graph)
    landmarks = network.detect(photo, BOX)
    assert landmarks is not None
    assert network.facts["step"] == "0"
    assert np.linalg.norm(landmarks.points_px.mean(axis=0) - BOX.centre_px) < 0.25 * BOX.width
    assert 0.6 * BOX.height < np.ptp(landmarks.points_px[:, 1]) < 1.4 * BOX.height
    np.testing.assert_allclose(landmarks.visibility, 0.5, atol=1e-3)
    again = network.detect(photo, BOX)
    np.testing.assert_array_equal(again.points_px, landmarks.points_px)


def test_the_exported_network_answers_with_the_mean_over_mirror_images(graph: Path, network: "LandmarkNetwork") -> None:
    import torch

    from facefactor.infer.export import fold

    crops = np.random.default_rng(1).random((3, 128, 128, 3), dtype=np.float32)
    with torch.no_grad():
        planes = torch.from_numpy(crops).movedim(3, 1)
        as_is, mirrored = (fold(network)(seen).points_px.numpy() for seen in (planes, planes.flip(-1)))
    expected = (as_is + (mirrored * (-1, 1) + (128, 0))[:, mirror_permutation()]) / 2
    points_px, visibility, face = NetworkLandmarks(graph).answer(crops)
    assert np.ptp(expected, axis=0).max() > 0.01  # answers differ from crop to crop
    np.testing.assert_allclose(points_px, expected, atol=1e-4)
    assert (visibility.shape, face.shape) == ((3, 478), (3,))
    np.testing.assert_allclose(face, 1 / (1 + np.exp(-4.0)), rtol=1e-5)


def test_each_look_is_the_crop_of_the_points_before(photo: Photo) -> None:
    """Points that stay where they are in the photo are found once and kept."""
    in_photo = crop_to_photo(mean_face_px(), face_crop(BOX, 128)) + np.array([4, -3])

    class Fixed(Scripted):
        def _look(self, photo, T_photo_crop):
            self.looks.append((photo_to_crop(in_photo, T_photo_crop), 0.95))
            return super()._look(photo, T_photo_crop)

    network = Fixed()
    landmarks = network.detect(photo, BOX)
    assert landmarks is not None
    np.testing.assert_allclose(landmarks.points_px, in_photo, atol=1e-3)
    np.testing.assert_array_equal(landmarks.visibility, 0.75)
    assert len(network.crops) == 3
    np.testing.assert_array_equal(network.crops[0], crop_image(photo, face_crop(BOX, 128), 128))
    upright = crop_image(photo, face_crop(Landmarks(in_photo, np.ones(478)), 128), 128)
    for crop in network.crops[1:]:
        np.testing.assert_allclose(crop, upright, atol=1e-3)
    assert np.abs(network.crops[0] - upright).max() > 0.1


def test_where_no_face_is_seen_the_crop_is_turned_before_giving_up(photo: Photo) -> None:
    blind = Scripted(*[(mean_face_px(), 0.2)] * 4)
    assert blind.detect(photo, BOX) is None
    assert len(blind.crops) == 4
    for crop, roll_deg in zip(blind.crops, (0, 180, 60, -60), strict=True):
        turned = face_crop(dataclasses.replace(BOX, roll_deg=roll_deg), 128)
        np.testing.assert_allclose(crop, crop_image(photo, turned, 128), atol=1e-3)


def test_a_face_that_is_lost_again_is_none(photo: Photo) -> None:
    seen, lost = (mean_face_px(), 0.95), (mean_face_px(), 0.1)
    assert Scripted(seen, lost, lost, lost, lost).detect(photo, BOX) is None
    assert Scripted(seen, seen, lost, lost, lost, lost).detect(photo, BOX) is None


def test_the_first_look_may_be_less_certain_than_the_others(photo: Photo) -> None:
    unsure, seen = (mean_face_px(), 0.6), (mean_face_px(), 0.95)
    assert Scripted(unsure, seen, seen).detect(photo, BOX) is not None
    assert Scripted(unsure, unsure, *[(mean_face_px(), 0.1)] * 3).detect(photo, BOX) is None


def test_looks_that_disagree_are_no_face(photo: Photo) -> None:
    here, there = mean_face_px(), mean_face_px() + np.array([12, 0])
    looks = [(here, 0.95), (there, 0.95), (there, 0.95)] * 4
    assert Scripted(*looks).detect(photo, BOX) is None


def test_points_of_another_face_are_refused(photo: Photo) -> None:
    class Elsewhere(Scripted):
        def _look(self, photo, T_photo_crop):
            self.looks.append((photo_to_crop(elsewhere, T_photo_crop), 0.95))
            return super()._look(photo, T_photo_crop)

    elsewhere = crop_to_photo(mean_face_px(), face_crop(BOX, 128)) + np.array([0.7 * BOX.width, 0])
    assert Elsewhere().detect(photo, BOX) is None


def test_following_is_one_look_where_the_face_was(photo: Photo) -> None:
    before = Landmarks(crop_to_photo(mean_face_px(), face_crop(BOX, 128)), np.ones(478))
    network = Scripted((mean_face_px() + np.array([2, 1]), 0.6))
    after = network.follow(photo, before)
    assert after is not None
    (crop,) = network.crops
    T_photo_crop = face_crop(before, 128)
    np.testing.assert_array_equal(crop, crop_image(photo, T_photo_crop, 128))
    moved_px = photo_to_crop(after.points_px, T_photo_crop) - photo_to_crop(before.points_px, T_photo_crop)
    np.testing.assert_allclose(moved_px.mean(axis=0), (2, 1), atol=0.01)


def test_a_face_is_followed_no_more_when_it_is_gone_or_leaves_the_photo(photo: Photo) -> None:
    before = Landmarks(crop_to_photo(mean_face_px(), face_crop(BOX, 128)), np.ones(478))
    assert Scripted((mean_face_px(), 0.4)).follow(photo, before) is None
    leaving = Landmarks(before.points_px - (BOX.centre_px[0] + 15, 0), np.ones(478))
    assert Scripted((mean_face_px(), 0.9)).follow(photo, leaving) is None
    arriving = Landmarks(before.points_px - (BOX.centre_px[0] - 15, 0), np.ones(478))
    assert Scripted((mean_face_px(), 0.9)).follow(photo, arriving) is not None


def test_points_outside_the_photo_are_not_visible(graph: Path) -> None:
    half = photo_from_array(astronaut()[:, 215:], "cut through the face")
    landmarks = NetworkLandmarks(graph).detect(half, FaceBox(-45, 60, 104, 116, 0.9))
    assert landmarks is not None
    outside = landmarks.points_px[:, 0] < 0
    assert outside.any()
    assert (landmarks.visibility[outside] == 0).all()
    assert (landmarks.visibility[~outside] > 0).all()


def test_a_missing_or_another_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match=r"gone\.onnx: no such file"):
        NetworkLandmarks(tmp_path / "gone.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(IncompatibleCode, match="not an ONNX graph"):
        NetworkLandmarks(tmp_path / "text.onnx")


def test_finding_landmarks_needs_neither_torch_nor_mediapipe(graph: Path) -> None:
    program = f"""
import sys
import numpy as np
from pathlib import Path
from facefactor.photo import photo_from_array
from facefactor.photo.detect import FaceBox
from facefactor.photo.network_landmarks import NetworkLandmarks
photo = photo_from_array(np.full((200, 200, 3), 90, np.uint8), "grey")
assert NetworkLandmarks(Path({str(graph)!r})).detect(photo, FaceBox(50, 50, 90, 100, 0.9)) is not None
print(sorted({{'torch', 'mediapipe', 'cv2'}} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"

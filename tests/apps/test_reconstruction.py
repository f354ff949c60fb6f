# SPDX-License-Identifier: Apache-2.0
"""What a real, if short, fit hands over: the photo's camera and light, the mesh and the pictures.

The photo is NASA's portrait of Eileen Collins (`skimage.data.astronaut`, public domain), enlarged four times. Its
transforms are known exactly, so each result is compared with the upright photo's result, transformed.
"""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut

pytest.importorskip("mediapipe", reason="mediapipe (the extra `prepare`) is not installed")
torch = pytest.importorskip("torch", reason="torch (the extra `train`) is not installed")

from facefactor.apps import cli, reconstruct  # noqa: E402
from facefactor.apps.reconstruction import Reconstruction, Reconstructor, confidence  # noqa: E402
from facefactor.camera.projection import in_plane_rotation  # noqa: E402
from facefactor.code.names import EXPRESSION_NAMES  # noqa: E402
from facefactor.export.record import FaceRecord, read_face_record  # noqa: E402
from facefactor.face.model import FaceModel, load_face_model  # noqa: E402
from facefactor.face.morph import MorphableFace  # noqa: E402
from facefactor.fit.engine import FitEngine  # noqa: E402
from facefactor.fit.objective import FitSettings  # noqa: E402
from facefactor.light.spherical_harmonics import rotate_light  # noqa: E402
from facefactor.photo.detect import FaceBox  # noqa: E402
from facefactor.photo.landmarks import IBUG_51_FROM_478  # noqa: E402
from facefactor.photo.read import read_photo  # noqa: E402

# The first torch.func.jacfwd of a process makes torch script formulas of its own, and then warn of it.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

SHORT = FitSettings(colour_steps=3, joint_steps=10)
ENLARGED = 4
ALLOWED_PX = 5.0
"""Of a face of 500 px. The way back to the photo is exact; the landmarks, found in crops of 128 px, move by half a crop
pixel when the photo turns, and the crop and the face with them."""
FACE_PX = 500
TURN_RAD = math.radians(30)
SHIFT_PX = np.array([1500.0, 500.0])


@dataclass
class Case:
    """A transformed photo's result, and where the transform takes pixels of the upright photo."""

    result: Reconstruction
    from_upright: NDArray[np.float64]
    """(2, 3) affine."""

    def moved(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        return points_px @ self.from_upright[:, :2].T + self.from_upright[:, 2]


def turned(upright: Image.Image) -> tuple[Image.Image, NDArray[np.float64]]:
    """Turn by 30° clockwise inside a larger picture."""
    cosine, sine = math.cos(TURN_RAD), math.sin(TURN_RAD)
    size = int(1.4 * upright.width)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    shift = np.full(2, size / 2) - turn @ np.full(2, upright.width / 2)
    back = np.hstack([turn.T, -(turn.T @ shift)[:, None]])
    image = upright.transform(
        (size, size), Image.Transform.AFFINE, back.ravel(), Image.Resampling.BICUBIC, fillcolor=(120, 120, 120)
    )
    return image, np.hstack([turn, shift[:, None]])


def off_centre(upright: Image.Image) -> tuple[Image.Image, NDArray[np.float64]]:
    canvas = Image.new("RGB", (2900, 1900), (90, 100, 110))
    canvas.paste(upright, tuple(SHIFT_PX.astype(int)))
    return canvas, np.hstack([np.eye(2), SHIFT_PX[:, None]])


def save_cases(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Save the photos and return how each is made of the upright one."""
    head = Image.fromarray(astronaut()[:330, 60:390])
    upright = head.resize((ENLARGED * head.width, ENLARGED * head.height), Image.Resampling.BICUBIC)
    upright.save(folder / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # a phone held upright
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "exif.png", exif=exif)
    transforms = {"upright": np.eye(2, 3), "exif": np.eye(2, 3)}
    for name, (image, transform) in {"turned": turned(upright), "off centre": off_centre(upright)}.items():
        image.save(folder / f"{name}.png")
        transforms[name] = transform
    return transforms


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def reconstructor(model) -> Reconstructor:
    return Reconstructor(model, FitEngine(model, SHORT))


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="module")
def cases(reconstructor, photos) -> dict[str, Case]:
    return {
        name: Case(reconstructor.reconstruct(read_photo(photos / f"{name}.png"))[0], transform)
        for name, transform in save_cases(photos).items()
    }


def project_record(record: FaceRecord, model: FaceModel) -> NDArray[np.float64]:
    """The vertices of a JSON in its photo's pixels (V, 2), by numpy and the formulas in `docs/conventions.md`."""
    face = MorphableFace(model)
    shape, expression = (torch.tensor(part, dtype=torch.float32)[None] for part in (record.shape, record.expression))
    x, y, z = (face.vertices(shape, expression)[0].double().numpy() @ record.camera.R.T + record.camera.t).T
    return (np.stack([x, -y, -z], axis=1) / -z[:, None] @ record.camera.K.T)[:, :2]


def read_landmarks(vertices: NDArray[np.float64], model: FaceModel) -> NDArray[np.float64]:
    """The 478 points among the vertices."""
    return (vertices[model.landmarks478_vertices] * model.landmarks478_weights[..., None]).sum(axis=1)


def face_size_px(result: Reconstruction) -> float:
    return math.sqrt(result.described.crop.found.box.area_px2)


@pytest.mark.parametrize("name", ["upright", "turned", "off centre", "exif"])
def test_the_records_vertices_land_on_the_photographed_face(cases, model, name):
    result = cases[name].result
    inner = list(IBUG_51_FROM_478)
    projected = read_landmarks(project_record(result.record, model), model)[inner]
    error_px = np.linalg.norm(projected - result.described.crop.found.landmarks.points_px[inner], axis=1)
    assert error_px.mean() < 0.01 * face_size_px(result)  # a short fit's error against the detector's points


@pytest.mark.parametrize("name", ["turned", "off centre", "exif"])
def test_the_records_vertices_and_landmarks_move_with_the_photo(cases, model, name):
    upright, case = cases["upright"].result.record, cases[name]
    allowed_px = ALLOWED_PX * face_size_px(cases["upright"].result) / FACE_PX
    face = model.regions["face"]
    expected = case.moved(project_record(upright, model)[face])
    vertex_error_px = np.linalg.norm(project_record(case.result.record, model)[face] - expected, axis=1)
    landmark_error_px = np.linalg.norm(case.result.record.landmarks_68_px - case.moved(upright.landmarks_68_px), axis=1)
    assert vertex_error_px.mean() < allowed_px
    assert landmark_error_px.mean() < allowed_px


def test_the_photos_camera_sees_what_the_crops_camera_saw(cases, model):
    """Exact but for the JSON's float64: the similarity is a change of camera and no approximation."""
    case = cases["turned"].result
    in_photo = read_landmarks(project_record(case.record, model), model)[list(IBUG_51_FROM_478)]
    error_px = np.linalg.norm(
        in_photo - case.described.crop.found.landmarks.points_px[list(IBUG_51_FROM_478)], axis=1
    ).mean()
    assert case.record.quality.landmark_px == pytest.approx(error_px, abs=0.01)


def test_turning_the_photo_turns_roll_and_light(cases):
    upright, case = cases["upright"].result.record, cases["turned"].result
    roll_deg = case.record.camera.roll_deg - upright.camera.roll_deg
    assert roll_deg == pytest.approx(math.degrees(TURN_RAD), abs=1.0)
    turn = in_plane_rotation(case.described.crop.T_photo_crop)
    in_photo = rotate_light(case.described.code.illumination.astype(np.float64), turn)
    np.testing.assert_allclose(case.record.illumination, in_photo, rtol=1e-6)


def test_the_camera_record_agrees_with_itself(cases):
    camera = cases["off centre"].result.record.camera
    assert camera.distance_mm == pytest.approx(np.linalg.norm(camera.t))
    np.testing.assert_allclose(camera.R @ camera.R.T, np.eye(3), atol=1e-12)
    assert camera.K[0, 0] == pytest.approx(camera.K[1, 1])


def test_the_meshs_morphs_at_its_weights_give_the_posed_face(cases, model):
    mesh, record = cases["upright"].result.mesh, cases["upright"].result.record
    face = MorphableFace(model)
    shape, expression = (torch.tensor(part, dtype=torch.float32)[None] for part in (record.shape, record.expression))
    expected = face.subdivide(face.vertices(shape, expression))[0].numpy()
    morphed = mesh.vertices_mm + np.einsum("m,mvc->vc", mesh.morph_weights, mesh.morph_deltas_mm)
    np.testing.assert_allclose(morphed, expected, atol=1e-3)  # millimetres, float32
    assert mesh.morph_names == EXPRESSION_NAMES


def test_the_row_holds_eight_pictures_and_starts_with_the_photo(cases, photos):
    row = cases["upright"].result.row_srgb
    assert row.shape == (256, 8 * 256 + 7 * 4, 3)
    pictures = [row[:, 260 * index : 260 * index + 256].astype(float) for index in range(8)]
    photo, overlay = pictures[:2]
    corner, middle = np.s_[:20, :20], np.s_[100:180, 90:170]
    np.testing.assert_array_equal(overlay[corner], photo[corner])
    assert np.abs(overlay[middle] - photo[middle]).mean() > 1
    assert all(np.abs(a - b).mean() > 1 for a, b in itertools.pairwise(pictures))


def test_confidence_falls_with_each_error_and_rises_with_the_detectors():
    box = FaceBox(0, 0, 100, 100, confidence=0.9)
    assert confidence(box, 0.0, 0.0) == 0.9
    assert confidence(box, 1.0, 0.1) > confidence(box, 2.0, 0.1) > confidence(box, 50.0, 0.1) > 0
    assert confidence(box, 1.0, 0.1) > confidence(box, 1.0, 0.2)
    assert confidence(FaceBox(0, 0, 100, 100, confidence=0.5), 1.0, 0.1) < confidence(box, 1.0, 0.1)


def test_the_same_photo_twice_gives_the_same_bytes_and_a_mesh_that_opens(cases, photos, tmp_path, monkeypatch):
    trimesh = pytest.importorskip("trimesh")
    monkeypatch.setattr(reconstruct, "open_engine", lambda name, model, refine, learned: FitEngine(model, SHORT))
    for name in ("first", "second"):
        assert cli.main(["reconstruct", str(photos / "upright.png"), "--out", str(tmp_path / name)]) == 0
    first, second = (tmp_path / name / "upright" for name in ("first", "second"))
    for kind in ("json", "glb", "png"):
        assert (first / f"0.{kind}").read_bytes() == (second / f"0.{kind}").read_bytes()
    np.testing.assert_allclose(  # and the same again from code
        read_face_record(first / "0.json").landmarks_68_px, cases["upright"].result.record.landmarks_68_px, atol=1e-4
    )
    scene = trimesh.load(first / "0.glb")
    low, high = scene.bounds
    assert 0.1 < (high - low).max() < 0.5  # a head in metres

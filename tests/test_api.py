# SPDX-License-Identifier: Apache-2.0
"""The Python interface, on the astronaut."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pygltflib import GLTF2
from skimage.data import astronaut, rocket

import facefactor
from facefactor.api import Face, load_face, reconstruct
from facefactor.errors import IncompatibleCode, NoFaceFound, OutputUnwritable

PHOTO = astronaut()[:330, 60:390]


@pytest.fixture(scope="module")
def face() -> Face:
    (face,) = reconstruct(PHOTO)
    return face


def test_importing_facefactor_is_cheap_and_the_interface_is_there():
    script = "import sys, facefactor; print('numpy' in sys.modules, facefactor.reconstruct.__name__, facefactor.Face)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == ["False", "reconstruct"]
    assert facefactor.load_face is load_face
    with pytest.raises(AttributeError, match="no attribute 'reconstuct'"):
        facefactor.reconstuct  # noqa: B018 (what is tested is the look-up)


def test_a_face_has_its_numbers_by_name(face):
    assert len(face.expression) == 52
    assert face.expression["mouthSmileLeft"] > 0.2
    assert face.vertices_mm.shape == face.albedo_linear.shape == (5610, 3)
    assert face.triangles.max() == len(face.vertices_mm) - 1
    assert face.illumination.shape == (9, 3)
    face.triangles[:] = 0  # a copy
    assert face.triangles.max() == len(face.vertices_mm) - 1
    assert 40 < np.ptp(face.vertices_mm[:, 0]) < 250


def test_an_unchanged_face_gives_the_photo_back(face):
    assert np.abs(face.picture().astype(int) - PHOTO).max() <= 1
    unchanged = face.with_expression(jawOpen=face.expression["jawOpen"])
    assert np.abs(unchanged.picture().astype(int) - PHOTO).max() <= 1


def test_faces_never_change(face):
    before = face.record.expression.copy()
    opened = face.with_expression(jawOpen=0.9).with_expression({"eyeBlinkLeft": 1.0})
    assert (opened.expression["jawOpen"], opened.expression["eyeBlinkLeft"]) == (0.9, 1.0)
    np.testing.assert_array_equal(face.record.expression, before)
    lower_lip = opened.record.landmarks_68_px[57] - face.record.landmarks_68_px[57]
    assert lower_lip[1] > 5
    same = face.with_expression(jawOpen=face.expression["jawOpen"]).record.landmarks_68_px
    np.testing.assert_allclose(same, face.record.landmarks_68_px, atol=0.05)
    assert np.abs(opened.picture().astype(int) - PHOTO).max() > 40


def test_light_from_the_left_brightens_the_left(face):
    left, right = (face.relight(light).astype(float).mean(axis=2) for light in ((-70, 10), "right"))
    box = face.record.face_box_px
    rows = slice(int(box.y), int(box.y + box.height))
    columns = [slice(int(box.x + share * box.width), int(box.x + (share + 0.35) * box.width)) for share in (0.1, 0.55)]
    sides = [[picture[rows, part].mean() for part in columns] for picture in (left, right)]
    assert sides[0][0] - sides[1][0] > 10
    assert sides[1][1] - sides[0][1] > 10
    turned = face.with_light("front", turn_deg=70).illumination
    assert turned[3].mean() > 5 * abs(face.with_light("front").illumination[3].mean())


def test_shape_and_skin_can_be_changed_and_borrowed(face):
    other = face.with_shape({0: 2.5, 79: -1.0})
    assert (other.record.shape[0], other.record.shape[79]) == (2.5, -1.0)
    dark = Face(face.record, face.photo, face.seen)._with(reflectance=-face.record.reflectance + 1.0)
    both = face.with_shape_of(other).with_reflectance_of(dark)
    np.testing.assert_array_equal(both.record.shape, other.record.shape)
    np.testing.assert_array_equal(both.record.reflectance, dark.record.reflectance)
    (base,) = reconstruct(PHOTO, engine="mofa")
    with pytest.raises(IncompatibleCode, match="different face models"):
        face.with_shape_of(base)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda face: face.with_expression(smile=1.0),
        lambda face: face.with_expression(jawOpen=1.2),
        lambda face: face.with_expression(jawOpen=float("nan")),
        lambda face: face.with_shape({80: 1.0}),
        lambda face: face.with_shape({0: float("inf")}),
        lambda face: face.with_light("moon"),
        lambda face: face.with_light(np.zeros((9, 4))),
        lambda face: face.with_light(None),
        lambda face: face.with_light((1.0, 2.0, 3.0)),
        lambda face: face.with_shape({0.5: 1.0}),
        lambda face: face.export("x.glb", texture_px=5),
        lambda face: reconstruct(PHOTO, engine="foo"),
        lambda face: face.with_light((float("inf"), 0.0)),
    ],
)
def test_what_makes_no_sense_is_refused(face, wrong):
    with pytest.raises(ValueError, match=r"\w"):
        wrong(face)


def test_a_face_is_saved_and_read_again_with_its_photo(face, tmp_path: Path):
    (tmp_path / "out" / "me").mkdir(parents=True)
    Image.fromarray(PHOTO).save(tmp_path / "me.png")
    (seen,) = reconstruct(tmp_path / "me.png")
    seen.save(tmp_path / "out" / "me" / "0.json")
    again = load_face(tmp_path / "out" / "me" / "0.json")
    assert again.photo is not None
    np.testing.assert_array_equal(again.relight("top"), seen.relight("top"))
    (tmp_path / "me.png").unlink()
    alone = load_face(tmp_path / "out" / "me" / "0.json")
    assert alone.photo is None
    assert alone.picture().shape == PHOTO.shape
    assert alone.picture()[0, 0].max() == 0
    Image.fromarray(PHOTO[:100]).save(tmp_path / "other.png")
    with pytest.raises(IncompatibleCode, match="is not the photo of"):
        load_face(tmp_path / "out" / "me" / "0.json", tmp_path / "other.png")


def test_a_face_of_another_model_is_refused_with_its_files_name(face, tmp_path: Path):
    replace(face, record=replace(face.record, model_hash="0123456789abcdef")).save(tmp_path / "0.json")
    with pytest.raises(IncompatibleCode, match=r"0\.json: the face is of the face model 0123456789abcdef, here are "):
        load_face(tmp_path / "0.json")
    none = replace(face.record, geometry_corrective=np.empty(0))
    replace(face, record=none, seen=none).save(tmp_path / "0.json")
    with pytest.raises(IncompatibleCode, match=r"0\.json: geometry_corrective: the face model has \d+ of these"):
        load_face(tmp_path / "0.json")


@pytest.mark.parametrize("name", ["../me.png", "{folder}/me.png", "n" * 5000, "..", "", "a\0b"])
def test_only_a_photo_near_its_file_is_looked_up(face, tmp_path: Path, name: str):
    near = tmp_path / "a" / "b" / "c" / "d"
    near.mkdir(parents=True)
    Image.fromarray(PHOTO).save(tmp_path / "me.png")
    record = replace(face.record, photo_name=name.format(folder=tmp_path))
    replace(face, record=record, seen=record).save(near / "0.json")
    assert load_face(near / "0.json").photo is None


def test_a_file_of_the_photos_name_that_is_no_photo_is_passed_over(face, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "me.png").write_text("no photo")
    record = replace(face.record, photo_name="me.png")
    replace(face, record=record, seen=record).save(tmp_path / "out" / "0.json")
    assert load_face(tmp_path / "out" / "0.json").photo is None
    Image.fromarray(PHOTO).save(tmp_path / "me.png")
    photo = load_face(tmp_path / "out" / "0.json").photo
    assert photo is not None
    assert photo.path == tmp_path / "me.png"


def test_a_head_is_exported_with_the_edited_expression(face, tmp_path: Path):
    face.with_expression(jawOpen=0.75).export(tmp_path / "me.glb")
    mesh = GLTF2().load(tmp_path / "me.glb").meshes[0]
    names = mesh.extras["targetNames"]
    assert mesh.weights[names.index("jawOpen")] == pytest.approx(0.75)
    with pytest.raises(OutputUnwritable, match=r"me\.txt"):
        face.export(tmp_path / "me.txt")


def test_a_picture_without_a_face_is_said_to_be_one():
    with pytest.raises(NoFaceFound):
        reconstruct(rocket())

# SPDX-License-Identifier: Apache-2.0
"""`facefactor export` end to end, after `facefactor reconstruct`; each file is opened by a reader that is not ours.

The photo is NASA's portrait of Eileen Collins (`skimage.data.astronaut`, public domain).
"""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import trimesh
from PIL import Image
from skimage.data import astronaut

from facefactor.api import load_face
from facefactor.apps import cli
from facefactor.code.face_code import CORRECTIVE_PARTS
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.correctives import Correctives, corrected_model, load_correctives, save_correctives
from facefactor.face.model import load_face_model

TEXTURE_PX = 256


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `me.png` and, as `reconstruct` writes it, `faces/me/0.json`; the photo is larger than its face."""
    folder = tmp_path_factory.mktemp("made")
    Image.fromarray(astronaut()).save(folder / "me.png")
    assert cli.main(["reconstruct", str(folder / "me.png"), "--out", str(folder / "faces")]) == 0
    return folder


@pytest.fixture
def face(made: Path, tmp_path: Path) -> Path:
    """The JSON alone, with no photo near it."""
    return Path(shutil.copy(made / "faces" / "me" / "0.json", tmp_path / "face.json"))


def export(face: Path, *outs: Path, options: tuple[str, ...] = ()) -> int:
    texture = () if "--texture" in options else ("--texture", str(TEXTURE_PX))
    return cli.main(["export", str(face), *(word for out in outs for word in ("--out", str(out))), *texture, *options])


def glb_texture(path: Path) -> np.ndarray:
    document = pygltflib.GLTF2().load(str(path))
    view = document.bufferViews[document.images[0].bufferView]
    content = document.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


def test_all_formats_hold_the_same_head(made, face, tmp_path, capsys):
    names = ("a.glb", "a.obj", "a.ply")
    photo = ("--photo", str(made / "me.png"))
    assert export(face, *(tmp_path / "out" / name for name in names), options=photo) == 0
    assert capsys.readouterr().out == (
        f"{face} → {' '.join(str(tmp_path / 'out' / name) for name in names)} "
        f"(texture {TEXTURE_PX} px, from {made / 'me.png'})\n"
    )
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["a.glb", "a.mtl", "a.obj", "a.ply", "a_albedo.png"]

    obj, ply = (trimesh.load(tmp_path / "out" / f"a.{kind}", force="mesh", process=False) for kind in ("obj", "ply"))
    np.testing.assert_allclose(obj.bounds, ply.bounds, atol=1e-3)
    assert 150 < np.ptp(ply.bounds[:, 0]) < 220  # mm: a head's width, ears included
    document = pygltflib.GLTF2().load(str(tmp_path / "out" / "a.glb"))
    positions = document.accessors[document.meshes[0].primitives[0].attributes.POSITION]
    size_mm = 1000 * (np.array(positions.max) - np.array(positions.min))
    np.testing.assert_allclose(size_mm, np.ptp(ply.bounds, axis=0), atol=25)  # without and with expression
    assert tuple(document.meshes[0].extras["targetNames"]) == EXPRESSION_NAMES
    texture = np.asarray(Image.open(tmp_path / "out" / "a_albedo.png"))
    assert texture.shape == (TEXTURE_PX, TEXTURE_PX, 3)
    np.testing.assert_array_equal(glb_texture(tmp_path / "out" / "a.glb"), texture)


def test_usd_holds_it_too(face, tmp_path):
    usd = pytest.importorskip("pxr.Usd", reason="usd-core (the extra `usd`) is not installed")
    from pxr import UsdGeom

    assert export(face, tmp_path / "a.usdz", tmp_path / "a.ply") == 0
    stage = usd.Stage.Open(str(tmp_path / "a.usdz"))
    skin = UsdGeom.Mesh(stage.GetPrimAtPath("/head/skin"))
    children = [child.GetName() for child in skin.GetPrim().GetChildren()]
    assert sorted(children) == sorted(EXPRESSION_NAMES)
    ply = trimesh.load(tmp_path / "a.ply", process=False)
    assert len(skin.GetPointsAttr().Get()) == len(ply.vertices)


def test_the_head_is_the_one_that_reconstruct_wrote(made, tmp_path):
    assert export(made / "faces" / "me" / "0.json", tmp_path / "a.glb", options=("--texture", "1024")) == 0
    ours, first = (glb_texture(path) for path in (tmp_path / "a.glb", made / "faces" / "me" / "0.glb"))
    # The crop is cut without the face's turn of 2° in the photo, so pixels are sampled elsewhere.
    assert np.abs(ours - first).mean() < 0.05
    ours, first = (
        pygltflib.GLTF2().load(str(p)).meshes[0] for p in (tmp_path / "a.glb", made / "faces" / "me" / "0.glb")
    )
    np.testing.assert_allclose(ours.weights, first.weights, atol=1e-6)


def test_the_photos_detail_is_in_the_texture_and_without_a_photo_it_is_not(made, face, tmp_path, capsys):
    assert export(face, tmp_path / "plain.glb") == 0
    assert "from the numbers alone" in capsys.readouterr().out
    assert export(face, tmp_path / "painted.glb", options=("--photo", str(made / "me.png"))) == 0
    change = np.abs(glb_texture(tmp_path / "painted.glb") - glb_texture(tmp_path / "plain.glb")).max(axis=2)
    assert 0.03 < (change > 4).mean() < 0.12


def test_a_photo_of_another_size_is_refused(face, tmp_path, capsys):
    Image.new("RGB", (64, 32)).save(tmp_path / "other.png")
    assert export(face, tmp_path / "b.ply", options=("--photo", str(tmp_path / "other.png"))) == 2
    assert f"{tmp_path / 'other.png'}: is not the photo of {face}: it is 64 x 32" in capsys.readouterr().err
    assert not (tmp_path / "b.ply").exists()


def test_a_face_of_another_model_is_refused(face, tmp_path, capsys):
    face.write_text(json.dumps(json.loads(face.read_text()) | {"model_hash": "0123456789abcdef"}))
    assert export(face, tmp_path / "a.glb") == 2
    message = capsys.readouterr().err
    assert message.startswith(f"facefactor: {face}: the face is of the face model 0123456789abcdef, here are ")
    assert not (tmp_path / "a.glb").exists()


def test_a_face_of_a_learned_model_is_exported_with_that_models_file(face, tmp_path, capsys):
    base, learned = load_face_model(), tmp_path / "learned.safetensors"
    bases = [np.ones((count, 5, 3), dtype=np.float32) for count in (2, 1)]
    save_correctives(Correctives(np.arange(5), *bases, base.model_hash, {}), learned)
    corrections = {"geometry_corrective": [1.0, -1.0], "reflectance_corrective": [0.0]}
    model_hash = corrected_model(base, load_correctives(learned)).model_hash
    face.write_text(json.dumps(json.loads(face.read_text()) | corrections | {"model_hash": model_hash}))
    assert export(face, tmp_path / "a.ply") == 2
    assert capsys.readouterr().err.startswith(f"facefactor: {face}: the face is of the face model {model_hash}, here ")
    assert export(face, tmp_path / "a.ply", options=("--model", str(learned))) == 0


@pytest.mark.parametrize("name", CORRECTIVE_PARTS)
def test_a_face_with_another_number_of_corrections_is_refused(face, tmp_path, capsys, name):
    values = json.loads(face.read_text())
    wanted = len(values[name])
    face.write_text(json.dumps(values | {name: [0.5] * 3}))
    assert export(face, tmp_path / "a.glb") == 2
    cause = f"{name}: the face model has {wanted} of these numbers, the face holds 3"
    assert capsys.readouterr().err == f"facefactor: {face}: {cause}\n"
    assert not (tmp_path / "a.glb").exists()


def test_nothing_is_written_when_one_file_cannot_be(face, tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"in the way")
    before = sorted(tmp_path.iterdir())
    assert export(face, tmp_path / "a.glb", tmp_path / "file" / "a.obj") == 2
    assert "cannot be written" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "head.stl"), "must end in one of .glb, .obj, .ply, .usdz, .usda, got 'head.stl'"),
        (("--out", "head.glb", "--texture", "5000"), "must be a whole number from 64 to 4096, got '5000'"),
    ],
)
def test_wrong_use_is_refused(face, capsys, options, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", str(face), *options])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_an_edited_face_keeps_the_texture_that_its_photo_shows(made, tmp_path):
    face = load_face(made / "faces" / "me" / "0.json")
    assert face.photo is not None
    face.export(tmp_path / "a.glb", TEXTURE_PX)
    face.with_expression(jawOpen=1.0, mouthSmileLeft=0.0).export(tmp_path / "b.glb", TEXTURE_PX)
    np.testing.assert_array_equal(glb_texture(tmp_path / "a.glb"), glb_texture(tmp_path / "b.glb"))
    weights = pygltflib.GLTF2().load(str(tmp_path / "b.glb")).meshes[0].weights
    assert weights[EXPRESSION_NAMES.index("jawOpen")] == 1.0

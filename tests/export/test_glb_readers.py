# SPDX-License-Identifier: Apache-2.0
"""The GLB in the hands of readers that share nothing with us: Khronos' validator and three.js, under Node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.export.glb import GlbMesh, write_glb
from facefactor.export.glb_animation import HeadMotion, encode_animated_glb
from facefactor.export.head import HeadMesher
from facefactor.export.photo_texture import PhotoTexture
from facefactor.face.model import FaceModel

READERS = Path(__file__).parent / "readers"
INSTALLED = Path(__file__).resolve().parents[2] / "build" / "glb-readers"
"""Where the readers are installed, once for all runs; outside version control."""


@pytest.fixture(scope="module")
def read_script() -> Path:
    """The reading script beside its installed packages."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Node.js with npm is not installed: three.js cannot read the GLB here")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "read_glb.mjs"):
        shutil.copy(READERS / name, INSTALLED / name)
    if not (INSTALLED / "node_modules" / "three").is_dir():
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=INSTALLED, capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            pytest.skip(f"npm could not install three.js: {done.stderr.strip().splitlines()[-1:]}")
    return INSTALLED / "read_glb.mjs"


def read_with(read_script: Path, path: Path) -> dict:
    """What the readers say about a GLB."""
    done = subprocess.run(["node", read_script, path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def read_glb(read_script: Path, tmp_path_factory: pytest.TempPathFactory):
    """A function of a head that gives what the readers say about its GLB."""

    def read(mesh: GlbMesh) -> dict:
        path = tmp_path_factory.mktemp("glb") / "head.glb"
        write_glb(path, mesh)
        return read_with(read_script, path)

    return read


@pytest.fixture
def reading(read_glb, sphere: GlbMesh) -> dict:
    return read_glb(sphere)


@pytest.fixture(scope="module")
def head_reading(read_glb, model: FaceModel, texture: PhotoTexture, albedo: np.ndarray) -> dict:
    """Of the mean head, which opens with a smile."""
    smile = np.zeros(len(EXPRESSION_NAMES), dtype=np.float32)
    smile[EXPRESSION_NAMES.index("mouthSmileLeft")] = 0.5
    code = FaceCode.neutral().with_expression(smile)
    return read_glb(HeadMesher(model).mesh(code, texture.plain(albedo)))


def test_the_validator_finds_nothing_to_say(reading: dict, head_reading: dict):
    for issues in (reading["issues"], head_reading["issues"]):
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_three_js_loads_geometry_morphs_and_texture(reading: dict, sphere: GlbMesh):
    (mesh,) = reading["meshes"]
    assert mesh["triangles"] == len(sphere.triangles)
    assert mesh["morph_names"] == list(sphere.morph_names)
    np.testing.assert_allclose(mesh["morph_weights"], sphere.morph_weights)
    np.testing.assert_allclose(mesh["size_m"], np.ptp(sphere.vertices_mm, axis=0) / 1000, rtol=1e-5)
    assert mesh["texture_colour_space"] == "srgb"
    assert mesh["texture_px"] == [16, 16]


def test_three_js_finds_the_52_arkit_morphs_of_a_head_of_human_size(head_reading: dict, surface_mm: np.ndarray):
    (mesh,) = head_reading["meshes"]
    assert mesh["morph_names"] == list(EXPRESSION_NAMES)
    assert mesh["morph_attributes"] == 52
    opening = dict(zip(mesh["morph_names"], mesh["morph_weights"], strict=True))
    assert {name: weight for name, weight in opening.items() if weight} == {"mouthSmileLeft": 0.5}
    assert 0.03 < mesh["jaw_open_m"] < 0.05
    np.testing.assert_allclose(mesh["size_m"], np.ptp(surface_mm, axis=0) / 1000, atol=1e-4)
    assert 0.15 < mesh["size_m"][0] < 0.2  # a head's width, ears included
    assert mesh["front_m"] == pytest.approx(surface_mm[:, 2].max() / 1000, abs=1e-4)
    assert mesh["texture_px"] == [1024, 1024]


def test_a_moving_head_is_valid_and_three_js_finds_its_motion(read_script: Path, sphere: GlbMesh, tmp_path: Path):
    R = np.broadcast_to(np.eye(3), (3, 3, 3))
    t_mm, K = np.array([[0.0, 0, -900], [5, 0, -900], [10, 0, -900]]), np.diag([800.0, 800, 1])
    K[:2, 2] = 320, 240
    motion = HeadMotion(np.array([0, 0.04, 1.0]), np.array([0, 0, 1]), np.eye(3), R, t_mm, K)
    path = tmp_path / "moving.glb"
    path.write_bytes(encode_animated_glb(sphere, motion))
    reading = read_with(read_script, path)
    issues = reading["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]
    (animation,) = reading["animations"]
    assert animation["seconds"] == pytest.approx(1.0)
    assert sorted(animation["tracks"]) == ["head.morphTargetInfluences", "head.position", "head.quaternion"]

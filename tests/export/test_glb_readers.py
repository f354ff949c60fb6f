# SPDX-License-Identifier: Apache-2.0
"""The GLB in the hands of readers that share nothing with us: Khronos' validator and three.js, under Node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from facefactor.export.glb import GlbMesh, write_glb
from facefactor.export.glb_animation import HeadMotion, encode_animated_glb

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


@pytest.fixture
def reading(read_script: Path, sphere: GlbMesh, tmp_path: Path) -> dict:
    """What the readers say about a written GLB."""
    path = tmp_path / "sphere.glb"
    write_glb(path, sphere)
    return read_with(read_script, path)


def test_the_validator_finds_nothing_to_say(reading: dict):
    issues = reading["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_three_js_loads_geometry_morphs_and_texture(reading: dict, sphere: GlbMesh):
    (mesh,) = reading["meshes"]
    assert mesh["triangles"] == len(sphere.triangles)
    assert mesh["morph_names"] == list(sphere.morph_names)
    np.testing.assert_allclose(mesh["morph_weights"], sphere.morph_weights)
    np.testing.assert_allclose(mesh["size_m"], np.ptp(sphere.vertices_mm, axis=0) / 1000, rtol=1e-5)
    assert mesh["texture_colour_space"] == "srgb"


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

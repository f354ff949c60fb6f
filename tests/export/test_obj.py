# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import trimesh
from PIL import Image

from facefactor.export.atomic import write_together
from facefactor.export.obj import encode_obj


@pytest.fixture
def folder(sphere, tmp_path):
    """Where the sphere lies as `0.obj` with what belongs to it."""
    write_together(encode_obj(tmp_path / "0.obj", sphere))
    return tmp_path


def test_the_files_name_each_other_relatively_and_none_is_called_as_a_photo_may_be(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["0.mtl", "0.obj", "0_albedo.png"]
    assert "mtllib 0.mtl" in (folder / "0.obj").read_text().splitlines()
    assert "map_Kd 0_albedo.png" in (folder / "0.mtl").read_text().splitlines()


def test_trimesh_reads_the_posed_head_with_its_texture(sphere, folder):
    mesh = trimesh.load(folder / "0.obj", force="mesh", process=False)
    posed_mm = sphere.vertices_mm + 0.25 * sphere.morph_deltas_mm[0] + 1.0 * sphere.morph_deltas_mm[2]
    np.testing.assert_allclose(mesh.vertices[mesh.faces], posed_mm[sphere.triangles], atol=1e-4)
    np.testing.assert_allclose(mesh.visual.uv[mesh.faces], sphere.uv[sphere.uv_triangles], atol=1e-6)
    np.testing.assert_array_equal(np.asarray(mesh.visual.material.image), sphere.texture_srgb)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "0_albedo.png")), sphere.texture_srgb)

# SPDX-License-Identifier: Apache-2.0
import numpy as np
import trimesh

from facefactor.export.obj import write_obj


def test_trimesh_reads_the_head_with_its_texture(sphere, tmp_path):
    write_obj(
        tmp_path / "0.obj", sphere.vertices_mm, sphere.triangles, sphere.uv, sphere.uv_triangles, sphere.texture_srgb
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.mtl", "0.obj", "0.png"]
    mesh = trimesh.load(tmp_path / "0.obj", force="mesh", process=False)
    np.testing.assert_allclose(mesh.vertices[mesh.faces], sphere.vertices_mm[sphere.triangles], atol=1e-4)
    np.testing.assert_allclose(mesh.visual.uv[mesh.faces], sphere.uv[sphere.uv_triangles], atol=1e-6)
    np.testing.assert_array_equal(np.asarray(mesh.visual.material.image), sphere.texture_srgb)

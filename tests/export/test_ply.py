# SPDX-License-Identifier: Apache-2.0
import numpy as np
import trimesh

from facefactor.export.ply import write_ply


def test_trimesh_reads_the_vertices_triangles_and_colours(sphere, tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, sphere.vertices_mm.shape, dtype=np.uint8)
    write_ply(tmp_path / "0.ply", sphere.vertices_mm, sphere.triangles, colours)
    mesh = trimesh.load(tmp_path / "0.ply", process=False)
    np.testing.assert_allclose(mesh.vertices, sphere.vertices_mm, rtol=1e-6)
    np.testing.assert_array_equal(mesh.faces, sphere.triangles)
    np.testing.assert_array_equal(mesh.visual.vertex_colors[:, :3], colours)

# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import trimesh

from facefactor.export.ply import encode_ply


def test_trimesh_reads_the_posed_vertices_and_the_triangles(sphere, tmp_path):
    (tmp_path / "0.ply").write_bytes(encode_ply(sphere))
    mesh = trimesh.load(tmp_path / "0.ply", process=False)
    posed_mm = sphere.vertices_mm + 0.25 * sphere.morph_deltas_mm[0]
    np.testing.assert_allclose(mesh.vertices, posed_mm, rtol=1e-6)
    np.testing.assert_array_equal(mesh.faces, sphere.triangles)


def test_each_vertex_has_the_textures_colour_at_its_uv(sphere, tmp_path):
    ramp = np.linspace(0, 255, 256).round().astype(np.uint8)
    texture = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:, None], 7), axis=-1).astype(np.uint8)
    (tmp_path / "0.ply").write_bytes(encode_ply(replace(sphere, texture_srgb=texture)))
    colours = trimesh.load(tmp_path / "0.ply", process=False).visual.vertex_colors.astype(float)
    first_ring_without_seam = slice(1, 12)
    u, v = sphere.uv[first_ring_without_seam].T
    np.testing.assert_allclose(colours[first_ring_without_seam, 0], 255 * u, atol=1)
    np.testing.assert_allclose(colours[first_ring_without_seam, 1], 255 * (1 - v), atol=1)
    np.testing.assert_array_equal(colours[:, 2], 7)

# SPDX-License-Identifier: Apache-2.0
"""A small textured head for the exporters: a sphere with a UV seam, and two morphs."""

import numpy as np
import pytest

from facefactor.export.glb import GlbMesh

NUM_RINGS, NUM_SECTORS = 8, 12
RADIUS_MM = 90.0


@pytest.fixture
def sphere() -> GlbMesh:
    """Sphere of 90 mm whose UVs do not close: vertices on the seam have u = 0 and u = 1.

    Morph "local" moves the ten vertices that lie furthest to the front, "global" moves all, "nothing" none.
    """
    polar = np.linspace(0.2, np.pi - 0.2, NUM_RINGS + 1)[:, None]
    azimuth = (2 * np.pi * np.arange(NUM_SECTORS) / NUM_SECTORS)[None]
    points = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth)), axis=-1
    )
    vertices = RADIUS_MM * points.reshape(-1, 3)
    u, v = np.meshgrid(np.linspace(0, 1, NUM_SECTORS + 1), np.linspace(1, 0, NUM_RINGS + 1))
    deltas = np.zeros((3, *vertices.shape))
    deltas[0, np.argsort(vertices[:, 2])[-10:]] = [0.0, 3.0, 7.5]
    deltas[1] = vertices * [0.1, -0.05, 0.0] + [1.0, 2.0, 3.0]
    return GlbMesh(
        vertices_mm=vertices,
        triangles=_grid_triangles(NUM_SECTORS, wraps=True),
        uv=np.stack([u.ravel(), v.ravel()], axis=1),
        uv_triangles=_grid_triangles(NUM_SECTORS + 1, wraps=False),
        texture_srgb=np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8),
        morph_names=("local", "global", "nothing"),
        morph_deltas_mm=deltas,
        morph_weights=np.array([0.25, 0.0, 1.0]),
    )


def _grid_triangles(columns: int, wraps: bool) -> np.ndarray:
    """Return two triangles per cell of the (ring, sector) grid, counter-clockwise from outside."""
    ring, sector = np.meshgrid(np.arange(NUM_RINGS), np.arange(NUM_SECTORS), indexing="ij")
    right = (sector + 1) % columns if wraps else sector + 1
    top_left, top_right = ring * columns + sector, ring * columns + right
    bottom_left, bottom_right = top_left + columns, top_right + columns
    cells = np.stack([top_left, bottom_left, bottom_right, top_left, bottom_right, top_right], axis=-1)
    return cells.reshape(-1, 3)

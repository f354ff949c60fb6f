# SPDX-License-Identifier: Apache-2.0
"""Small meshes for the render tests, counter-clockwise seen from outside."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def icosphere():
    """A function of the number of subdivisions that gives the unit sphere's vertices and triangles."""
    return make_icosphere


@pytest.fixture(scope="session")
def plane():
    """A function of the number of cells that gives a square's vertices and triangles."""
    return make_plane


def make_icosphere(num_subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Split an octahedron's triangles in four and push the corners onto the unit sphere, again and again."""
    vertices = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    triangles = [(x, y, z) if (x + y + z) % 2 == 0 else (x, z, y) for x in (0, 1) for y in (2, 3) for z in (4, 5)]
    triangles = [_facing_out(np.array(vertices), triangle) for triangle in triangles]
    for _ in range(num_subdivisions):
        vertices, triangles = _split(vertices, triangles)
    return np.array(vertices, dtype=np.float64), np.array(triangles, dtype=np.int32)


def make_plane(num_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """A square grid over [-1, 1]² at z = 0, facing +z."""
    ticks = np.linspace(-1.0, 1.0, num_cells + 1)
    x, y = np.meshgrid(ticks, ticks)
    vertices = np.stack((x, y, np.zeros_like(x)), axis=-1).reshape(-1, 3)
    corner = (np.arange(num_cells)[:, None] * (num_cells + 1) + np.arange(num_cells)).reshape(-1)
    lower = np.stack((corner, corner + 1, corner + num_cells + 2), axis=-1)
    upper = np.stack((corner, corner + num_cells + 2, corner + num_cells + 1), axis=-1)
    return vertices, np.concatenate((lower, upper)).astype(np.int32)


def _facing_out(vertices, triangle):
    a, b, c = vertices[list(triangle)]
    return triangle if np.dot(np.cross(b - a, c - a), a + b + c) > 0 else (triangle[0], triangle[2], triangle[1])


def _split(vertices, triangles):
    vertices, middles, smaller = list(vertices), {}, []

    def middle(first, second):
        key = (min(first, second), max(first, second))
        if key not in middles:
            point = np.add(vertices[first], vertices[second])
            vertices.append(tuple(point / np.linalg.norm(point)))
            middles[key] = len(vertices) - 1
        return middles[key]

    for a, b, c in triangles:
        ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
        smaller += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return vertices, smaller

# SPDX-License-Identifier: Apache-2.0
"""Small meshes that occluders are made of: tubes along a path, ellipsoids, sheets. Triangles run counter-clockwise
seen from outside; vertices in the unit of what they are made from."""

from functools import cache

import numpy as np


def tube(path: np.ndarray, radius: np.ndarray | float, sides: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Sweep a circle along a path; the ends are open.

    Args:
        path: (N, 3) points.
        radius: one for all or one for each point.
        sides: corners of the circle.

    Returns:
        Vertices (N · sides, 3), ring after ring, and triangles (…, 3) int32.
    """
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    mean = np.abs(along).mean(axis=0)
    first = np.cross(along, np.eye(3)[mean.argmin()])
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    second = np.cross(along, first)
    angle = 2 * np.pi * np.arange(sides) / sides
    circle = np.cos(angle)[None, :, None] * first[:, None] + np.sin(angle)[None, :, None] * second[:, None]
    rings = path[:, None] + np.broadcast_to(radius, len(path))[:, None, None] * circle
    return rings.reshape(-1, 3), grid_triangles(len(path), sides, wrap=True)


def ellipsoid(centre: np.ndarray, axes: np.ndarray, rows: int = 10, columns: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Make an ellipsoid.

    Args:
        centre: (3,).
        axes: (3, 3), rows are the half-axes, right-handed.
        rows: from pole to pole, along the second half-axis.
        columns: around it.

    Returns:
        Vertices (rows · columns, 3) and triangles.
    """
    polar = np.linspace(0.0, np.pi, rows)[:, None]
    around = 2 * np.pi * np.arange(columns)[None, :] / columns
    unit = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)), -1
    )
    triangles = grid_triangles(rows, columns, wrap=True)[:, ::-1]
    return centre + unit.reshape(-1, 3) @ axes, np.ascontiguousarray(triangles)


@cache
def grid_triangles(rows: int, columns: int, wrap: bool = False) -> np.ndarray:
    """Triangles of a grid of vertices, row after row; with `wrap` the last column meets the first.

    Counter-clockwise where the next row is up and the next column to the right.
    """
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns if wrap else columns - 1), indexing="ij")
    here, right = row * columns + column, row * columns + (column + 1) % columns
    above, above_right = here + columns, right + columns
    first, second = np.stack((here, right, above_right), -1), np.stack((here, above_right, above), -1)
    triangles = np.concatenate((first.reshape(-1, 3), second.reshape(-1, 3))).astype(np.int32)
    triangles.flags.writeable = False  # the same array is given out again
    return triangles


def join(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Put meshes into one."""
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in parts[:-1]])
    triangles = [faces + start for (_, faces), start in zip(parts, starts, strict=True)]
    return np.concatenate([vertices for vertices, _ in parts]), np.concatenate(triangles).astype(np.int32)

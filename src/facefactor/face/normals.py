# SPDX-License-Identifier: Apache-2.0
"""Vertex normals in numpy, for what must do without torch; `render/shade.py` has the differentiable ones."""

import numpy as np


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return (V, 3) unit normals, each the area-weighted mean of its triangles'; +z where no triangle gives one."""
    corners = vertices[triangles]
    area_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(area_normals[:, axis], 3), len(vertices)) for axis in range(3)],
        axis=1,
    )
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(lengths > 0.0, sums / np.maximum(lengths, np.finfo(float).tiny), (0.0, 0.0, 1.0))

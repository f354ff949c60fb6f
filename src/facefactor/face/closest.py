# SPDX-License-Identifier: Apache-2.0
"""Closest points on a triangle mesh, as the registration, the landmarks and the evaluation need them."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

CANDIDATES = 12
"""Triangles tried for each point, nearest centroids first; enough where triangles are of similar size."""


@dataclass(frozen=True)
class ClosestPoints:
    """For each query point, where on the surface it falls."""

    points: np.ndarray
    """(N, 3)"""
    triangles: np.ndarray
    """(N,) triangle ids."""
    barycentrics: np.ndarray
    """(N, 3) non-negative, each row summing to one."""
    distances: np.ndarray
    """(N,)"""


def closest_points(queries: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> ClosestPoints:
    """Find the surface point nearest to each query.

    Args:
        queries: (N, 3).
        vertices: (V, 3) in the same unit.
        triangles: (F, 3) vertex ids.
    """
    from facefactor.face.closest_kernel import choose_nearest  # imports numba, which takes 0.3 s

    corners = vertices[triangles].astype(np.float64)
    count = min(CANDIDATES, len(triangles))
    _, candidates = cKDTree(corners.mean(axis=1)).query(queries, k=count)
    chosen, weights = np.empty(len(queries), dtype=np.int64), np.empty((len(queries), 3))
    choose_nearest(queries.astype(np.float64), corners, candidates.reshape(len(queries), count), chosen, weights)
    points = np.einsum("nc,ncd->nd", weights, corners[chosen])
    return ClosestPoints(points, chosen, weights, np.linalg.norm(points - queries, axis=1))

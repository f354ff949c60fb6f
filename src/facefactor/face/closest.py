# SPDX-License-Identifier: Apache-2.0
"""Closest points on a triangle mesh (numpy), as the registration, the landmarks and the evaluation need them."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

CANDIDATES = 12
"""Triangles tried for each point, nearest centroids first; enough where triangles are of similar size."""

LEAST_SINE_SQUARED = 1e-12
"""Squared sine of a triangle's angle below which it has no area, only sides."""


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
    corners = vertices[triangles]
    count = min(CANDIDATES, len(triangles))
    _, candidates = cKDTree(corners.mean(axis=1)).query(queries, k=count)
    candidates = candidates.reshape(len(queries), count)
    weights = closest_barycentrics(queries[:, None, :], corners[candidates])
    points = np.einsum("nkc,nkcd->nkd", weights, corners[candidates])
    distances = np.linalg.norm(points - queries[:, None, :], axis=-1)
    best = distances.argmin(axis=1)
    rows = np.arange(len(queries))
    return ClosestPoints(points[rows, best], candidates[rows, best], weights[rows, best], distances[rows, best])


def closest_barycentrics(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Barycentric weights of the point of each triangle that is nearest to the given point.

    Args:
        points: (..., 3).
        corners: (..., 3, 3) triangle corners.

    Returns:
        (..., 3): the foot of the perpendicular where it falls inside, else the best point of the three sides.
    """
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    inside = _plane_barycentrics(points, a, b, c)
    sides = np.stack(
        [_side_barycentrics(points, corners, start, end) for start, end in ((0, 1), (1, 2), (2, 0))], axis=-2
    )
    feet = np.einsum("...sc,...cd->...sd", sides, corners)
    nearest = ((feet - points[..., None, :]) ** 2).sum(axis=-1).argmin(axis=-1)
    side = np.take_along_axis(sides, nearest[..., None, None], axis=-2)[..., 0, :]
    return np.where((inside >= 0).all(axis=-1, keepdims=True), inside, side)


def _plane_barycentrics(points: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """(..., 3) weights of the foot of the perpendicular; negative for a triangle without area, which has none."""
    u, v, w = b - a, c - a, points - a
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    wu, wv = (w * u).sum(-1), (w * v).sum(-1)
    determinant = uu * vv - uv * uv
    has_area = determinant > LEAST_SINE_SQUARED * uu * vv
    divisor = np.where(has_area, determinant, 1.0)
    beta, gamma = (vv * wu - uv * wv) / divisor, (uu * wv - uv * wu) / divisor
    weights = np.stack([1 - beta - gamma, beta, gamma], axis=-1)
    return np.where(has_area[..., None], weights, -1.0)


def _side_barycentrics(points: np.ndarray, corners: np.ndarray, start: int, end: int) -> np.ndarray:
    origin, along = corners[..., start, :], corners[..., end, :] - corners[..., start, :]
    length = np.maximum((along * along).sum(-1), 1e-18)
    share = np.clip(((points - origin) * along).sum(-1) / length, 0, 1)
    weights = np.zeros((*share.shape, 3))
    weights[..., start], weights[..., end] = 1 - share, share
    return weights

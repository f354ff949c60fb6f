# SPDX-License-Identifier: Apache-2.0
"""Pair the points of a nearly symmetric shape with their mirror images: left and right landmarks, or vertices."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

MIDLINE_MM = 1.5
"""Only a landmark nearer to the face's mid plane than this can be its own mirror image."""
LARGEST_ASYMMETRY_MM = 10.0
"""Distance to the mirror image beyond which a landmark of the model is taken to be misplaced, however far."""
IMPOSSIBLE_MM2 = 1e6
"""Cost of what must not be: a point beside the midline paired with itself."""


def match_mirrored(points_mm: NDArray[np.floating]) -> NDArray[np.intp]:
    """Pair points that mirror each other in the plane x = 0, at the least sum of squared distances.

    The squares are capped, so that one misplaced point cannot push a chain of its neighbours out of place.

    Args:
        points_mm: (points, 3) of a nearly symmetric shape.

    Returns:
        (points,) indices, a permutation that is its own inverse.
    """
    distance_mm = np.linalg.norm(points_mm[:, None] * (-1, 1, 1) - points_mm[None], axis=-1)
    cost = np.minimum(distance_mm, LARGEST_ASYMMETRY_MM) ** 2
    beside = np.abs(points_mm[:, 0]) >= MIDLINE_MM
    cost[beside, beside] = IMPOSSIBLE_MM2  # the diagonal's entries
    return linear_sum_assignment(cost)[1]


def mirror_vertices(vertices_mm: NDArray[np.floating]) -> NDArray[np.intp]:
    """Find the mirror image of each vertex of a head whose mesh is symmetric in the plane x = 0.

    Args:
        vertices_mm: (vertices, 3) of the mean head.

    Returns:
        (vertices,) indices, a permutation that is its own inverse.

    Raises:
        ValueError: two vertices have the same mirror image: the mesh is not symmetric.
    """
    mirrored = np.asarray(cKDTree(vertices_mm).query(vertices_mm * (-1, 1, 1))[1])
    if (mirrored[mirrored] != np.arange(len(mirrored))).any():
        raise ValueError("the mesh is not symmetric: its vertices cannot be paired with their mirror images")
    return mirrored

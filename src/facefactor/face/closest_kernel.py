# SPDX-License-Identifier: Apache-2.0
"""The inner loop of `closest.closest_points`, compiled by numba; importing this module imports numba."""

from typing import no_type_check

import numpy as np

from facefactor.compiled import compile_kernel

LEAST_SINE_SQUARED = 1e-12
"""Squared sine of a triangle's angle below which it has no area, only sides."""


@compile_kernel
@no_type_check
def choose_nearest(queries, corners, candidates, chosen, barycentrics):
    """Find the candidate triangle that is nearest to each query, the first of equals, and the place on it.

    That place is the foot of the perpendicular where it falls inside the triangle, else the best point of its sides.

    Args:
        queries: (N, 3).
        corners: (F, 3, 3) of the triangles.
        candidates: (N, K) triangle ids.
        chosen: (N,) ids, written.
        barycentrics: (N, 3) weights of the place, written.
    """
    weights, on_side = np.empty(3), np.empty(3)
    for query in range(len(queries)):
        point, least = queries[query], np.inf
        for candidate in candidates[query]:
            triangle, nearest = corners[candidate], np.inf
            uu = uv = vv = wu = wv = 0.0
            for axis in range(3):
                u, v = triangle[1, axis] - triangle[0, axis], triangle[2, axis] - triangle[0, axis]
                w = point[axis] - triangle[0, axis]
                uu, uv, vv, wu, wv = uu + u * u, uv + u * v, vv + v * v, wu + w * u, wv + w * v
            determinant = uu * vv - uv * uv
            if determinant > LEAST_SINE_SQUARED * uu * vv:
                weights[1], weights[2] = (vv * wu - uv * wv) / determinant, (uu * wv - uv * wu) / determinant
                weights[0] = 1.0 - weights[1] - weights[2]
                if weights.min() >= 0.0:
                    nearest = 0.0
                    for axis in range(3):
                        foot = -point[axis]
                        for corner in range(3):
                            foot += weights[corner] * triangle[corner, axis]
                        nearest += foot * foot
            if nearest == np.inf:
                for start in range(3):
                    end = (start + 1) % 3
                    length = along = 0.0
                    for axis in range(3):
                        side = triangle[end, axis] - triangle[start, axis]
                        length += side * side
                        along += (point[axis] - triangle[start, axis]) * side
                    share = min(max(along / max(length, 1e-18), 0.0), 1.0)
                    distance = 0.0
                    for axis in range(3):
                        place = (1.0 - share) * triangle[start, axis] + share * triangle[end, axis]
                        distance += (place - point[axis]) ** 2
                    if distance < nearest:
                        nearest = distance
                        on_side[:] = 0.0
                        on_side[start], on_side[end] = 1.0 - share, share
                weights[:] = on_side
            if nearest < least:
                least, chosen[query] = nearest, candidate
                barycentrics[query] = weights

# SPDX-License-Identifier: Apache-2.0
"""The inner loops of `rasterise`, compiled by numba; importing this module imports numba.

For each triangle, three edge functions over the pixel centres of its bounding box. The edge function of the edge from
a to b at p is e = (b - a) × (p - a), twice the signed area of the triangle a, b, p.
"""

import math
from typing import no_type_check

import numpy as np

from facefactor.compiled import compile_kernel
from facefactor.render.rasterise import MIN_DEPTH_MM


@compile_kernel
@no_type_check
def set_up_edge(ax, ay, bx, by, orientation):
    """Start an edge from its lexicographically first end, so that both its triangles compute with the same numbers.

    Returns:
        Origin x and y, direction x and y, and the sign that makes the edge function positive inside the triangle.
        Of an edge's two triangles one has a positive sign: it owns the points on the edge.
    """
    if ax < bx or (ax == bx and ay <= by):
        return ax, ay, bx - ax, by - ay, orientation
    return bx, by, ax - bx, ay - by, -orientation


@compile_kernel
@no_type_check
def pixel_range(low, high, first, last):
    """Find the pixels from `first` to before `last` whose centres lie between two coordinates.

    Returns:
        The first pixel and the one after the last; clamped before it is made an integer, so nothing overflows.
    """
    start = min(max(math.ceil(low - 0.5), float(first)), float(last))
    stop = min(max(math.floor(high - 0.5) + 1.0, float(first)), float(last))
    return int(start), int(stop)


@compile_kernel
@no_type_check
def draw_triangles(vertices_px, depth_mm, triangles, cull_back_faces, first_row, triangle_ids, barycentrics, nearness):
    """Draw all triangles of one picture into a band of its rows.

    Args:
        vertices_px: (V, 2) float32.
        depth_mm: (V,) float32.
        triangles: (F, 3) int32, numbers of vertices that are there.
        cull_back_faces: leave out triangles that run clockwise in the picture with y up.
        first_row: the picture's row that is row 0 of the three buffers.
        triangle_ids: (rows, W) int32, written.
        barycentrics: (rows, W, 3) float32, written.
        nearness: (rows, W) float32, one over the depth of what is drawn so far, zero at first; written.
    """
    rows, width = triangle_ids.shape
    for face in range(len(triangles)):
        i0, i1, i2 = triangles[face, 0], triangles[face, 1], triangles[face, 2]
        x0, y0 = np.float64(vertices_px[i0, 0]), np.float64(vertices_px[i0, 1])
        x1, y1 = np.float64(vertices_px[i1, 0]), np.float64(vertices_px[i1, 1])
        x2, y2 = np.float64(vertices_px[i2, 0]), np.float64(vertices_px[i2, 1])
        # With y down, a triangle that runs counter-clockwise for the viewer has a negative area.
        doubled_area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if doubled_area == 0.0 or (cull_back_faces and doubled_area > 0.0):
            continue
        d0, d1, d2 = np.float64(depth_mm[i0]), np.float64(depth_mm[i1]), np.float64(depth_mm[i2])
        if not math.isfinite(doubled_area + d0 + d1 + d2) or min(d0, d1, d2) < MIN_DEPTH_MM:
            continue
        left, right = pixel_range(min(x0, x1, x2), max(x0, x1, x2), 0, width)
        top, bottom = pixel_range(min(y0, y1, y2), max(y0, y1, y2), first_row, first_row + rows)
        if left >= right or top >= bottom:
            continue

        orientation = 1.0 if doubled_area > 0.0 else -1.0
        ox0, oy0, dx0, dy0, sign0 = set_up_edge(x1, y1, x2, y2, orientation)
        ox1, oy1, dx1, dy1, sign1 = set_up_edge(x2, y2, x0, y0, orientation)
        ox2, oy2, dx2, dy2, sign2 = set_up_edge(x0, y0, x1, y1, orientation)
        n0, n1, n2 = 1.0 / d0, 1.0 / d1, 1.0 / d2
        for row in range(top, bottom):
            y = row + 0.5
            along0, along1, along2 = dx0 * (y - oy0), dx1 * (y - oy1), dx2 * (y - oy2)
            for column in range(left, right):
                x = column + 0.5
                edge0 = sign0 * (along0 - dy0 * (x - ox0))
                edge1 = sign1 * (along1 - dy1 * (x - ox1))
                edge2 = sign2 * (along2 - dy2 * (x - ox2))
                if edge0 < 0.0 or edge1 < 0.0 or edge2 < 0.0:
                    continue
                if (edge0 == 0.0 and sign0 < 0.0) or (edge1 == 0.0 and sign1 < 0.0) or (edge2 == 0.0 and sign2 < 0.0):
                    continue
                near0, near1, near2 = edge0 * n0, edge1 * n1, edge2 * n2
                near_sum = near0 + near1 + near2
                if not near_sum > 0.0:  # a sliver whose edge functions all round to zero
                    continue
                near = np.float32(near_sum / (edge0 + edge1 + edge2))
                if near > nearness[row - first_row, column]:
                    nearness[row - first_row, column] = near
                    triangle_ids[row - first_row, column] = face
                    barycentrics[row - first_row, column, 0] = near0 / near_sum
                    barycentrics[row - first_row, column, 1] = near1 / near_sum
                    barycentrics[row - first_row, column, 2] = near2 / near_sum

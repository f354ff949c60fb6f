# SPDX-License-Identifier: Apache-2.0
"""The inner loop of `overlay.py`, compiled by numba; importing this module imports numba."""

from typing import no_type_check

import numpy as np

from facefactor.compiled import compile_kernel


@compile_kernel
@no_type_check
def blend_over(picture_srgb, triangle_ids, barycentrics, triangles, colours_srgb, opacity):
    """Lay the triangles that were drawn over a picture.

    Args:
        picture_srgb: (height, width, 3) uint8, written.
        triangle_ids: (height, width) int32, -1 where nothing was drawn.
        barycentrics: (height, width, 3) float32.
        triangles: (F, 3) vertex numbers.
        colours_srgb: (V, 3) float32, 0 to 255.
        opacity: (V,) float32, [0, 1].
    """
    for row in range(picture_srgb.shape[0]):
        for column in range(picture_srgb.shape[1]):
            face = triangle_ids[row, column]
            if face < 0:
                continue
            i, j, k = triangles[face, 0], triangles[face, 1], triangles[face, 2]
            a, b, c = barycentrics[row, column, 0], barycentrics[row, column, 1], barycentrics[row, column, 2]
            share = a * opacity[i] + b * opacity[j] + c * opacity[k]
            for channel in range(3):
                drawn = a * colours_srgb[i, channel] + b * colours_srgb[j, channel] + c * colours_srgb[k, channel]
                below = np.float32(picture_srgb[row, column, channel])
                picture_srgb[row, column, channel] = np.uint8(below + share * (drawn - below) + np.float32(0.5))

# SPDX-License-Identifier: Apache-2.0
"""Pictures of one face side by side: the row that `reconstruct` writes beside each face's JSON and GLB.

Place in the flow: rendered pictures (`render/views.py`) → this → PNG. From the left: the photo's crop, the face drawn
over it, geometry, albedo, shading, and the face under three other lights.
"""

from collections.abc import Sequence

import numpy as np

GAP_PX = 4
GAP_SRGB = 255


def lay_out_row(pictures_srgb: Sequence[np.ndarray], gap_px: int = GAP_PX) -> np.ndarray:
    """Put pictures of one size beside each other.

    Args:
        pictures_srgb: one or more, each (height, width, 3), sRGB in [0, 1]; values beyond are clipped.
        gap_px: white columns between two pictures.

    Returns:
        (height, n · width + (n - 1) · gap, 3) uint8.

    Raises:
        ValueError: no picture, or pictures of different sizes.
    """
    shapes = {picture.shape for picture in pictures_srgb}
    if len(shapes) != 1:
        raise ValueError(f"a row needs pictures of one size, got {sorted(shapes) or 'none'}")
    height, width, channels = shapes.pop()
    columns = len(pictures_srgb) * (width + gap_px) - gap_px
    row = np.full((height, columns, channels), GAP_SRGB, dtype=np.uint8)
    for index, picture in enumerate(pictures_srgb):
        left = index * (width + gap_px)
        row[:, left : left + width] = np.rint(255.0 * np.clip(picture, 0.0, 1.0))
    return row

# SPDX-License-Identifier: Apache-2.0
"""Let a soft mask follow the edges of a picture: the guided filter (He, Sun, Tang 2013; numpy, scipy).

    m(u) = mean over windows around u of a·I + b,   a, b: the best linear map from the picture's colours I to the mask

Within a window the mask becomes a linear function of colour, so it ends where the picture's colour changes: at strands
of hair, ears and shoulders, to which a mesh never fits exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST_VARIANCE = 1e-3
"""Of colours in sRGB units of [0, 1]: windows that vary less are taken as having no edge."""


def follow_edges(
    mask: Float[np.ndarray, "height width"], guide_srgb: Float[np.ndarray, "height width 3"], radius_px: int
) -> Float[np.ndarray, "height width"]:
    """Filter a mask by a picture; in [0, 1], as the mask.

    Args:
        mask: [0, 1].
        guide_srgb: [0, 1].
        radius_px: of the windows; about how far the mask may be wrong.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        size = 2 * radius_px + 1
        return uniform_filter(values, (size, size) + (1,) * (values.ndim - 2), mode="nearest")

    guide = guide_srgb.astype(np.float64)
    mean_guide, mean_mask = mean(guide), mean(mask.astype(np.float64))
    products = mean(guide[..., :, None] * guide[..., None, :])
    covariance = products - mean_guide[..., :, None] * mean_guide[..., None, :] + LEAST_VARIANCE * np.eye(3)
    joint = mean(guide * mask[..., None]) - mean_guide * mean_mask[..., None]
    slope = np.linalg.solve(covariance, joint[..., None])[..., 0]
    offset = mean_mask - (slope * mean_guide).sum(axis=-1)
    filtered = (mean(slope) * guide).sum(axis=-1) + mean(offset)
    return np.clip(filtered, 0.0, 1.0).astype(np.float32)

# SPDX-License-Identifier: Apache-2.0
"""The sRGB transfer curve: encoded values to linear light and back (numpy).

Place in the flow: photos are sRGB-encoded; wherever light is added, averaged or multiplied, values are decoded first
and encoded again at the end.

    linear = encoded / 12.92                          where encoded ≤ 0.04045
    linear = ((encoded + 0.055) / 1.055) ^ 2.4        elsewhere

Source: IEC 61966-2-1:1999, section 5.2 (amendment 1 for the rounding-safe thresholds).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

ENCODED_THRESHOLD = 0.04045
"""Encoded value up to which the curve is a straight line."""
LINEAR_THRESHOLD = 0.0031308
"""Linear value up to which the curve is a straight line."""
SLOPE = 12.92
OFFSET = 0.055
EXPONENT = 2.4


def srgb_to_linear(srgb: ArrayLike) -> NDArray[np.floating]:
    """Decode sRGB values to linear light.

    Args:
        srgb: any shape, [0, 1]; values outside are extended by the same formula, negative ones by the straight part.

    Returns:
        Linear values, same shape; float32 stays float32, everything else becomes float64.
    """
    encoded = _as_floating(srgb)
    curved = ((np.maximum(encoded, ENCODED_THRESHOLD) + OFFSET) / (1 + OFFSET)) ** EXPONENT
    return np.where(encoded <= ENCODED_THRESHOLD, encoded / SLOPE, curved)


def linear_to_srgb(linear: ArrayLike) -> NDArray[np.floating]:
    """Encode linear light as sRGB values: the inverse of `srgb_to_linear`.

    Args:
        linear: any shape, [0, 1]; values outside are extended by the same formula, negative ones by the straight part.

    Returns:
        Encoded values, same shape; float32 stays float32, everything else becomes float64.
    """
    light = _as_floating(linear)
    curved = (1 + OFFSET) * np.maximum(light, LINEAR_THRESHOLD) ** (1 / EXPONENT) - OFFSET
    return np.where(light <= LINEAR_THRESHOLD, light * SLOPE, curved)


def _as_floating(values: ArrayLike) -> NDArray[np.floating]:
    array = np.asarray(values)
    return array if array.dtype == np.float32 else array.astype(np.float64)

# SPDX-License-Identifier: Apache-2.0
"""The sRGB transfer curve: encoded values to linear light and back, for numpy arrays and torch tensors.

Place in the flow: photos are sRGB-encoded; wherever light is added, averaged or multiplied, values are decoded first
and encoded again at the end.

    linear = encoded / 12.92                          where encoded ≤ 0.04045
    linear = ((encoded + 0.055) / 1.055) ^ 2.4        elsewhere

Source: IEC 61966-2-1:1999, section 5.2 (amendment 1 for the rounding-safe thresholds).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facefactor.arrays import Array, array_namespace

if TYPE_CHECKING:
    from jaxtyping import Float

ENCODED_THRESHOLD = 0.04045
"""Encoded value up to which the curve is a straight line."""
LINEAR_THRESHOLD = 0.0031308
"""Linear value up to which the curve is a straight line."""
SLOPE = 12.92
OFFSET = 0.055
EXPONENT = 2.4


def srgb_to_linear(srgb: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Decode sRGB values to linear light.

    Args:
        srgb: [0, 1]; values outside are extended by the same formula, negative ones by the straight part.
    """
    xp = array_namespace(srgb)
    curved = ((srgb.clip(min=ENCODED_THRESHOLD) + OFFSET) / (1 + OFFSET)) ** EXPONENT
    return xp.where(srgb <= ENCODED_THRESHOLD, srgb / SLOPE, curved)


def linear_to_srgb(linear: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Encode linear light as sRGB values: the inverse of `srgb_to_linear`.

    Args:
        linear: [0, 1]; values outside are extended by the same formula, negative ones by the straight part.
    """
    xp = array_namespace(linear)
    curved = (1 + OFFSET) * linear.clip(min=LINEAR_THRESHOLD) ** (1 / EXPONENT) - OFFSET
    return xp.where(linear <= LINEAR_THRESHOLD, linear * SLOPE, curved)


def srgb_to_log_linear(srgb: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Decode sRGB values to the logarithm of linear light; what is darker than LINEAR_THRESHOLD counts as that.

    Args:
        srgb: [0, 1].
    """
    xp = array_namespace(srgb)
    return EXPONENT * xp.log((srgb.clip(min=ENCODED_THRESHOLD) + OFFSET) / (1 + OFFSET))


def log_linear_to_srgb(log_linear: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Encode light given by its logarithm: the inverse of `srgb_to_log_linear`.

    Args:
        log_linear: at least the logarithm of LINEAR_THRESHOLD.
    """
    xp = array_namespace(log_linear)
    return (1 + OFFSET) * xp.exp(log_linear / EXPONENT) - OFFSET

# SPDX-License-Identifier: Apache-2.0
"""From the logarithm of albedo, which the face model is linear in, to albedo; for numpy arrays and torch tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from facefactor.arrays import Array, array_namespace
from facefactor.face.model import ALBEDO_RANGE, FaceModel

if TYPE_CHECKING:
    from jaxtyping import Float


def albedo_from_log(log_albedo: Float[Array, "*batch"], channel_axis: int = -1) -> Float[Array, "*batch"]:
    """Linear RGB inside ALBEDO_RANGE; a colour too light is scaled down and keeps its hue.

    Args:
        log_albedo: natural logarithm of linear RGB.
        channel_axis: where red, green and blue are.
    """
    xp = array_namespace(log_albedo)
    low, high = ALBEDO_RANGE
    excess = (xp.max(log_albedo, axis=channel_axis, keepdims=True) - math.log(high)).clip(min=0.0)
    return xp.exp(log_albedo - excess).clip(min=low)


def subdivided_albedo(model: FaceModel, reflectance: Float[np.ndarray, " coeffs"]) -> Float[np.ndarray, "subdivided 3"]:
    """Linear RGB at the subdivided vertices, of which the first V are the native ones.

    Args:
        model: the face model.
        reflectance: coefficients of its first components; the others are zero, such as the learned corrections.
    """
    variation = np.tensordot(reflectance, model.reflectance_basis[: len(reflectance)], axes=1)
    return albedo_from_log(model.log_albedo_mean + variation)

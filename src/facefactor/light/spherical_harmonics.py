# SPDX-License-Identifier: Apache-2.0
"""Distant light as nine spherical harmonics per colour channel, and the colour it gives a matt surface.

    colour = albedo × E(n)/π,    E(n)/π = Σ_k γ_k (A_l / π) Y_k(n)

γ (9 × RGB, linear) is the incoming radiance in the camera frame, in the orthonormal real basis of bands l = 0, 1, 2.
The Lambert factors A_l/π = 1, 2/3, 1/4 (Ramamoorthi & Hanrahan 2001, eq. 19 and 24) turn radiance into irradiance;
the shader applies them, they are never part of γ. So white light of strength one, γ = (1/Y00, 0, …), returns the
albedo. For numpy arrays and torch tensors. Order, with no Condon-Shortley sign:

    k   0    1      2      3      4       5       6         7       8
    Y   Y00  Y1-1 y Y10 z  Y11 x  Y2-2 xy Y2-1 yz Y20 3z²-1 Y21 xz  Y22 x²-y²
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from array_api_compat import device

from facefactor.arrays import Array, array_namespace, constant_like, unit_vectors

if TYPE_CHECKING:
    from jaxtyping import Float

NUM_COEFFICIENTS = 9
LARGEST_ILLUMINATION = 1e4
"""No coefficient of a scene's light is larger: thousands of times what lights a white wall to white."""
Y00 = math.sqrt(1.0 / (4.0 * math.pi))
BAND_1 = math.sqrt(3.0 / (4.0 * math.pi))
BAND_2_MIXED = math.sqrt(15.0 / (4.0 * math.pi))
"""Factor of xy, yz and xz."""
BAND_2_AXIAL = math.sqrt(5.0 / (16.0 * math.pi))
"""Factor of 3z² - 1."""
BAND_2_SQUARES = math.sqrt(15.0 / (16.0 * math.pi))
"""Factor of x² - y²."""
QUADRATIC_NORM = 15.0 / (8.0 * math.pi)
"""Sum of the squared entries of each band-2 function's matrix, the same for all five."""
_HALF_MIXED = 0.5 * BAND_2_MIXED
QUADRATIC_FORMS = (
    (0.0, _HALF_MIXED, 0.0, _HALF_MIXED, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0, _HALF_MIXED, 0.0, _HALF_MIXED, 0.0),
    (-BAND_2_AXIAL, 0.0, 0.0, 0.0, -BAND_2_AXIAL, 0.0, 0.0, 0.0, 2.0 * BAND_2_AXIAL),
    (0.0, 0.0, _HALF_MIXED, 0.0, 0.0, 0.0, _HALF_MIXED, 0.0, 0.0),
    (BAND_2_SQUARES, 0.0, 0.0, 0.0, -BAND_2_SQUARES, 0.0, 0.0, 0.0, 0.0),
)
"""The symmetric matrices M_k of the band-2 functions, row by row: Y_k(n) = nᵀ M_k n on the unit sphere."""
LAMBERT_FACTORS = (1.0, 2 / 3, 2 / 3, 2 / 3, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4)
"""A_l/π for each coefficient."""
LUMINANCE_WEIGHTS = (0.2126, 0.7152, 0.0722)
"""Share of linear red, green and blue in luminance (ITU-R BT.709)."""


def evaluate_basis(directions: Float[Array, "*batch 3"], axis: int = -1) -> Float[Array, "*batch 9"]:
    """Evaluate the nine basis functions.

    Args:
        directions: unit vectors.
        axis: of their x, y, z, where the result has the nine.
    """
    xp = array_namespace(directions)
    x, y, z = xp.unstack(directions, axis=axis)
    return xp.stack(
        (
            xp.full_like(x, Y00),
            BAND_1 * y,
            BAND_1 * z,
            BAND_1 * x,
            BAND_2_MIXED * x * y,
            BAND_2_MIXED * y * z,
            BAND_2_AXIAL * (3.0 * z * z - 1.0),
            BAND_2_MIXED * x * z,
            BAND_2_SQUARES * (x * x - y * y),
        ),
        axis=axis,
    )


def irradiance_over_pi(
    normals: Float[Array, "*#batch points 3"], illumination: Float[Array, "*#batch 9 3"]
) -> Float[Array, "*broadcast points 3"]:
    """Compute what a white matt surface reflects, linear RGB.

    Args:
        normals: unit vectors in the camera frame.
        illumination: one light for all or one for each batch entry.

    Returns:
        E(n)/π; slightly negative where a strong light's nine coefficients undershoot.
    """
    return evaluate_basis(normals) @ lambert_light(illumination)


def lambert_light(illumination: Float[Array, "*batch 9 3"]) -> Float[Array, "*batch 9 3"]:
    """Multiply light by the Lambert factors: the coefficients of the irradiance E(n)/π in the same basis."""
    return constant_like(LAMBERT_FACTORS, illumination)[:, None] * illumination


def shade(
    albedo_linear: Float[Array, "*#batch points 3"],
    normals: Float[Array, "*#batch points 3"],
    illumination: Float[Array, "*#batch 9 3"],
) -> Float[Array, "*broadcast points 3"]:
    """Light a matt surface: albedo × E(n)/π in linear RGB; arguments as in `irradiance_over_pi`."""
    return albedo_linear * irradiance_over_pi(normals, illumination)


def ambient_light(radiance_linear: Float[Array, "*batch 3"]) -> Float[Array, "*batch 9 3"]:
    """Make light that is the same from everywhere; radiance one returns the albedo."""
    xp = array_namespace(radiance_linear)
    directed = (*radiance_linear.shape[:-1], NUM_COEFFICIENTS - 1, 3)
    zeros = xp.zeros(directed, dtype=radiance_linear.dtype, device=device(radiance_linear))
    return xp.concat((radiance_linear[..., None, :] / Y00, zeros), axis=-2)


def directional_light(
    direction: Float[Array, "*batch 3"], strength_linear: Float[Array, "*batch 3"]
) -> Float[Array, "*batch 9 3"]:
    """Project a distant point source onto the basis: γ_k = π strength Y_k(direction).

    Args:
        direction: from the face towards the source, any length but zero, camera frame.
        strength_linear: E/π that the source gives a surface facing it. The nine coefficients give 17/16 of it there,
            and reach down to -0.04 of it on the far side.
    """
    return math.pi * evaluate_basis(unit_vectors(direction))[..., :, None] * strength_linear[..., None, :]


def dominant_direction(illumination: Float[Array, "*batch 9 3"]) -> Float[Array, "*batch 3"]:
    """Find where most light comes from: the direction of the luminance's band 1.

    Returns:
        Unit vectors in the camera frame, zero where the light has no direction.
    """
    return unit_vectors(_band_1_vectors(illumination) @ constant_like(LUMINANCE_WEIGHTS, illumination))


def rotate_light(
    illumination: Float[Array, "*batch 9 3"], rotation_matrix: Float[Array, "*rotation 3 3"]
) -> Float[Array, "*batch 9 3"]:
    """Turn the light exactly: the light from direction d comes from R d afterwards.

    Band 1 is a vector and turns as one. Band 2 is a symmetric traceless matrix M, Y(n) = nᵀ M n, and becomes R M Rᵀ.

    Args:
        illumination: coefficients before.
        rotation_matrix: one for all or one for each batch entry; for instance from the crop's camera to the photo's.
    """
    xp = array_namespace(illumination)
    vectors = rotation_matrix @ _band_1_vectors(illumination)
    band_1 = xp.stack((vectors[..., 1, :], vectors[..., 2, :], vectors[..., 0, :]), axis=-2)
    forms = constant_like(QUADRATIC_FORMS, illumination)
    by_channel = illumination[..., 4:, :].mT @ forms
    matrices = xp.reshape(by_channel, (*by_channel.shape[:-1], 3, 3))
    rotation = rotation_matrix[..., None, :, :]
    turned = xp.reshape(rotation @ matrices @ rotation.mT, by_channel.shape)
    return xp.concat((illumination[..., :1, :], band_1, (turned @ forms.mT / QUADRATIC_NORM).mT), axis=-2)


def project_environment_map(panorama_linear: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "9 3"]:
    """Project a panorama onto the basis by summing radiance × Y × solid angle over its pixels.

    Args:
        panorama_linear: equirectangular linear RGB. The top row is up (+y), the middle column is what the camera looks
            at, behind the face (-z), three quarters across is to image right (+x), and the outer columns are behind
            the camera (+z). Turn the result with `rotate_light` to stand elsewhere.

    Returns:
        The illumination of the panorama; its fine detail, which no matt surface shows, is gone.
    """
    height, width, _ = panorama_linear.shape
    edges = math.pi * (0.5 - np.arange(height + 1) / height)
    elevation = (0.5 * (edges[1:] + edges[:-1]))[:, None]
    azimuth = 2.0 * math.pi * ((np.arange(width) + 0.5) / width - 0.5)[None, :]
    directions = np.stack(
        (
            np.sin(azimuth) * np.cos(elevation),
            np.broadcast_to(np.sin(elevation), (height, width)),
            -np.cos(azimuth) * np.cos(elevation),
        ),
        axis=-1,
    )
    solid_angle = (np.sin(edges[:-1]) - np.sin(edges[1:])) * (2.0 * math.pi / width)
    weighted = panorama_linear * solid_angle[:, None, None]
    return np.tensordot(evaluate_basis(directions), weighted, axes=((0, 1), (0, 1)))


def _band_1_vectors(illumination: Float[Array, "*batch 9 3"]) -> Float[Array, "*batch 3 3"]:
    """Band 1 of each colour as a vector x, y, z: the columns."""
    xp = array_namespace(illumination)
    return xp.stack((illumination[..., 3, :], illumination[..., 1, :], illumination[..., 2, :]), axis=-2)

# SPDX-License-Identifier: Apache-2.0
"""Distant light as nine spherical harmonics per colour channel, and the colour it gives a matt surface.

    colour = albedo × E(n)/π,    E(n)/π = Σ_k γ_k (A_l / π) Y_k(n)

γ (9 × RGB, linear) is the incoming radiance in the camera frame, in the orthonormal real basis of bands l = 0, 1, 2.
The Lambert factors A_l/π = 1, 2/3, 1/4 (Ramamoorthi & Hanrahan 2001, eq. 19 and 24) turn radiance into irradiance;
the shader applies them, they are never part of γ. So white light of strength one, γ = (1/Y00, 0, …), returns the
albedo. Order, with no Condon-Shortley sign:

    k   0    1      2      3      4       5       6         7       8
    Y   Y00  Y1-1 y Y10 z  Y11 x  Y2-2 xy Y2-1 yz Y20 3z²-1 Y21 xz  Y22 x²-y²
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

NUM_COEFFICIENTS = 9
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
LAMBERT_FACTORS = (1.0, 2 / 3, 2 / 3, 2 / 3, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4)
"""A_l/π for each coefficient."""
LUMINANCE_WEIGHTS = (0.2126, 0.7152, 0.0722)
"""Share of linear red, green and blue in luminance (ITU-R BT.709)."""


def evaluate_basis(directions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 9"]:
    """Evaluate the nine basis functions.

    Args:
        directions: unit vectors.
    """
    x, y, z = directions.unbind(-1)
    return torch.stack(
        (
            torch.full_like(x, Y00),
            BAND_1 * y,
            BAND_1 * z,
            BAND_1 * x,
            BAND_2_MIXED * x * y,
            BAND_2_MIXED * y * z,
            BAND_2_AXIAL * (3.0 * z * z - 1.0),
            BAND_2_MIXED * x * z,
            BAND_2_SQUARES * (x * x - y * y),
        ),
        dim=-1,
    )


def irradiance_over_pi(
    normals: Float[Tensor, "*#batch points 3"], illumination: Float[Tensor, "*#batch 9 3"]
) -> Float[Tensor, "*broadcast points 3"]:
    """Compute what a white matt surface reflects, linear RGB.

    Args:
        normals: unit vectors in the camera frame.
        illumination: one light for all or one for each batch entry.

    Returns:
        E(n)/π; slightly negative where a strong light's nine coefficients undershoot.
    """
    factors = torch.tensor(LAMBERT_FACTORS, dtype=illumination.dtype, device=illumination.device)
    return evaluate_basis(normals) @ (factors[:, None] * illumination)


def shade(
    albedo_linear: Float[Tensor, "*#batch points 3"],
    normals: Float[Tensor, "*#batch points 3"],
    illumination: Float[Tensor, "*#batch 9 3"],
) -> Float[Tensor, "*broadcast points 3"]:
    """Light a matt surface: albedo × E(n)/π in linear RGB; arguments as in `irradiance_over_pi`."""
    return albedo_linear * irradiance_over_pi(normals, illumination)


def ambient_light(radiance_linear: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 9 3"]:
    """Make light that is the same from everywhere; radiance one returns the albedo."""
    illumination = torch.zeros(
        *radiance_linear.shape[:-1], NUM_COEFFICIENTS, 3, dtype=radiance_linear.dtype, device=radiance_linear.device
    )
    illumination[..., 0, :] = radiance_linear / Y00
    return illumination


def directional_light(
    direction: Float[Tensor, "*batch 3"], strength_linear: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 9 3"]:
    """Project a distant point source onto the basis: γ_k = π strength Y_k(direction).

    Args:
        direction: from the face towards the source, any length but zero, camera frame.
        strength_linear: E/π that the source gives a surface facing it. The nine coefficients give 17/16 of it there,
            and reach down to -0.04 of it on the far side.
    """
    unit = torch.nn.functional.normalize(direction, dim=-1)
    return math.pi * evaluate_basis(unit)[..., :, None] * strength_linear[..., None, :]


def dominant_direction(illumination: Float[Tensor, "*batch 9 3"]) -> Float[Tensor, "*batch 3"]:
    """Find where most light comes from: the direction of the luminance's band 1.

    Returns:
        Unit vectors in the camera frame, zero where the light has no direction.
    """
    weights = torch.tensor(LUMINANCE_WEIGHTS, dtype=illumination.dtype, device=illumination.device)
    gradient = illumination[..., [3, 1, 2], :] @ weights
    return torch.nn.functional.normalize(gradient, dim=-1)


def rotate_light(
    illumination: Float[Tensor, "*batch 9 3"], rotation_matrix: Float[Tensor, "*rotation 3 3"]
) -> Float[Tensor, "*batch 9 3"]:
    """Turn the light exactly: the light from direction d comes from R d afterwards.

    Band 1 is a vector and turns as one. Band 2 is a symmetric traceless matrix M, Y(n) = nᵀ M n, and becomes R M Rᵀ.

    Args:
        illumination: coefficients before.
        rotation_matrix: one for all or one for each batch entry; for instance from the crop's camera to the photo's.
    """
    turned = illumination.clone()
    turned[..., [3, 1, 2], :] = rotation_matrix @ illumination[..., [3, 1, 2], :]
    forms = _quadratic_forms(illumination)
    matrices = torch.einsum("kij,...kc->...cij", forms, illumination[..., 4:, :])
    rotation = rotation_matrix[..., None, :, :]
    turned[..., 4:, :] = torch.einsum("kij,...cij->...kc", forms, rotation @ matrices @ rotation.mT) / QUADRATIC_NORM
    return turned


def project_environment_map(panorama_linear: Float[Tensor, "height width 3"]) -> Float[Tensor, "9 3"]:
    """Project a panorama onto the basis by summing radiance × Y × solid angle over its pixels.

    Args:
        panorama_linear: equirectangular linear RGB. The top row is up (+y), the middle column is what the camera looks
            at, behind the face (-z), three quarters across is to image right (+x), and the outer columns are behind
            the camera (+z). Turn the result with `rotate_light` to stand elsewhere.

    Returns:
        The illumination of the panorama; its fine detail, which no matt surface shows, is gone.
    """
    height, width, _ = panorama_linear.shape
    rows, columns = (torch.arange(size + 1).to(panorama_linear) for size in (height, width))
    edges = math.pi * (0.5 - rows / height)
    elevation = (0.5 * (edges[1:] + edges[:-1]))[:, None]
    azimuth = 2.0 * math.pi * ((columns[:-1] + 0.5) / width - 0.5)[None, :]
    directions = torch.stack(
        (
            torch.sin(azimuth) * torch.cos(elevation),
            torch.sin(elevation).expand(height, width),
            -torch.cos(azimuth) * torch.cos(elevation),
        ),
        dim=-1,
    )
    solid_angle = (torch.sin(edges[:-1]) - torch.sin(edges[1:])) * (2.0 * math.pi / width)
    return torch.einsum("hwk,hwc,h->kc", evaluate_basis(directions), panorama_linear, solid_angle)


def _quadratic_forms(like: Tensor) -> Float[Tensor, "5 3 3"]:
    """The symmetric matrices of the band-2 functions: Y_k(n) = nᵀ M_k n on the unit sphere."""
    half, axial, squares = 0.5 * BAND_2_MIXED, BAND_2_AXIAL, BAND_2_SQUARES
    forms = [
        [[0.0, half, 0.0], [half, 0.0, 0.0], [0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0], [0.0, 0.0, half], [0.0, half, 0.0]],
        [[-axial, 0.0, 0.0], [0.0, -axial, 0.0], [0.0, 0.0, 2.0 * axial]],
        [[0.0, 0.0, half], [0.0, 0.0, 0.0], [half, 0.0, 0.0]],
        [[squares, 0.0, 0.0], [0.0, -squares, 0.0], [0.0, 0.0, 0.0]],
    ]
    return torch.tensor(forms, dtype=like.dtype, device=like.device)

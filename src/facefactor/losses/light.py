# SPDX-License-Identifier: Apache-2.0
"""What light is plausible: nowhere negative, near white, as strong as the scene's brightest things say; from anywhere.

Light and skin tone explain each other: a dark face in bright light and a light face in dim light give one picture. What
is white in the scene decides (the white-patch rule of Land & McCann 1971): where a high percentile of the photo is
bright, the light is strong, and a face that is darker has darker skin. A tight crop of a dark face may hold nothing
white, so the rule has half the say, and how photos are exposed as a rule the other half. The colour of that percentile
also says, less reliably, what the light's colour is.
"""

from jaxtyping import Float
from torch import Tensor

from facefactor.light.spherical_harmonics import Y00

WHITE_PERCENTILE = 0.97
WHITE_ALBEDO = 0.85
"""Linear albedo that the photo's brightest things are taken to have."""
USUAL_STRENGTH = 0.85
"""Irradiance over π that photos are exposed for as a rule: where a crop holds nothing white, its brightest things say
too little, and dark skin would be taken for skin in dim light."""
STRENGTH_TRUST = 0.5
"""Share of the brightest things in the logarithm of the strength; the rest is the usual one."""
TINT_TRUST = 0.5
"""Share of the white patch's tint that is taken for the light's: white things are rarer than bright ones."""
STRENGTH_SPREAD = 0.3
"""Standard deviation of the logarithm of the face's mean irradiance against the scene's."""
TINT_SPREAD = 0.12
"""Standard deviation of the logarithm of a colour channel against the mean of the three."""
DIRECTIONAL_TINT_SPREAD = 0.06
"""Standard deviation of a channel of a directional term against the mean of the three, in units of irradiance."""


def scene_white(picture_linear: Float[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3"]:
    """Estimate the irradiance over π of a scene from its brightest colours, and from how photos are exposed.

    Args:
        picture_linear: the photo or a generous crop of it, linear RGB.
    """
    bright = (picture_linear.flatten(1, 2).quantile(WHITE_PERCENTILE, dim=1) / WHITE_ALBEDO).clamp_min(1e-3)
    mean = bright.mean(dim=-1, keepdim=True)
    strength = USUAL_STRENGTH ** (1 - STRENGTH_TRUST) * mean**STRENGTH_TRUST
    return strength * (bright / mean).clamp_min(0.1) ** TINT_TRUST


def negative_light(irradiance: Float[Tensor, "batch points 3"]) -> Float[Tensor, " batch"]:
    """Mean square of irradiance below zero."""
    return irradiance.clamp_max(0).square().mean(dim=(1, 2))


def light_prior(
    illumination: Float[Tensor, "batch 9 3"],
    mean_irradiance: Float[Tensor, "batch 3"],
    expected: Float[Tensor, "batch 3"],
) -> Float[Tensor, " batch"]:
    """½ Σ of squared standard scores: strength and tint on the face, and the tint of directional terms.

    Args:
        illumination: spherical harmonics.
        mean_irradiance: over the visible face, irradiance over π.
        expected: the same of the scene, see `scene_white`.
    """
    ratio = mean_irradiance.clamp_min(1e-3).log() - expected.log()
    strength = ratio.mean(dim=-1) / STRENGTH_SPREAD
    tint = (ratio - ratio.mean(dim=-1, keepdim=True)) / TINT_SPREAD
    directional = illumination[:, 1:] * Y00
    spread = (directional - directional.mean(dim=-1, keepdim=True)) / DIRECTIONAL_TINT_SPREAD
    return 0.5 * (strength.square() + tint.square().sum(dim=-1) + spread.square().sum(dim=(1, 2)))

# SPDX-License-Identifier: Apache-2.0
"""What light is plausible: nowhere negative, near white, of ordinary strength; its direction is free.

Light's colour and strength and the skin's tone explain each other; a soft pull to white light of the strength at which
photos are exposed decides what the sclera and the skin's own colour leave open.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from facefactor.light.spherical_harmonics import Y00

EXPOSED_STRENGTH = 0.75
"""Irradiance over π at which a photo shows a face: albedo 0.35, a medium skin, then encodes to sRGB 0.55."""
STRENGTH_SPREAD = 0.45
"""Standard deviation of the logarithm of the strength."""
TINT_SPREAD = 0.12
"""Standard deviation of the logarithm of red and blue against green."""


def negative_light(irradiance: Float[Tensor, "batch points 3"]) -> Float[Tensor, " batch"]:
    """Mean square of irradiance below zero."""
    return irradiance.clamp_max(0).square().mean(dim=(1, 2))


def light_prior(illumination: Float[Tensor, "batch 9 3"]) -> Float[Tensor, " batch"]:
    """½ Σ of squared standard scores: the ambient term's strength and tint, and the tint of the other terms."""
    ambient = (illumination[:, 0] * Y00).clamp_min(1e-3).log()
    strength = (ambient.mean(dim=-1) - torch.log(torch.tensor(EXPOSED_STRENGTH))) / STRENGTH_SPREAD
    tint = (ambient - ambient.mean(dim=-1, keepdim=True)) / TINT_SPREAD
    directional = illumination[:, 1:] * Y00
    spread = (directional - directional.mean(dim=-1, keepdim=True)) / TINT_SPREAD
    return 0.5 * (strength.square() + tint.square().sum(dim=-1) + spread.square().sum(dim=(1, 2)))

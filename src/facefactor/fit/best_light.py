# SPDX-License-Identifier: Apache-2.0
"""The light that explains colours best when the albedo is known: linear least squares, channel by channel (torch).

γ:  min Σ_v w_v ‖c_v − ρ_v Σ_k γ_k (A_k/π) Y_k(n_v)‖²  +  ridge, in linear light
"""

import torch
from jaxtyping import Float
from torch import Tensor

CONSTANT_RIDGE, DIRECTIONAL_RIDGE = 2.5e-3, 1.25e-2
"""Against the skin's mean squared albedo: what faces away from the camera says nothing."""


def best_light(
    observed_linear: Float[Tensor, "batch points 3"],
    albedo_linear: Float[Tensor, "batch points 3"],
    basis: Float[Tensor, "batch points 9"],
    weights: Float[Tensor, "batch points"],
) -> Float[Tensor, "batch 9 3"]:
    """Solve for the spherical harmonics of the light.

    Args:
        observed_linear: colours, linear RGB.
        albedo_linear: of the same points.
        basis: irradiance over π at each point of each coefficient at strength one.
        weights: of the points, not negative.
    """
    share = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-9)
    ridge = basis.new_tensor([CONSTANT_RIDGE] + [DIRECTIONAL_RIDGE] * 8).diag()
    channels = []
    for channel in range(3):
        design = basis * albedo_linear[..., channel, None]
        weighted = design * share[..., None]
        brightness = (share * albedo_linear[..., channel].square()).sum(dim=1)
        system = weighted.mT @ design + (brightness[:, None, None] + 1e-9) * ridge
        channels.append(torch.linalg.solve(system, weighted.mT @ observed_linear[..., channel, None]))
    return torch.cat(channels, dim=-1)

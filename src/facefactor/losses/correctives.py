# SPDX-License-Identifier: Apache-2.0
"""What corrections of a face model may look like (arXiv:1712.02859, section 6.2; torch).

Without these a corrective space, which is nothing but free vertices at first, would take in noise, light and hair:

    smoothness       Σ over edges ‖d_i − d_j‖²                            displacements of neighbours are alike
    sparsity         Σ over edges w_ij ‖a_i − a_j‖^p, p = 0.9              albedo changes at few places, and
                     w_ij = exp(−50 ‖chroma_i − chroma_j‖)                 where the photo's chroma does
    constancy        Σ over random pairs of skin ‖a_i − a_j‖²              skin is about the same all over the face
    stabilisation    Σ ‖d_i‖², Σ ‖a_i‖²                                    corrections are small

with d the corrective displacement in millimetres and a the corrective change of log albedo. The paper measures sparsity
and constancy on the whole albedo; the base albedo here is a prior's own, whose lips and brows need no leave.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

SPARSITY_POWER = 0.9
CHROMA_DECAY = 50.0
LEAST_DIFFERENCE = 1e-3
"""Added in quadrature below the power, whose slope at zero is infinite."""


def smoothness(
    displacement_mm: Float[Tensor, "batch moved 3"], edges: Int[Tensor, "edges 2"]
) -> Float[Tensor, " batch"]:
    """Mean squared difference of neighbours' displacements, mm²."""
    return _differences(displacement_mm, edges).square().sum(dim=-1).mean(dim=-1)


def reflectance_sparsity(
    log_albedo: Float[Tensor, "batch moved 3"],
    chroma: Float[Tensor, "batch moved 3"],
    edges: Int[Tensor, "edges 2"],
) -> Float[Tensor, " batch"]:
    """Mean p-norm of neighbours' differences, where the photo's chroma does not change.

    Args:
        log_albedo: corrective change.
        chroma: of the photo at the vertices, see `chroma_of`; no gradient passes to it.
        edges: of neighbours.
    """
    weights = torch.exp(-CHROMA_DECAY * _differences(chroma.detach(), edges).norm(dim=-1))
    squared = _differences(log_albedo, edges).square().sum(dim=-1) + LEAST_DIFFERENCE**2
    return (weights * squared ** (SPARSITY_POWER / 2)).mean(dim=-1)


def reflectance_constancy(
    log_albedo: Float[Tensor, "batch moved 3"], skin: Int[Tensor, " skin"]
) -> Float[Tensor, " batch"]:
    """Mean squared difference of random pairs of skin, one partner for each place, drawn by torch's generator."""
    values = log_albedo[:, skin]
    partners = torch.randperm(len(skin), device=log_albedo.device)
    return (values - values[:, partners]).square().sum(dim=-1).mean(dim=-1)


def magnitude(correction: Float[Tensor, "batch moved 3"]) -> Float[Tensor, " batch"]:
    """Mean squared length."""
    return correction.square().sum(dim=-1).mean(dim=-1)


def chroma_of(colour_srgb: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Share of each channel in a colour."""
    return colour_srgb / colour_srgb.sum(dim=-1, keepdim=True).clamp_min(0.05)


def _differences(values: Tensor, edges: Tensor) -> Float[Tensor, "batch edges 3"]:
    return values[:, edges[:, 0]] - values[:, edges[:, 1]]

# SPDX-License-Identifier: Apache-2.0
"""How plausible a code is before any photo is seen.

Coefficients of shape and reflectance are standard deviations, so their prior is ½‖·‖² (MoFA, arXiv:1703.10580, eq. 10).
Expression weights are one-sided and mostly near zero, so theirs has a linear part as well.
"""

from jaxtyping import Float
from torch import Tensor


def gaussian_prior(coefficients: Float[Tensor, "batch coeffs"]) -> Float[Tensor, " batch"]:
    """½ Σ c², c in standard deviations."""
    return 0.5 * coefficients.square().sum(dim=-1)


def expression_prior(expression: Float[Tensor, "batch 52"]) -> Float[Tensor, " batch"]:
    """Σ (δ² / 2 + δ / 4): weights of weak evidence go to exactly zero."""
    return (0.5 * expression.square() + 0.25 * expression).sum(dim=-1)

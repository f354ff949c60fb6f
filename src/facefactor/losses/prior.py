# SPDX-License-Identifier: Apache-2.0
"""How plausible a code is before any photo is seen.

Coefficients of shape and reflectance are standard deviations, so their prior is ½‖·‖² (MoFA, arXiv:1703.10580, eq. 10).
Expression weights are one-sided and mostly near zero, so theirs has a linear part as well.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from facefactor.camera.projection import depth_from_camera
from facefactor.code.face_code import NOMINAL_DISTANCE_MM

DISTANCE_SPREAD_MM = 70.0
"""Standard deviation of a head's distance from NOMINAL_DISTANCE_MM, where its crop puts it."""


def gaussian_prior(coefficients: Float[Tensor, "batch coeffs"]) -> Float[Tensor, " batch"]:
    """½ Σ c², c in standard deviations."""
    return 0.5 * coefficients.square().sum(dim=-1)


def expression_prior(expression: Float[Tensor, "batch 52"]) -> Float[Tensor, " batch"]:
    """Σ (δ² / 2 + δ / 4): weights of weak evidence go to exactly zero."""
    return (0.5 * expression.square() + 0.25 * expression).sum(dim=-1)


def distance_prior(translation: Float[Tensor, "batch 3"]) -> Float[Tensor, " batch"]:
    """½ ((z − z₀) / σ_z)² of heads in a crop's camera, millimetres."""
    return 0.5 * ((depth_from_camera(translation) - NOMINAL_DISTANCE_MM) / DISTANCE_SPREAD_MM).square()


@dataclass(frozen=True)
class StartTrust:
    """How much a search trusts the shape and expression that it starts from: inverse variances about them."""

    shape: float = 0.0
    """Of coefficients in standard deviations."""
    expression: float = 0.0
    """Of weights in [0, 1]."""

    def distance(
        self, shape_moved: Float[Tensor, "batch coeffs"], expression_moved: Float[Tensor, "batch 52"]
    ) -> Float[Tensor, " batch"]:
        """½ (Σ Δα² / σ_α² + Σ Δδ² / σ_δ²), Δ from the start."""
        shape, expression = (moved.square().sum(dim=-1) for moved in (shape_moved, expression_moved))
        return 0.5 * (self.shape * shape + self.expression * expression)


NO_TRUST = StartTrust()

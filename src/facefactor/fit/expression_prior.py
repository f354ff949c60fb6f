# SPDX-License-Identifier: Apache-2.0
"""What expressions are likely before any photo is seen, for fits to landmarks (torch).

Landmarks alone leave open which of 52 muscles moved a point. Weights about zero on their own spread every movement over
many of them; a population knows what goes together: a smile raises the upper lip, and both sides of a face do about
the same.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facefactor.code.face_code import EXPRESSION_SIZE
from facefactor.data.random_codes import draw_expression
from facefactor.fit.geometry_stage import EXPRESSION_SPREAD

NUM_DRAWN, LEAST_EXPRESSION_SPREAD = 2000, 0.04
"""Random expressions whose distribution is the prior, and what is added to the spread of each weight."""


@dataclass(frozen=True, eq=False)
class ExpressionPrior:
    """A normal distribution of expression weights."""

    mean: Float[Tensor, "52"]
    precision: Float[Tensor, "52 52"]
    """Inverse of the covariance."""

    def distance(self, expression: Float[Tensor, "batch 52"]) -> Float[Tensor, " batch"]:
        """Half the squared Mahalanobis distance from the mean."""
        from_mean = expression - self.mean.to(expression)
        return 0.5 * (from_mean @ self.precision.to(expression) * from_mean).sum(dim=-1)

    @classmethod
    def independent(cls) -> "ExpressionPrior":
        """Every weight about zero on its own, as in `geometry_stage`."""
        return cls(torch.zeros(EXPRESSION_SIZE), torch.eye(EXPRESSION_SIZE) / EXPRESSION_SPREAD**2)


@functools.cache
def expressions_of_random_faces() -> ExpressionPrior:
    """The prior that says of expressions what `random_codes` draws: what goes together, and that most weights are 0."""
    weights = np.stack([draw_expression(np.random.default_rng(number)) for number in range(NUM_DRAWN)])
    covariance = np.cov(weights.T) + LEAST_EXPRESSION_SPREAD**2 * np.eye(weights.shape[1])
    mean, precision = weights.mean(axis=0), np.linalg.inv(covariance)
    return ExpressionPrior(torch.from_numpy(mean).float(), torch.from_numpy(precision).float())

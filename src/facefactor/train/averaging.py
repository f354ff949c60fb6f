# SPDX-License-Identifier: Apache-2.0
"""The exponential moving average of a model's weights over training steps, which is what is validated and shipped.

    averaged ← d · averaged + (1 − d) · weights,    d = min(decay, (1 + step) / (10 + step))

Early in a run d is smaller, so that the random start is soon forgotten.
"""

import copy

import torch
from torch import nn


class AveragedModel:
    """A copy of a model that follows it.

    Args:
        model: at its start.
        decay: share of the old average that stays at each step, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Follow the weights and the normalisations' statistics after a step; counts are copied."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = model.state_dict()
        for name, averaged in self.model.state_dict().items():
            if averaged.is_floating_point():
                averaged.lerp_(current[name], 1.0 - decay)
            else:
                averaged.copy_(current[name])

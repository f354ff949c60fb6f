# SPDX-License-Identifier: Apache-2.0
"""Linear points as a torch module, which moves between devices; the formula is that of `linear_bases.py`."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.linear_bases import BLINK_INDICES, LinearBases, Mixture, in_triangles, linear_weights
from facefactor.face.model import FaceModel


class LinearPoints(nn.Module):
    """Points that are linear in the vertices, as functions of shape and expression.

    Args:
        model: the face model.
        mixture: which points.
    """

    mean: Tensor
    basis: Tensor
    blink_basis: Tensor
    blink_places: Tensor

    def __init__(self, model: FaceModel, mixture: Mixture) -> None:
        super().__init__()
        for name, array in vars(LinearBases.of(model, mixture)).items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)

    @property
    def num_shape(self) -> int:
        """Number of shape coefficients."""
        return len(self.basis) - len(EXPRESSION_NAMES)

    def place(
        self, shape: Float[Tensor, "batch coeffs"], expression: Float[Tensor, "batch 52"]
    ) -> Float[Tensor, "batch points 3"]:
        """Place the points of faces; head frame, millimetres.

        Args:
            shape: standard deviations.
            expression: ARKit weights in [0, 1].
        """
        bases = LinearBases(self.mean, self.basis, self.blink_basis, self.blink_places)
        return bases.points(*linear_weights(shape, expression))

    def tangents(
        self, shape: Float[Tensor, "batch coeffs"], expression: Float[Tensor, "batch 52"]
    ) -> Float[Tensor, "batch points both 3"]:
        """How the points move with each coefficient, shape before expression: the derivatives of `place`.

        mouthClose is taken to be at most jawOpen, where bounding it changes nothing.

        Args:
            shape: standard deviations.
            expression: ARKit weights in [0, 1].
        """
        fixed = self.basis.unflatten(1, (-1, 3)).transpose(0, 1)
        moved = fixed.expand(len(shape), -1, -1, -1).clone()
        blinking = self.blink_places.nonzero()[:, 0]
        blinks = self.blink_basis.unflatten(0, (2, -1)).unflatten(2, (-1, 3))
        num_blinking = blinks.shape[1]  # corrections move no blink
        closed = expression[:, BLINK_INDICES]
        moved[:, blinking, :num_blinking] += torch.einsum("be,eknc->bnkc", closed, blinks)
        columns = [self.num_shape + index for index in BLINK_INDICES]
        moved[:, blinking[:, None], columns] += torch.einsum("bk,eknc->bnec", shape[:, :num_blinking], blinks)
        return moved


def dense_landmarks(model: FaceModel) -> LinearPoints:
    """The 478 MediaPipe points of a model."""
    return LinearPoints(model, in_triangles(model.landmarks478_vertices, model.landmarks478_weights))

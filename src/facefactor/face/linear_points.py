# SPDX-License-Identifier: Apache-2.0
"""Points that are fixed mixtures of vertices, such as landmarks, straight from the coefficients (torch).

What is linear in the vertices has bases of its own, so a landmark need not wait for the mesh:

    points = mean + [α, δ] [B_shape; B_expr] + blinks,      blinks = [δ_left α, δ_right α] [B_left; B_right]

which is the formula of `morph.py` as one matrix product per batch, where blinks move only some points. The fit takes
exact Jacobians of it, and `infer/` exports it. A test holds it to `MorphableFace`.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.model import FaceModel
from facefactor.face.morph import BLINK_INDICES, bound_mouth_close

Mixture = Callable[[np.ndarray], np.ndarray]
"""Takes values at the vertices (V, 3) to values at the points (P, 3)."""


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
        basis = np.stack([mixture(mode) for mode in (*model.shape_basis, *model.expression_basis)])
        blinks = np.stack([mixture(_spread(model, mode)) for side in model.blink_basis for mode in side])
        blinking = np.flatnonzero(blinks.any(axis=(0, 2)))
        places = np.zeros(basis.shape[1], dtype=np.int64)
        places[blinking] = 1 + np.arange(len(blinking))
        self.register_buffer("mean", _tensor(mixture(model.mean).reshape(-1)))
        self.register_buffer("basis", _tensor(basis.reshape(len(basis), -1)))
        self.register_buffer("blink_basis", _tensor(blinks[:, blinking].reshape(len(blinks), -1)))
        self.register_buffer("blink_places", torch.from_numpy(places))

    def forward(
        self, weights: Float[Tensor, "batch coeffs"], blink_weights: Float[Tensor, "batch products"]
    ) -> Float[Tensor, "batch points 3"]:
        """Place the points; head frame, millimetres."""
        placed = (self.mean + weights @ self.basis).unflatten(1, (-1, 3))
        blinks = (blink_weights @ self.blink_basis).unflatten(1, (-1, 3))
        # Row 0 is for what no blink moves: a gather is faster than adding to some of the rows.
        return placed + nn.functional.pad(blinks, (0, 0, 1, 0)).index_select(1, self.blink_places)

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
        return self(*linear_weights(shape, expression))

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
        blinks = self.blink_basis.unflatten(0, (2, self.num_shape)).unflatten(2, (-1, 3))
        closed = expression[:, BLINK_INDICES]
        moved[:, blinking, : self.num_shape] += torch.einsum("be,eknc->bnkc", closed, blinks)
        columns = [self.num_shape + index for index in BLINK_INDICES]
        moved[:, blinking[:, None], columns] += torch.einsum("bk,eknc->bnec", shape, blinks)
        return moved


def linear_weights(
    shape: Float[Tensor, "batch coeffs"], expression: Float[Tensor, "batch 52"]
) -> tuple[Float[Tensor, "batch both"], Float[Tensor, "batch products"]]:
    """What multiplies the bases of `LinearPoints`: [α, δ] and [δ_left α, δ_right α]."""
    expression = bound_mouth_close(expression)
    left, right = (expression[:, index, None] for index in BLINK_INDICES)
    return torch.cat((shape, expression), dim=1), torch.cat((left * shape, right * shape), dim=1)


def in_triangles(corners: np.ndarray, weights: np.ndarray) -> Mixture:
    """The mixture for points fixed in triangles, given as (P, 3) vertex ids and barycentric weights."""
    return lambda values: (values[corners] * weights[..., None]).sum(axis=1)


def dense_landmarks(model: FaceModel) -> LinearPoints:
    """The 478 MediaPipe points of a model."""
    return LinearPoints(model, in_triangles(model.landmarks478_vertices, model.landmarks478_weights))


def _spread(model: FaceModel, blink: np.ndarray) -> np.ndarray:
    full = np.zeros_like(model.mean)
    full[model.blink_vertices] = blink
    return full


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

# SPDX-License-Identifier: Apache-2.0
"""Points that are fixed mixtures of vertices, such as landmarks, straight from the coefficients.

What is linear in the vertices has bases of its own, so a landmark need not wait for the mesh:

    points = mean + [α, δ] [B_shape; B_expr] + blinks,      blinks = [δ_left α, δ_right α] [B_left; B_right]

which is the formula of `morph.py` as one matrix product per batch, where blinks move only some points. For numpy arrays
and torch tensors; `linear_points.py` has them as a torch module. A test holds it to `MorphableFace`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic

import numpy as np
from array_api_compat import device

from facefactor.arrays import Array, array_namespace
from facefactor.code.face_code import SHAPE_SIZE
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.model import FaceModel

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BLINK_INDICES = (EXPRESSION_NAMES.index("eyeBlinkLeft"), EXPRESSION_NAMES.index("eyeBlinkRight"))
JAW_OPEN = EXPRESSION_NAMES.index("jawOpen")
MOUTH_CLOSE = EXPRESSION_NAMES.index("mouthClose")

Mixture = Callable[[np.ndarray], np.ndarray]
"""Takes values at the vertices (V, 3) to values at the points (P, 3)."""


@dataclass(frozen=True, eq=False)
class LinearBases(Generic[Array]):
    """Bases of some points; row 0 of the blinks stands for the points that no blink moves."""

    mean: Float[Array, " coordinates"]
    """x, y, z of each point in turn."""
    basis: Float[Array, "coeffs coordinates"]
    """Shape before expression."""
    blink_basis: Float[Array, "products moving"]
    blink_places: Int[Array, " points"]
    """For each point its number among those that blinks move, from 1; 0 for the others."""

    @classmethod
    def of(cls, model: FaceModel, mixture: Mixture) -> LinearBases[np.ndarray]:
        """Lay out the bases, float32.

        Args:
            model: the face model.
            mixture: which points.
        """
        basis = np.stack([mixture(mode) for mode in (*model.shape_basis, *model.expression_basis)])
        blink_basis = model.blink_basis[:, :SHAPE_SIZE]
        blinks = np.stack([mixture(_spread(model, mode)) for side in blink_basis for mode in side])
        blinking = np.flatnonzero(blinks.any(axis=(0, 2)))
        places = np.zeros(basis.shape[1], dtype=np.int64)
        places[blinking] = 1 + np.arange(len(blinking))
        arrays = mixture(model.mean).reshape(-1), basis.reshape(len(basis), -1), blinks[:, blinking]
        mean, basis, blinks = (np.ascontiguousarray(array, dtype=np.float32) for array in arrays)
        return LinearBases(mean, basis, blinks.reshape(len(blinks), -1), places)

    def map(self, function: Callable[[Array], Any]) -> LinearBases[Any]:
        """Apply a function to every array, such as `torch.from_numpy`."""
        return LinearBases(*(function(getattr(self, field.name)) for field in fields(self)))

    def points(
        self, weights: Float[Array, "batch coeffs"], blink_weights: Float[Array, "batch products"]
    ) -> Float[Array, "batch points 3"]:
        """Place the points; head frame, millimetres. The weights are those of `linear_weights`."""
        xp = array_namespace(weights)
        placed = xp.reshape(self.mean + weights @ self.basis, (-1, len(self.blink_places), 3))
        blinks = xp.reshape(blink_weights @ self.blink_basis, (-1, self.blink_basis.shape[1] // 3, 3))
        still = xp.zeros((blinks.shape[0], 1, 3), dtype=blinks.dtype, device=device(blinks))
        # A gather is faster than adding to some of the rows.
        return placed + xp.take(xp.concat((still, blinks), axis=1), self.blink_places, axis=1)


def linear_weights(
    shape: Float[Array, "batch coeffs"], expression: Float[Array, "batch 52"]
) -> tuple[Float[Array, "batch both"], Float[Array, "batch products"]]:
    """What multiplies the bases: [α, δ] and [δ_left α, δ_right α], the latter without corrections, which move no blink.

    Args:
        shape: standard deviations.
        expression: ARKit weights in [0, 1].
    """
    xp = array_namespace(shape)
    expression = bound_mouth_close(expression)
    left, right = (expression[:, index, None] for index in BLINK_INDICES)
    base = shape[:, :SHAPE_SIZE]
    return xp.concat((shape, expression), axis=1), xp.concat((left * base, right * base), axis=1)


def bound_mouth_close(expression: Float[Array, "*batch 52"]) -> Float[Array, "*batch 52"]:
    """Hold mouthClose at or below jawOpen: it takes back the lips' part of jawOpen, and alone would tear the mouth.

    Args:
        expression: ARKit weights in [0, 1].
    """
    xp = array_namespace(expression)
    bounded = xp.minimum(expression[..., MOUTH_CLOSE], expression[..., JAW_OPEN])[..., None]
    return xp.concat((expression[..., :MOUTH_CLOSE], bounded, expression[..., MOUTH_CLOSE + 1 :]), axis=-1)


def in_triangles(corners: np.ndarray, weights: np.ndarray) -> Mixture:
    """The mixture for points fixed in triangles, given as (P, 3) vertex ids and barycentric weights."""
    return lambda values: (values[corners] * weights[..., None]).sum(axis=1)


def _spread(model: FaceModel, blink: np.ndarray) -> np.ndarray:
    full = np.zeros_like(model.mean)
    full[model.blink_vertices] = blink
    return full

# SPDX-License-Identifier: Apache-2.0
"""Pose, shape and expression of many faces at once from their landmarks, starting at what a network answered.

Minimises what `geometry_stage` minimises, with its weights, by the same damped Gauss–Newton steps; but for a batch of
faces side by side, with the derivatives written out, and from codes that are nearly right, so that a few steps are
enough: a hundred faces a second and more on one core. Breeding uses it, and whoever needs a pose for many photos. The
prior on expressions can be that of a population, which knows what weights go together: a smile raises the upper lip,
and both sides of a face do about the same. And the start can be trusted: shape and expression then stay near it.

With p the projection of x = R h(α, δ) + t, h the point in the head frame and R turned on by small angles ω about the
camera's axes:

    dx = ω × R h + dt + R (∂h/∂α dα + ∂h/∂δ dδ),      dp = f/d (dx_x + x dx_z / d, −dx_y − y dx_z / d),    d = −z
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_axis_angle
from facefactor.camera.projection import depth_from_camera, project_points
from facefactor.code.face_code import NOMINAL_DISTANCE_MM, FaceCode
from facefactor.face.linear_bases import bound_mouth_close
from facefactor.face.linear_points import LinearPoints
from facefactor.fit.expression_prior import ExpressionPrior
from facefactor.fit.geometry_stage import (
    INDEPENDENT_POINTS,
    LANDMARK_SPREAD,
)
from facefactor.losses.prior import DISTANCE_SPREAD_MM, NO_TRUST, StartTrust

STEPS = 5
"""From a trained network's answer; farther starts need more."""
FIRST_DAMPING = 1e-2
POSE_SIZE = 6
"""Turn and translation, the first columns of the Jacobian."""


class _State(NamedTuple):
    """The unknowns of a batch."""

    R: Float[Tensor, "batch 3 3"]
    t: Float[Tensor, "batch 3"]
    shape: Float[Tensor, "batch coeffs"]
    expression: Float[Tensor, "batch 52"]


class BatchGeometry:
    """Fits batches of faces with one face model.

    Args:
        landmarks: of the face model.
        K: the crops' intrinsics.
        crop_size_px: side of the crops.
        steps: Gauss–Newton steps.
        expression: prior; independent weights when left out.
        landmark_spread: standard deviation of the detected points, in crop sides.
        trust: in the start.
    """

    def __init__(
        self,
        landmarks: LinearPoints,
        K: Float[Tensor, "3 3"],
        crop_size_px: float,
        steps: int = STEPS,
        expression: ExpressionPrior | None = None,
        landmark_spread: float = LANDMARK_SPREAD,
        trust: StartTrust = NO_TRUST,
    ) -> None:
        self._landmarks, self._K, self._steps = landmarks, K, steps
        self._spread_px = landmark_spread * crop_size_px
        self._expression, self._trust = expression or ExpressionPrior.independent(), trust

    @torch.no_grad()
    def fit(
        self,
        start: FaceCode[Tensor],
        detected_px: Float[Tensor, "batch landmarks 2"],
        weights: Float[Tensor, "batch landmarks"],
    ) -> FaceCode[Tensor]:
        """Fit pose, shape and expression; light and reflectance stay as they are.

        Args:
            start: codes near the answer, in the crops' camera.
            detected_px: in the crops.
            weights: non-negative, zero for points not to be trusted, not all zero.
        """
        scale = (weights * (INDEPENDENT_POINTS / weights.sum(dim=1, keepdim=True))).sqrt()
        scale = scale / self._spread_px
        R = matrix_from_axis_angle(start.rotation)
        first = state = _State(R, start.translation, start.full_shape, bound_mouth_close(start.expression))
        damping = start.shape.new_full((len(start.shape), 1), FIRST_DAMPING)
        residuals, points = self._residuals(state, detected_px, scale)
        value = self._sum_of_squares(residuals, state, first)
        for _ in range(self._steps):
            candidate = _moved(state, self._step(state, first, points, residuals, scale, damping))
            candidate_residuals, candidate_points = self._residuals(candidate, detected_px, scale)
            lower = self._sum_of_squares(candidate_residuals, candidate, first)
            is_better = lower < value
            state = _State(*(_choose(is_better, new, old) for new, old in zip(candidate, state, strict=True)))
            residuals, points = (
                _choose(is_better, candidate_residuals, residuals),
                _choose(is_better, candidate_points, points),
            )
            value = torch.where(is_better, lower, value)
            damping = torch.where(is_better[:, None], damping / 5, damping * 5)
        pose = axis_angle_from_matrix(state.R), state.t
        return start.with_pose(*pose).with_full_shape(state.shape).with_expression(state.expression)

    def _residuals(self, state: _State, detected_px: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted distances (B, P, 2), and the points they are of, turned but not moved: R h (B, P, 3)."""
        turned = self._landmarks.place(state.shape, state.expression) @ state.R.mT
        placed = project_points(turned + state.t[:, None], self._K)
        return scale[..., None] * (placed - detected_px), turned

    def _step(
        self, state: _State, first: _State, points: Tensor, residuals: Tensor, scale: Tensor, damping: Tensor
    ) -> Tensor:
        """The damped Gauss–Newton step (B, 6 + both)."""
        J = self._jacobian(state, points, scale)
        normal, gradient = J.mT @ J, (J.mT @ residuals.flatten(1)[..., None])[..., 0]
        precision, pull = self._prior(state, first)
        normal += precision
        gradient = gradient + pull
        held = _held_at_bound(state, gradient)
        normal.masked_fill_(held[:, :, None] | held[:, None, :], 0.0)
        gradient = gradient.masked_fill(held, 0.0)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        diagonal += damping * diagonal.clamp_min(1e-6) + held.to(normal)
        factor = torch.linalg.cholesky(normal)
        return -torch.cholesky_solve(gradient[..., None], factor)[..., 0]

    def _prior(self, state: _State, first: _State) -> tuple[Tensor, Tensor]:
        """Second derivatives (both halved) and gradients of the priors, (6 + both, 6 + both) and (B, 6 + both)."""
        distance = state.t.new_zeros(POSE_SIZE, POSE_SIZE)
        distance[-1, -1] = 1 / DISTANCE_SPREAD_MM**2
        precision = torch.block_diag(distance, torch.eye(state.shape.shape[1]), self._expression.precision)
        from_mean = (
            state.t.new_zeros(len(state.t), POSE_SIZE - 1),
            state.t[:, 2:] + NOMINAL_DISTANCE_MM,
            state.shape,
            state.expression - self._expression.mean,
        )
        trust = state.t.new_zeros(len(precision))
        trust[POSE_SIZE : -state.expression.shape[1]] = self._trust.shape
        trust[-state.expression.shape[1] :] = self._trust.expression
        from_first = (
            state.t.new_zeros(len(state.t), POSE_SIZE),
            state.shape - first.shape,
            state.expression - first.expression,
        )
        pull = torch.cat(from_mean, dim=1) @ precision + trust * torch.cat(from_first, dim=1)
        return precision + trust.diag(), pull

    def _sum_of_squares(self, residuals: Tensor, state: _State, first: _State) -> Tensor:
        """What is minimised, (B,)."""
        distance = (depth_from_camera(state.t) - NOMINAL_DISTANCE_MM) / DISTANCE_SPREAD_MM
        expression = state.expression - self._expression.mean
        squares = [part.square().sum(dim=1) for part in (residuals.flatten(1), state.shape)]
        squares.append((expression @ self._expression.precision * expression).sum(dim=1))
        squares.append(2 * self._trust.distance(state.shape - first.shape, state.expression - first.expression))
        return sum(squares, start=distance.square())

    def _jacobian(self, state: _State, points: Tensor, scale: Tensor) -> Tensor:
        """Derivatives of the weighted pixels, (B, 2 P, 6 + both)."""
        x, y, z = (points + state.t[:, None]).unbind(dim=-1)
        gain = scale * self._K[0, 0] / -z
        zero = torch.zeros_like(gain)
        to_pixels = torch.stack((gain, zero, -gain * x / z, zero, -gain, gain * y / z), dim=-1).unflatten(-1, (2, 3))
        rotation = to_pixels @ -_cross_product(points)
        tangents = self._landmarks.tangents(state.shape, state.expression)
        linear = (to_pixels @ state.R[:, None]) @ tangents.mT
        return torch.cat((rotation, to_pixels, linear), dim=-1).flatten(1, 2)


def _moved(state: _State, step: Tensor) -> _State:
    num_shape = state.shape.shape[1]
    turn, shift, shape, expression = step.split((3, 3, num_shape, step.shape[1] - POSE_SIZE - num_shape), dim=1)
    return _State(
        matrix_from_axis_angle(turn) @ state.R,
        state.t + shift,
        state.shape + shape,
        bound_mouth_close((state.expression + expression).clamp(0.0, 1.0)),
    )


def _held_at_bound(state: _State, gradient: Tensor) -> Tensor:
    """Which unknowns are expression weights that sit at 0 or 1 and want to go further, (B, 6 + both)."""
    wanted = gradient[:, -state.expression.shape[1] :]
    held = ((state.expression <= 0) & (wanted > 0)) | ((state.expression >= 1) & (wanted < 0))
    return torch.nn.functional.pad(held, (gradient.shape[1] - held.shape[1], 0))


def _choose(is_better: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(is_better.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _cross_product(vectors: Tensor) -> Tensor:
    """Matrices (…, 3, 3) that multiply by v as v × does."""
    x, y, z = vectors.unbind(dim=-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))

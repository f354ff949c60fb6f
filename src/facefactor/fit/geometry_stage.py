# SPDX-License-Identifier: Apache-2.0
"""First stage of the fit: pose, shape and expression from landmarks alone, by damped Gauss–Newton.

Minimises

    Σ_l w_l ‖(p_l − q_l) / σ‖² + ‖α‖² + ‖δ / σ_δ‖² + ((z − z₀) / σ_z)²

over pose (axis-angle, translation), shape α and expression δ ∈ [0, 1], where p_l are projected model landmarks and q_l
detected ones. From the mean face looking at the camera; pose first, then everything.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_axis_angle, matrix_from_euler_deg, move_to_camera
from facefactor.camera.projection import project_points
from facefactor.code.face_code import NOMINAL_DISTANCE_MM
from facefactor.face.linear_points import LinearPoints
from facefactor.losses.prior import DISTANCE_SPREAD_MM

LANDMARK_SPREAD = 0.006
"""Standard deviation of a detected point, in crop sides."""
INDEPENDENT_POINTS = 200.0
"""Errors of neighbouring points go together: all points count as much as this many independent ones."""
EXPRESSION_SPREAD = 0.3
POSE_ITERATIONS, FULL_ITERATIONS = 12, 12
START_YAWS_DEG = (0.0, -50.0, 50.0)
"""Poses tried as starts; the one that fits best is kept."""


@dataclass(frozen=True)
class Geometry:
    """Pose, shape and expression of one face in the crop's camera."""

    rotation: Float[Tensor, "3"]
    translation: Float[Tensor, "3"]
    shape: Float[Tensor, " coeffs"]
    expression: Float[Tensor, "52"]


def fit_geometry(
    landmarks: LinearPoints,
    detected_px: Float[Tensor, "landmarks 2"],
    weights: Float[Tensor, " landmarks"],
    K: Float[Tensor, "3 3"],
    crop_size_px: float,
) -> Geometry:
    """Fit pose, shape and expression to detected landmarks.

    Args:
        landmarks: of the face model.
        detected_px: in the crop.
        weights: non-negative, zero for points not to be trusted.
        K: the crop's intrinsics.
        crop_size_px: side of the crop.
    """
    num_shape = landmarks.num_shape
    scale = (weights * (INDEPENDENT_POINTS / weights.sum())).sqrt() / (LANDMARK_SPREAD * crop_size_px)

    def landmark_residuals(x: Tensor) -> Tensor:
        geometry = _unpack(x, num_shape)
        R = matrix_from_axis_angle(geometry.rotation)
        points_head = landmarks.place(geometry.shape[None], geometry.expression[None])[0]
        points = move_to_camera(points_head, R, geometry.translation)
        return (scale[:, None] * (project_points(points, K) - detected_px)).flatten()

    def residuals(x: Tensor) -> Tensor:
        geometry = _unpack(x, num_shape)
        distance = (geometry.translation[2:] + NOMINAL_DISTANCE_MM) / DISTANCE_SPREAD_MM
        priors = torch.cat([geometry.shape, geometry.expression / EXPRESSION_SPREAD, distance])
        return torch.cat([landmark_residuals(x), priors])

    starts = [_start(yaw, num_shape, detected_px) for yaw in START_YAWS_DEG]
    posed = [_minimise(residuals, x, slice(0, 6), POSE_ITERATIONS) for x in starts]
    best = min(posed, key=lambda x: float(landmark_residuals(x).square().sum()))
    return _unpack(_minimise(residuals, best, slice(0, len(best)), FULL_ITERATIONS), num_shape)


def _minimise(residuals: Callable[[Tensor], Tensor], x: Tensor, free: slice, iterations: int) -> Tensor:
    """Levenberg–Marquardt on x[free], expression projected to [0, 1] after each step."""
    damping = 1e-2
    value = residuals(x).square().sum()
    for _ in range(iterations):
        J = torch.func.jacfwd(residuals)(x)[:, free]
        normal, gradient = J.T @ J, J.T @ residuals(x)
        held = _held_at_bound(x, gradient, free)
        normal[held], normal[:, held], gradient[held] = 0, 0, 0
        for _ in range(4):
            diagonal = torch.diag(damping * normal.diagonal().clamp_min(1e-6) + held.to(normal))
            candidate = x.clone()
            candidate[free] -= torch.linalg.solve(normal + diagonal, gradient)
            candidate[-52:] = candidate[-52:].clamp(0, 1)
            lower = residuals(candidate).square().sum()
            if lower < value:
                x, value, damping = candidate, lower, damping / 5
                break
            damping *= 5
        else:
            break
    return x


def _held_at_bound(x: Tensor, gradient: Tensor, free: slice) -> Tensor:
    """Which free expression weights sit at 0 or 1 and want to go further."""
    is_expression = torch.zeros(len(x), dtype=torch.bool)
    is_expression[-52:] = True
    at, wanted = x[free], is_expression[free]
    return wanted & (((at <= 0) & (gradient > 0)) | ((at >= 1) & (gradient < 0)))


def _start(yaw_deg: float, num_shape: int, like: Tensor) -> Tensor:
    x = like.new_zeros(6 + num_shape + 52)
    x[:3] = axis_angle_from_matrix(matrix_from_euler_deg(like.new_tensor([yaw_deg, 0.0, 0.0])))
    x[5] = -NOMINAL_DISTANCE_MM
    return x


def _unpack(x: Tensor, num_shape: int) -> Geometry:
    return Geometry(x[:3], x[3:6], x[6 : 6 + num_shape], x[6 + num_shape :])

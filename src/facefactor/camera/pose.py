# SPDX-License-Identifier: Apache-2.0
"""Head frame to camera frame: rotations in the forms people and optimisers want, and the rigid motion itself.

Both frames are right-handed with x to the image right, y up and z toward the viewer, in millimetres:

    x_camera = R x_head + t,    R = Rz(-roll) Ry(yaw) Rx(-pitch)

so yaw > 0 turns the subject to image right, pitch > 0 looks up, roll > 0 is clockwise in the image. The axis-angle
form is Rodrigues' formula, R = I + (sin θ / θ) W + ((1 - cos θ) / θ²) W², with W the cross-product matrix of the
vector and θ its length; the way back goes through the quaternion (Shepperd 1978), which stays accurate near θ = π.
"""

import torch
from jaxtyping import Float
from torch import Tensor

SMALL_ANGLE_SQUARED = 1e-4
"""Below this θ² (0.6°) the series is used; its next term is smaller than float64 can hold beside one."""
GIMBAL_COSINE = 1e-6
"""Below this cosine of the yaw, pitch and roll turn about one axis and only their sum has a meaning."""


def matrix_from_axis_angle(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Turn axis-angle vectors into rotation matrices.

    Args:
        axis_angle: axis times angle in radians; any length, zero included, with right gradients.
    """
    angle_squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    is_small = angle_squared < SMALL_ANGLE_SQUARED
    half_angle = 0.5 * torch.sqrt(torch.where(is_small, torch.ones_like(angle_squared), angle_squared))
    sine_ratio = torch.where(
        is_small, 1.0 - angle_squared / 6.0 + angle_squared**2 / 120.0, torch.sin(2.0 * half_angle) / (2.0 * half_angle)
    )
    cosine_ratio = torch.where(
        is_small,
        0.5 - angle_squared / 24.0 + angle_squared**2 / 720.0,
        0.5 * (torch.sin(half_angle) / half_angle) ** 2,
    )
    cross = _cross_product_matrix(axis_angle)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + sine_ratio * cross + cosine_ratio * (cross @ cross)


def axis_angle_from_matrix(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Turn rotation matrices into the shortest axis-angle vectors, in radians, of length at most π.

    At exactly half a turn the two opposite axes are equally right, one of them is returned.
    """
    quaternion = _quaternion_from_matrix(matrix)
    quaternion = torch.where(quaternion[..., :1] < 0.0, -quaternion, quaternion)
    cosine, vector = quaternion[..., :1], quaternion[..., 1:]
    sine_squared = (vector * vector).sum(-1, keepdim=True)
    is_small = sine_squared < SMALL_ANGLE_SQUARED
    sine = torch.sqrt(torch.where(is_small, torch.ones_like(sine_squared), sine_squared))
    tangent_squared = sine_squared / torch.where(is_small, cosine * cosine, torch.ones_like(cosine))
    series = (1.0 - tangent_squared / 3.0 + tangent_squared**2 / 5.0) / torch.where(
        is_small, cosine, torch.ones_like(cosine)
    )
    return 2.0 * vector * torch.where(is_small, series, torch.atan2(sine, cosine) / sine)


def matrix_from_euler_deg(euler_deg: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Make R = Rz(-roll) Ry(yaw) Rx(-pitch).

    Args:
        euler_deg: yaw, pitch, roll in degrees.
    """
    yaw, pitch, roll = torch.deg2rad(euler_deg).unbind(-1)
    zero = torch.zeros_like(yaw)
    about_z = matrix_from_axis_angle(torch.stack((zero, zero, -roll), dim=-1))
    about_y = matrix_from_axis_angle(torch.stack((zero, yaw, zero), dim=-1))
    about_x = matrix_from_axis_angle(torch.stack((-pitch, zero, zero), dim=-1))
    return about_z @ about_y @ about_x


def euler_deg_from_matrix(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Read yaw in [-90, 90], pitch and roll in [-180, 180] from rotation matrices, in degrees.

    At a yaw of ±90° pitch and roll turn about one axis: the pitch is then called zero and the roll takes the whole.
    """
    yaw_cosine = torch.hypot(matrix[..., 0, 0], matrix[..., 1, 0])
    yaw = torch.atan2(-matrix[..., 2, 0], yaw_cosine)
    is_locked = yaw_cosine < GIMBAL_COSINE
    pitch = torch.where(is_locked, torch.zeros_like(yaw), -torch.atan2(matrix[..., 2, 1], matrix[..., 2, 2]))
    roll_sine = torch.where(is_locked, matrix[..., 0, 1], -matrix[..., 1, 0])
    roll_cosine = torch.where(is_locked, matrix[..., 1, 1], matrix[..., 0, 0])
    return torch.rad2deg(torch.stack((yaw, pitch, torch.atan2(roll_sine, roll_cosine)), dim=-1))


def move_to_camera(
    points_head: Float[Tensor, "*batch points 3"],
    rotation_matrix: Float[Tensor, "*batch 3 3"],
    translation_mm: Float[Tensor, "*batch 3"],
) -> Float[Tensor, "*batch points 3"]:
    """Move points from the head frame into the camera frame, x_camera = R x_head + t, millimetres."""
    return points_head @ rotation_matrix.mT + translation_mm[..., None, :]


def _cross_product_matrix(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).reshape(*vector.shape[:-1], 3, 3)


def _quaternion_from_matrix(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Read w, x, y, z by dividing by the largest of the four, so that nothing is lost near any angle."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in matrix.unbind(-2))
    diagonal = torch.stack((1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz), dim=-1)
    ww, aa, bb, cc = diagonal.unbind(-1)
    candidates = torch.stack(
        (
            torch.stack((ww, zy - yz, xz - zx, yx - xy), dim=-1),
            torch.stack((zy - yz, aa, yx + xy, xz + zx), dim=-1),
            torch.stack((xz - zx, yx + xy, bb, zy + yz), dim=-1),
            torch.stack((yx - xy, xz + zx, zy + yz, cc), dim=-1),
        ),
        dim=-2,
    )
    largest = diagonal.argmax(-1)[..., None, None].expand(*diagonal.shape, 1).transpose(-1, -2)
    chosen = torch.take_along_dim(candidates, largest, dim=-2)[..., 0, :]
    return chosen / torch.linalg.vector_norm(chosen, dim=-1, keepdim=True)

# SPDX-License-Identifier: Apache-2.0
"""Head frame to camera frame: rotations in the forms people and optimisers want, and the rigid motion itself.

Both frames are right-handed with x to the image right, y up and z toward the viewer, in millimetres:

    x_camera = R x_head + t,    R = Rz(-roll) Ry(yaw) Rx(-pitch)

so yaw > 0 turns the subject to image right, pitch > 0 looks up, roll > 0 is clockwise in the image. The axis-angle
form is Rodrigues' formula, R = I + (sin θ / θ) W + ((1 - cos θ) / θ²) W², with W the cross-product matrix of the
vector and θ its length; the way back goes through the quaternion (Shepperd 1978), which stays accurate near θ = π.
For numpy arrays and torch tensors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from facefactor.arrays import Array, array_namespace, constant_like, unit_vectors

if TYPE_CHECKING:
    from jaxtyping import Float

IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
SMALL_ANGLE_SQUARED = 1e-4
"""Below this θ² (0.6°) the series is used; its next term is smaller than float64 can hold beside one."""
GIMBAL_COSINE = 1e-6
"""Below this cosine of the yaw, pitch and roll turn about one axis and only their sum has a meaning."""


def matrix_from_axis_angle(axis_angle: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """Turn axis-angle vectors into rotation matrices.

    Args:
        axis_angle: axis times angle in radians; any length, zero included, with right gradients.
    """
    xp = array_namespace(axis_angle)
    angle_squared = xp.sum(axis_angle * axis_angle, axis=-1)[..., None, None]
    is_small = angle_squared < SMALL_ANGLE_SQUARED
    half_angle = 0.5 * xp.sqrt(xp.where(is_small, xp.ones_like(angle_squared), angle_squared))
    sine_ratio = xp.where(
        is_small, 1.0 - angle_squared / 6.0 + angle_squared**2 / 120.0, xp.sin(2.0 * half_angle) / (2.0 * half_angle)
    )
    cosine_ratio = xp.where(
        is_small,
        0.5 - angle_squared / 24.0 + angle_squared**2 / 720.0,
        0.5 * (xp.sin(half_angle) / half_angle) ** 2,
    )
    cross = _cross_product_matrix(axis_angle)
    return constant_like(IDENTITY, axis_angle) + sine_ratio * cross + cosine_ratio * (cross @ cross)


def axis_angle_from_matrix(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3"]:
    """Turn rotation matrices into the shortest axis-angle vectors, in radians, of length at most π.

    At exactly half a turn the two opposite axes are equally right, one of them is returned.
    """
    xp = array_namespace(matrix)
    quaternion = _quaternion_from_matrix(matrix)
    quaternion = xp.where(quaternion[..., :1] < 0.0, -quaternion, quaternion)
    cosine, vector = quaternion[..., :1], quaternion[..., 1:]
    sine_squared = xp.sum(vector * vector, axis=-1, keepdims=True)
    is_small, ones = sine_squared < SMALL_ANGLE_SQUARED, xp.ones_like(sine_squared)
    sine = xp.sqrt(xp.where(is_small, ones, sine_squared))
    tangent_squared = sine_squared / xp.where(is_small, cosine * cosine, ones)
    series = (1.0 - tangent_squared / 3.0 + tangent_squared**2 / 5.0) / xp.where(is_small, cosine, ones)
    return 2.0 * vector * xp.where(is_small, series, xp.atan2(sine, cosine) / sine)


def matrix_from_euler_deg(euler_deg: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """Make R = Rz(-roll) Ry(yaw) Rx(-pitch).

    Args:
        euler_deg: yaw, pitch, roll in degrees.
    """
    xp = array_namespace(euler_deg)
    angles = euler_deg * (math.pi / 180.0)
    yaw, pitch, roll = angles[..., 0], angles[..., 1], angles[..., 2]
    zero = xp.zeros_like(yaw)
    about_z = matrix_from_axis_angle(xp.stack((zero, zero, -roll), axis=-1))
    about_y = matrix_from_axis_angle(xp.stack((zero, yaw, zero), axis=-1))
    about_x = matrix_from_axis_angle(xp.stack((-pitch, zero, zero), axis=-1))
    return about_z @ about_y @ about_x


def euler_deg_from_matrix(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3"]:
    """Read yaw in [-90, 90], pitch and roll in [-180, 180] from rotation matrices, in degrees.

    At a yaw of ±90° pitch and roll turn about one axis: the pitch is then called zero and the roll takes the whole.
    """
    xp = array_namespace(matrix)
    yaw_cosine = xp.hypot(matrix[..., 0, 0], matrix[..., 1, 0])
    yaw = xp.atan2(-matrix[..., 2, 0], yaw_cosine)
    is_locked = yaw_cosine < GIMBAL_COSINE
    pitch = xp.where(is_locked, xp.zeros_like(yaw), -xp.atan2(matrix[..., 2, 1], matrix[..., 2, 2]))
    roll_sine = xp.where(is_locked, matrix[..., 0, 1], -matrix[..., 1, 0])
    roll_cosine = xp.where(is_locked, matrix[..., 1, 1], matrix[..., 0, 0])
    return xp.stack((yaw, pitch, xp.atan2(roll_sine, roll_cosine)), axis=-1) * (180.0 / math.pi)


def move_to_camera(
    points_head: Float[Array, "*batch points 3"],
    rotation_matrix: Float[Array, "*batch 3 3"],
    translation_mm: Float[Array, "*batch 3"],
) -> Float[Array, "*batch points 3"]:
    """Move points from the head frame into the camera frame, x_camera = R x_head + t, millimetres."""
    return points_head @ rotation_matrix.mT + translation_mm[..., None, :]


def _cross_product_matrix(vector: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    xp = array_namespace(vector)
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    zero = xp.zeros_like(x)
    rows = xp.stack((zero, -z, y, z, zero, -x, -y, x, zero), axis=-1)
    return xp.reshape(rows, (*vector.shape[:-1], 3, 3))


def _quaternion_from_matrix(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 4"]:
    """Read w, x, y, z by dividing by the largest of the four, so that nothing is lost near any angle."""
    xp = array_namespace(matrix)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = ([matrix[..., row, column] for column in range(3)] for row in range(3))
    diagonal = xp.stack((1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz), axis=-1)
    ww, aa, bb, cc = (diagonal[..., index] for index in range(4))
    candidates = xp.stack(
        (
            xp.stack((ww, zy - yz, xz - zx, yx - xy), axis=-1),
            xp.stack((zy - yz, aa, yx + xy, xz + zx), axis=-1),
            xp.stack((xz - zx, yx + xy, bb, zy + yz), axis=-1),
            xp.stack((yx - xy, xz + zx, zy + yz, cc), axis=-1),
        ),
        axis=-2,
    )
    largest = xp.argmax(diagonal, axis=-1)[..., None, None]
    chosen = xp.take_along_axis(candidates, xp.broadcast_to(largest, (*diagonal.shape[:-1], 1, 4)), axis=-2)
    return unit_vectors(chosen[..., 0, :])

# SPDX-License-Identifier: Apache-2.0
"""Rotations in their three forms, and the rigid motion into the camera frame."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck

from facefactor.camera.pose import (
    axis_angle_from_matrix,
    euler_deg_from_matrix,
    matrix_from_axis_angle,
    matrix_from_euler_deg,
    move_to_camera,
)

ANGLES_RAD = [0.0, 1e-9, 1e-4, 0.00999, 0.01001, 0.5, 2.0, 3.0, math.pi - 1e-3, math.pi - 1e-7]


def random_axis_angles(angle_rad, count=20, seed=0):
    axes = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return angle_rad * torch.nn.functional.normalize(axes, dim=-1)


@pytest.mark.parametrize("angle_rad", [*ANGLES_RAD, math.pi, 4.0, 7.0])
def test_matrices_agree_with_scipy(angle_rad):
    vectors = random_axis_angles(angle_rad)
    expected = Rotation.from_rotvec(vectors.numpy()).as_matrix()
    np.testing.assert_allclose(matrix_from_axis_angle(vectors).numpy(), expected, atol=1e-14)


@pytest.mark.parametrize("angle_rad", ANGLES_RAD)
def test_axis_angle_comes_back_from_the_matrix(angle_rad):
    vectors = random_axis_angles(angle_rad)
    returned = axis_angle_from_matrix(matrix_from_axis_angle(vectors))
    torch.testing.assert_close(returned, vectors, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("axis", [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.6, -0.8, 0]])
def test_half_a_turn_comes_back_as_one_of_its_two_axes(axis):
    vector = math.pi * torch.tensor(axis, dtype=torch.float64)
    returned = axis_angle_from_matrix(matrix_from_axis_angle(vector))
    assert min((returned - vector).norm(), (returned + vector).norm()) < 1e-12


@pytest.mark.parametrize("angle_rad", [0.0, 1e-5, 0.00999, 0.01001, 1.0, 3.1])
def test_gradients_of_the_rotation_are_right(angle_rad):
    vectors = random_axis_angles(angle_rad, count=2).requires_grad_()
    assert gradcheck(matrix_from_axis_angle, (vectors,))
    matrices = matrix_from_axis_angle(vectors.detach()).requires_grad_()
    assert gradcheck(axis_angle_from_matrix, (matrices,))


def test_the_rotation_is_accurate_in_float32():
    for angle_rad in ANGLES_RAD:
        vectors = random_axis_angles(angle_rad)
        difference = matrix_from_axis_angle(vectors.float()).double() - matrix_from_axis_angle(vectors)
        assert difference.abs().max() < 5e-7


@pytest.mark.parametrize(
    ("euler_deg", "point", "expected"),
    [
        ((90, 0, 0), (0, 0, 1), (1, 0, 0)),  # yaw > 0: the nose goes to image right
        ((0, 90, 0), (0, 0, 1), (0, 1, 0)),  # pitch > 0: the nose goes up
        ((0, 0, 90), (0, 1, 0), (1, 0, 0)),  # roll > 0: the top of the head goes to image right, clockwise
    ],
)
def test_convention_signs_of_yaw_pitch_and_roll(euler_deg, point, expected):
    matrix = matrix_from_euler_deg(torch.tensor(euler_deg, dtype=torch.float64))
    turned = matrix @ torch.tensor(point, dtype=torch.float64)
    torch.testing.assert_close(turned, torch.tensor(expected, dtype=torch.float64))


def test_convention_the_order_is_pitch_then_yaw_then_roll():
    yaw, pitch, roll = 30.0, 20.0, 10.0
    expected = Rotation.from_euler("xyz", [-pitch, yaw, -roll], degrees=True).as_matrix()
    matrix = matrix_from_euler_deg(torch.tensor([yaw, pitch, roll], dtype=torch.float64))
    np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-14)


def test_euler_angles_come_back_from_the_matrix():
    generator = torch.Generator().manual_seed(0)
    spans = torch.tensor([89.0, 179.0, 179.0], dtype=torch.float64)
    euler_deg = (2.0 * torch.rand(200, 3, generator=generator, dtype=torch.float64) - 1.0) * spans
    torch.testing.assert_close(euler_deg_from_matrix(matrix_from_euler_deg(euler_deg)), euler_deg)


@pytest.mark.parametrize("yaw_deg", [90.0, -90.0])
def test_a_profile_keeps_its_rotation_and_calls_the_pitch_zero(yaw_deg):
    matrix = matrix_from_euler_deg(torch.tensor([yaw_deg, 20.0, -35.0], dtype=torch.float64))
    euler_deg = euler_deg_from_matrix(matrix)
    assert euler_deg[1] == 0.0
    torch.testing.assert_close(matrix_from_euler_deg(euler_deg), matrix)


def test_gradients_of_the_euler_angles_are_right():
    euler_deg = torch.tensor([[20.0, -10.0, 40.0], [0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(matrix_from_euler_deg, (euler_deg,))
    matrix = matrix_from_euler_deg(euler_deg.detach()).requires_grad_()
    assert gradcheck(euler_deg_from_matrix, (matrix,))


def test_convention_points_are_rotated_and_then_moved():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    matrix = matrix_from_axis_angle(torch.randn(2, 3, generator=generator, dtype=torch.float64))
    translation = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    moved = move_to_camera(points, matrix, translation)
    torch.testing.assert_close(moved[1, 3], matrix[1] @ points[1, 3] + translation[1])
    assert gradcheck(move_to_camera, [part.requires_grad_() for part in (points, matrix, translation)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_give_what_tensors_give(dtype):
    """The formulas are one; this holds numpy's functions to torch's, in the same precision."""
    vectors = random_axis_angles(1.3).numpy().astype(dtype)
    euler_deg = (40.0 * random_axis_angles(1.0, seed=1).numpy()).astype(dtype)
    for function, argument in (
        (matrix_from_axis_angle, vectors),
        (axis_angle_from_matrix, matrix_from_axis_angle(vectors)),
        (matrix_from_euler_deg, euler_deg),
        (euler_deg_from_matrix, matrix_from_euler_deg(euler_deg)),
    ):
        answer = function(argument)
        assert isinstance(answer, np.ndarray)
        assert answer.dtype == dtype
        np.testing.assert_allclose(answer, function(torch.from_numpy(argument)).numpy(), rtol=1e-5, atol=1e-5)

# SPDX-License-Identifier: Apache-2.0
"""Projection into the crop and the photo's exact camera."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from facefactor.camera.pose import matrix_from_axis_angle, matrix_from_euler_deg, move_to_camera
from facefactor.camera.projection import (
    crop_intrinsics,
    depth_from_camera,
    in_plane_rotation,
    photo_camera,
    project_points,
    projection_derivative,
    rays_through,
)


def similarity(scale, angle_deg, shift):
    cosine, sine = scale * math.cos(math.radians(angle_deg)), scale * math.sin(math.radians(angle_deg))
    rows = [[cosine, -sine, shift[0]], [sine, cosine, shift[1]], [0.0, 0.0, 1.0]]
    return torch.tensor(rows, dtype=torch.float64)


def test_convention_the_axis_meets_the_middle_of_the_crop():
    K = crop_intrinsics(224)
    np.testing.assert_allclose(project_points(np.array([[0.0, 0.0, -1000.0]]), K), [[112.0, 112.0]])
    assert K[0, 0] == K[1, 1] == 1015.0


def test_convention_the_field_of_view_is_12_6_degrees_at_any_size():
    for size_px in (112, 224, 512):
        K = crop_intrinsics(size_px)
        assert 2 * math.degrees(math.atan(size_px / 2 / K[0, 0])) == pytest.approx(12.6, abs=0.05)


def test_convention_up_in_the_camera_frame_is_up_in_the_image():
    right_and_up = project_points(np.array([[10.0, 20.0, -1015.0]]), crop_intrinsics(224))
    np.testing.assert_allclose(right_and_up, [[122.0, 92.0]])


def test_convention_depth_is_minus_z():
    assert depth_from_camera(torch.tensor([[1.0, 2.0, -900.0]])).tolist() == [900.0]


def test_projection_equals_the_formula_point_by_point():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3, 7, 3, generator=generator, dtype=torch.float64) * 80 - torch.tensor([0.0, 0.0, 900.0])
    intrinsics = torch.stack([torch.from_numpy(crop_intrinsics(size)) for size in (100, 200, 300)])
    pixels = project_points(points, intrinsics)
    for batch in range(3):
        for index in range(7):
            x, y, z = points[batch, index]
            homogeneous = intrinsics[batch] @ torch.stack((x, -y, -z)) / (-z)
            torch.testing.assert_close(pixels[batch, index], homogeneous[:2])


def test_gradients_of_the_projection_are_right():
    points = torch.tensor([[10.0, -20.0, -700.0], [0.0, 5.0, -900.0]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(project_points, (points, torch.from_numpy(crop_intrinsics(64)).requires_grad_()))


def test_the_derivative_is_how_pixels_move_with_their_points():
    points = torch.tensor([[[10.0, -20.0, -700.0], [0.0, 5.0, -900.0]]], dtype=torch.float64)
    K = torch.from_numpy(crop_intrinsics(64))
    by_autograd = torch.autograd.functional.jacobian(lambda p: project_points(p, K), points)
    derivative = projection_derivative(points, K)
    for index in range(2):
        torch.testing.assert_close(derivative[0, index], by_autograd[0, index, :, 0, index])


def test_rays_point_at_what_is_seen_at_pixels():
    points = np.array([[30.0, -50.0, -800.0], [-200.0, 90.0, -1100.0], [0.0, 0.0, -900.0]])
    K = np.array([[700.0, 0.0, 320.0], [0.0, 700.0, 200.0], [0.0, 0.0, 1.0]])
    directions = points / np.linalg.norm(points, axis=1, keepdims=True)
    np.testing.assert_allclose(rays_through(project_points(points, K), K), directions, atol=1e-12)


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, -90.0, 180.0])
def test_the_photo_camera_lands_where_the_crop_lands(angle_deg):
    T_photo_crop = similarity(2.7, angle_deg, (431.5, -20.25))
    K_crop = torch.from_numpy(crop_intrinsics(224))
    R = matrix_from_euler_deg(torch.tensor([25.0, -10.0, 5.0], dtype=torch.float64))
    t = torch.tensor([30.0, -12.0, -1040.0], dtype=torch.float64)
    points = 80 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    in_crop = project_points(move_to_camera(points, R, t), K_crop)
    expected = in_crop @ T_photo_crop[:2, :2].mT + T_photo_crop[:2, 2]
    camera = photo_camera(T_photo_crop, K_crop, R, t)
    torch.testing.assert_close(project_points(move_to_camera(points, camera.R, camera.t), camera.K), expected)
    torch.testing.assert_close(camera.K[0, 0], torch.tensor(2.7 * 1015.0, dtype=torch.float64))
    torch.testing.assert_close(camera.K[1, 1], camera.K[0, 0])
    torch.testing.assert_close(camera.K[[0, 1, 2, 2], [1, 0, 0, 1]], torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(camera.R @ camera.R.mT, torch.eye(3, dtype=torch.float64))


def test_the_photo_camera_works_on_a_batch_with_one_intrinsics():
    transforms = torch.stack([similarity(1.0, 10.0, (3, 4)), similarity(0.5, -50.0, (9, 0))])
    R = matrix_from_axis_angle(torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.5, 0.0]], dtype=torch.float64))
    t = torch.tensor([[0.0, 0.0, -1000.0], [5.0, 6.0, -900.0]], dtype=torch.float64)
    K_crop = torch.from_numpy(crop_intrinsics(100))
    batched = photo_camera(transforms, K_crop, R, t)
    for index in range(2):
        for part, single in zip(batched, photo_camera(transforms[index], K_crop, R[index], t[index]), strict=True):
            torch.testing.assert_close(part[index], single)


def test_convention_a_crop_turned_clockwise_onto_the_photo_turns_the_camera_frame_clockwise():
    turn = in_plane_rotation(similarity(3.0, 90.0, (0, 0)))  # crop's x axis becomes the photo's downward y axis
    down = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(turn @ torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), down)


def test_gradients_of_the_photo_camera_are_right():
    R = matrix_from_axis_angle(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)).requires_grad_()
    t = torch.tensor([1.0, 2.0, -900.0], dtype=torch.float64, requires_grad=True)
    transform, K = similarity(1.5, 20.0, (10, 5)), torch.from_numpy(crop_intrinsics(96))
    assert gradcheck(lambda R, t: photo_camera(transform, K, R, t), (R, t))


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]],
        [[1.0, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.1, 0.0, 1.0]],
    ],
)
def test_what_is_no_similarity_is_refused(rows):
    with pytest.raises(ValueError, match="must scale, turn and shift"):
        in_plane_rotation(torch.tensor(rows))


def test_two_focal_lengths_are_refused():
    K = torch.diag(torch.tensor([100.0, 101.0, 1.0]))
    with pytest.raises(ValueError, match="one focal length"):
        photo_camera(torch.eye(3), K, torch.eye(3), torch.zeros(3))


@pytest.mark.parametrize("size_px", [0, -3])
def test_a_crop_without_size_is_refused(size_px):
    with pytest.raises(ValueError, match="positive size"):
        crop_intrinsics(size_px)


def test_arrays_have_the_photo_camera_that_tensors_have():
    transform, K = similarity(1.5, 20.0, (10, 5)), torch.from_numpy(crop_intrinsics(96))
    R, t = matrix_from_euler_deg(torch.tensor([25.0, -10.0, 5.0]).double()), torch.tensor([1.0, 2.0, -900.0]).double()
    expected = photo_camera(transform, K, R, t)
    camera = photo_camera(*(part.numpy() for part in (transform, K, R, t)))
    for part, tensor in zip(camera, expected, strict=True):
        assert isinstance(part, np.ndarray)
        np.testing.assert_allclose(part, tensor.numpy(), atol=1e-9)

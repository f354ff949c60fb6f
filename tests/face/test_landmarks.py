# SPDX-License-Identifier: Apache-2.0
"""The contour against the outline of all vertices, found by looking at every one of them."""

import pytest
import torch

from facefactor.camera.pose import matrix_from_euler_deg, move_to_camera
from facefactor.face.landmarks import NUM_CONTOUR, ContourPaths, contour_paths, read_contour, read_points
from facefactor.face.model import FaceModel, load_face_model

TRANSLATION_MM = torch.tensor([[0.0, 0.0, -1000.0]])


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def paths(model) -> ContourPaths:
    return contour_paths(model)


def see(model: FaceModel, paths: ContourPaths, yaw_deg: float, pitch_deg: float = 0.0):
    """The mean face's vertices and contour under a view, camera frame."""
    R = matrix_from_euler_deg(torch.tensor([[yaw_deg, pitch_deg, 0.0]]))
    vertices = move_to_camera(torch.from_numpy(model.mean)[None], R, TRANSLATION_MM)
    return vertices[0], read_contour(vertices, R, paths)[0]


def test_points_are_read_with_their_weights():
    vertices = torch.tensor([[[0.0, 0, 0], [4.0, 0, 0], [0, 8.0, 0]]])
    point = read_points(vertices, torch.tensor([[0, 1, 2]]), torch.tensor([[0.25, 0.5, 0.25]]))
    assert point.tolist() == [[[2.0, 2.0, 0.0]]]


def test_from_the_front_the_contour_is_symmetric_and_starts_at_the_jaw(model, paths):
    _, contour = see(model, paths, 0)
    # The mesh is symmetric; its paths are chosen among places a few tenths of a millimetre apart.
    torch.testing.assert_close(contour.flip(0) * torch.tensor([-1.0, 1, 1]), contour, atol=0.5, rtol=0)
    jaw = (model.mean[model.landmarks68_vertices] * model.landmarks68_weights[..., None]).sum(axis=1)[:NUM_CONTOUR]
    assert (contour - TRANSLATION_MM - torch.from_numpy(jaw)).norm(dim=1).median() < 3.0


@pytest.mark.parametrize("yaw_deg", [-45, -30, 30, 45])
def test_the_far_side_lies_on_the_outline_of_the_turned_face(model, paths, yaw_deg):
    vertices, contour = see(model, paths, yaw_deg)
    side = 1.0 if yaw_deg > 0 else -1.0
    far = contour.flip(0) if yaw_deg > 0 else contour
    face = vertices[torch.from_numpy(model.regions["face"])]
    for point in far[1:5]:  # beside eye, nose and mouth; lower down the outline runs under the chin
        level = face[(face[:, 1] - point[1]).abs() < 3.0]
        assert (side * level[:, 0]).max() - side * point[0] < 1.5  # millimetres


@pytest.mark.parametrize("yaw_deg", [-60, 60])
def test_the_near_side_stays_at_the_jaw(model, paths, yaw_deg):
    vertices, contour = see(model, paths, yaw_deg)
    near = slice(0, 8) if yaw_deg > 0 else slice(9, NUM_CONTOUR)
    jaw = read_points(
        vertices[None],
        torch.from_numpy(model.landmarks68_vertices).long()[near],
        torch.from_numpy(model.landmarks68_weights)[near],
    )[0]
    torch.testing.assert_close(contour[near], jaw, atol=1.0, rtol=0)


def test_gradients_reach_the_vertices(model, paths):
    R = matrix_from_euler_deg(torch.tensor([[20.0, 0.0, 0.0]]))
    vertices = move_to_camera(torch.from_numpy(model.mean)[None], R, TRANSLATION_MM).requires_grad_()
    read_contour(vertices, R, paths).sum().backward()
    # Each of the 17 × 3 coordinates is a weighted mean of vertices, whose weights sum to one.
    assert vertices.grad.sum() == pytest.approx(3 * NUM_CONTOUR, abs=1e-3)

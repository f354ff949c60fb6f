# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
from torch import Tensor

from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_axis_angle, matrix_from_euler_deg, move_to_camera
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.landmarks import read_points
from facefactor.face.linear_points import LinearPoints
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.fit.geometry_stage import Geometry, fit_geometry
from facefactor.losses.landmark import landmark_weights

SIZE_PX = 224
SPREAD_PX = 0.006 * SIZE_PX
"""Standard deviation that the stage grants a detected point."""
K = torch.from_numpy(crop_intrinsics(SIZE_PX)).float()


def project(model: LinearPoints, shape: Tensor, expression: Tensor, R: Tensor, translation: Tensor) -> Tensor:
    """(478, 2) pixels."""
    points = model.place(shape[None], expression[None])[0]
    return project_points(move_to_camera(points, R, translation), K)


def project_geometry(model: LinearPoints, geometry: Geometry) -> Tensor:
    R = matrix_from_axis_angle(geometry.rotation)
    return project(model, geometry.shape, geometry.expression, R, geometry.translation)


def angle_deg(first: Tensor, second: Tensor) -> float:
    """Angle of the rotation between two rotations; from its sine, which float32 holds near zero."""
    difference = first.mT @ second
    skew = 0.5 * torch.stack([difference[2, 1] - difference[1, 2], difference[0, 2] - difference[2, 0],
                              difference[1, 0] - difference[0, 1]])  # fmt: skip
    return math.degrees(math.atan2(float(skew.norm()), float((difference.trace() - 1) / 2)))


def cost(model: LinearPoints, geometry: Geometry, detected_px: Tensor, weights: Tensor) -> float:
    """What the stage minimises, as its docstring writes it; all weights together count as 200 points."""
    squared = (project_geometry(model, geometry) - detected_px).square().sum(dim=1) / SPREAD_PX**2
    data = 200.0 * (weights / weights.sum() * squared).sum()
    priors = geometry.shape.square().sum() + (geometry.expression / 0.3).square().sum()
    return float(data + priors + ((geometry.translation[2] + 1000.0) / 70.0) ** 2)


def random_geometry(yaw_deg: float, seed: int) -> Geometry:
    """Somebody with an expression."""
    generator = torch.Generator().manual_seed(seed)
    expression = torch.zeros(52)
    expression[torch.randint(0, 52, (6,), generator=generator)] = 0.5
    rotation = axis_angle_from_matrix(matrix_from_euler_deg(torch.tensor([yaw_deg, 8.0, -5.0])))
    return Geometry(
        rotation, torch.tensor([5.0, -20.0, -1030.0]), 0.7 * torch.randn(80, generator=generator), expression
    )


def test_landmarks_are_those_of_the_whole_face(landmark_model: LinearPoints, face: MorphableFace, model: FaceModel):
    generator = torch.Generator().manual_seed(0)
    shape, expression = torch.randn(80, generator=generator), torch.rand(52, generator=generator)
    corners, weights = (
        torch.from_numpy(model.landmarks478_vertices).long(),
        torch.from_numpy(model.landmarks478_weights),
    )
    whole = read_points(face.vertices(shape[None], expression[None]), corners, weights)[0]
    # 1e-3 mm: float32 sums in another order.
    torch.testing.assert_close(landmark_model.place(shape[None], expression[None])[0], whole, rtol=0, atol=1e-3)


@pytest.mark.parametrize("euler_deg", [(0.0, 0.0, 0.0), (45.0, 0.0, 0.0), (-45.0, 10.0, 8.0)], ids=str)
def test_the_mean_face_is_found_in_its_pose(landmark_model: LinearPoints, euler_deg: tuple):
    R, translation = matrix_from_euler_deg(torch.tensor(euler_deg)), torch.tensor([4.0, -25.0, -1000.0])
    detected = project(landmark_model, torch.zeros(80), torch.zeros(52), R, translation)
    geometry = fit_geometry(landmark_model, detected, landmark_weights(), K, SIZE_PX)
    # Here no prior pulls away from the truth, so what is left is the solver's.
    assert angle_deg(matrix_from_axis_angle(geometry.rotation), R) < 0.1
    assert (project_geometry(landmark_model, geometry) - detected).norm(dim=1).max() < 0.05
    torch.testing.assert_close(geometry.translation, translation, rtol=0, atol=1.0)


@pytest.mark.parametrize(("yaw_deg", "seed"), [(-45.0, 1), (0.0, 2), (45.0, 3)])
def test_anybody_is_found_at_no_higher_cost_than_the_truths(landmark_model: LinearPoints, yaw_deg: float, seed: int):
    truth = random_geometry(yaw_deg, seed)
    detected, weights = project_geometry(landmark_model, truth), landmark_weights()
    geometry = fit_geometry(landmark_model, detected, weights, K, SIZE_PX)
    assert cost(landmark_model, geometry, detected, weights) < cost(landmark_model, truth, detected, weights)
    # The priors pull shape and expression to the mean until points are off by a fraction of their granted spread.
    assert (project_geometry(landmark_model, geometry) - detected).norm(dim=1).mean() < 0.3 * SPREAD_PX
    # A turned head and an asymmetric one look alike, so the pose is known less well than the points.
    assert angle_deg(matrix_from_axis_angle(geometry.rotation), matrix_from_axis_angle(truth.rotation)) < 3.0
    assert geometry.expression.min() >= 0
    assert geometry.expression.max() <= 1


def test_impossible_expressions_stay_inside_their_bounds(landmark_model: LinearPoints):
    expression = torch.zeros(52)
    expression[EXPRESSION_NAMES.index("jawOpen")] = 1.6  # no jaw opens so far
    expression[EXPRESSION_NAMES.index("eyeBlinkLeft")] = -0.6
    R, translation = torch.eye(3), torch.tensor([0.0, 0.0, -1000.0])
    detected = project(landmark_model, torch.zeros(80), expression, R, translation)
    geometry = fit_geometry(landmark_model, detected, landmark_weights(), K, SIZE_PX)
    assert geometry.expression.min() >= 0
    assert geometry.expression.max() <= 1
    assert geometry.expression[EXPRESSION_NAMES.index("jawOpen")] > 0.9
    assert geometry.expression[EXPRESSION_NAMES.index("eyeBlinkLeft")] < 0.05


def test_points_without_weight_are_not_looked_at(landmark_model: LinearPoints):
    R, translation = matrix_from_euler_deg(torch.tensor([20.0, 0.0, 0.0])), torch.tensor([0.0, 0.0, -1000.0])
    detected = project(landmark_model, torch.zeros(80), torch.zeros(52), R, translation)
    weights = landmark_weights()
    spoiled = detected.clone()
    weights[100:200], spoiled[100:200] = 0.0, 5000.0
    geometry = fit_geometry(landmark_model, spoiled, weights, K, SIZE_PX)
    assert angle_deg(matrix_from_axis_angle(geometry.rotation), R) < 0.1

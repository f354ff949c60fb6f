# SPDX-License-Identifier: Apache-2.0
"""Fitting pose, shape and expression of many faces at once."""

import pytest
import torch
from torch import Tensor

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.face_code import FaceCode
from facefactor.face.linear_bases import bound_mouth_close
from facefactor.face.linear_points import LinearPoints, dense_landmarks
from facefactor.face.model import load_face_model
from facefactor.fit.batch_geometry import BatchGeometry
from facefactor.fit.expression_prior import ExpressionPrior
from facefactor.fit.geometry_stage import fit_geometry
from facefactor.losses.landmark import landmark_weights
from facefactor.losses.prior import NO_TRUST, StartTrust

SIZE_PX, COUNT = 128, 6
K = torch.from_numpy(crop_intrinsics(SIZE_PX)).float()


@pytest.fixture(scope="module")
def points() -> LinearPoints:
    return dense_landmarks(load_face_model())


@pytest.fixture(scope="module")
def truth() -> FaceCode[Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    expression = torch.rand(COUNT, 52, generator=generator) * (torch.rand(COUNT, 52, generator=generator) < 0.15)
    code = FaceCode.neutral((COUNT,)).to_torch().with_shape(0.8 * normal(COUNT, 80))
    translation = torch.tensor([0.0, 0.0, -1000.0]) + normal(COUNT, 3) * torch.tensor([8.0, 8.0, 40.0])
    return code.with_expression(bound_mouth_close(expression)).with_pose(0.25 * normal(COUNT, 3), translation)


@pytest.fixture(scope="module")
def near(truth: FaceCode[Tensor]) -> FaceCode[Tensor]:
    """What a network might answer: a few degrees and millimetres off, closer to the mean."""
    generator = torch.Generator().manual_seed(1)
    rotation = truth.rotation + 0.08 * torch.randn(COUNT, 3, generator=generator)
    translation = truth.translation + 4.0 * torch.randn(COUNT, 3, generator=generator)
    return truth.with_pose(rotation, translation).with_shape(0.5 * truth.shape).with_expression(0.5 * truth.expression)


def project(points: LinearPoints, code: FaceCode[Tensor]) -> Tensor:
    placed = points.place(code.shape, code.expression)
    return project_points(move_to_camera(placed, matrix_from_axis_angle(code.rotation), code.translation), K)


def cost(points: LinearPoints, code: FaceCode[Tensor], marks_px: Tensor, weights: Tensor) -> Tensor:
    """What `geometry_stage` says it minimises, (B,)."""
    squared = ((project(points, code) - marks_px) / (0.006 * SIZE_PX)).square().sum(dim=-1)
    data = 200.0 * (weights * squared).sum(dim=1) / weights.sum(dim=1)
    priors = code.shape.square().sum(dim=1) + (code.expression / 0.3).square().sum(dim=1)
    return data + priors + ((code.translation[:, 2] + 1000.0) / 70.0).square()


def test_the_derivatives_of_points_are_those_of_small_differences(
    points: LinearPoints, truth: FaceCode[Tensor]
) -> None:
    points, shape, expression = points.double(), truth.shape.double(), truth.expression.double()
    tangents = points.tangents(shape, expression)
    for column in (0, 79, 80 + 8, 80 + 9, 80 + 24, 80 + 51):
        ahead = torch.cat((shape, expression), dim=1)
        ahead[:, column] += 1e-4
        moved = points.place(*ahead.split((80, 52), dim=1)) - points.place(shape, expression)
        torch.testing.assert_close(tangents[:, :, column], moved / 1e-4, atol=1e-5, rtol=1e-5)
    points.float()


def test_each_face_costs_about_what_the_fit_of_one_face_reaches(
    points: LinearPoints, truth: FaceCode[Tensor], near: FaceCode[Tensor]
) -> None:
    noise_px = 0.4 * torch.randn(COUNT, 478, 2, generator=torch.Generator().manual_seed(2))
    marks_px, weights = project(points, truth) + noise_px, landmark_weights().expand(COUNT, -1)
    fitted = BatchGeometry(points, K, SIZE_PX, steps=10).fit(near, marks_px, weights)
    costs, start = cost(points, fitted, marks_px, weights), cost(points, near, marks_px, weights)
    assert (costs < 0.2 * start).all()
    for item in range(2):
        single = fit_geometry(points, marks_px[item], weights[item], K, SIZE_PX)
        alone = FaceCode(
            single.shape[None],
            single.expression[None],
            near.reflectance[:1],
            single.rotation[None],
            single.translation[None],
            near.illumination[:1],
        )
        reached = cost(points, alone, marks_px[item, None], weights[item, None])
        assert float(costs[item]) < 1.1 * float(reached)
    assert fitted.expression.min() >= 0
    assert fitted.expression.max() <= 1
    assert torch.equal(fitted.illumination, near.illumination)


def test_a_population_decides_what_landmarks_leave_open(
    points: LinearPoints, truth: FaceCode[Tensor], near: FaceCode[Tensor]
) -> None:
    """Faces of a population that knows four moods, of many muscles each."""
    generator = torch.Generator().manual_seed(4)
    moods = torch.rand(4, 52, generator=generator) * (torch.rand(4, 52, generator=generator) < 0.3)
    weights = 0.4 * torch.rand(2000, 4, generator=generator) @ moods
    prior = ExpressionPrior(weights.mean(dim=0), torch.linalg.inv(weights.T.cov() + 1e-3 * torch.eye(52)))
    moody = truth.with_expression(bound_mouth_close(weights[:COUNT]))
    noise_px = 0.6 * torch.randn(COUNT, 478, 2, generator=generator)
    marks_px, trust = project(points, moody) + noise_px, landmark_weights().expand(COUNT, -1)
    fitters = BatchGeometry(points, K, SIZE_PX, 10), BatchGeometry(points, K, SIZE_PX, 10, prior)
    blind, told = (fitter.fit(near, marks_px, trust) for fitter in fitters)
    for fitted in (blind, told):
        assert (project(points, fitted) - marks_px).norm(dim=-1).mean() < 1.0
    errors = [(fitted.expression - moody.expression).norm() for fitted in (blind, told)]
    assert errors[1] < 0.5 * errors[0]


def test_a_start_that_is_trusted_keeps_its_shape_and_expression(
    points: LinearPoints, truth: FaceCode[Tensor], near: FaceCode[Tensor]
) -> None:
    marks_px, weights = project(points, truth), landmark_weights().expand(COUNT, -1)
    free, held = (
        BatchGeometry(points, K, SIZE_PX, 10, trust=trust).fit(near, marks_px, weights)
        for trust in (NO_TRUST, StartTrust(shape=1e4, expression=1e5))
    )
    assert (held.shape - near.shape).norm() < 0.1 * (free.shape - near.shape).norm()
    assert (held.expression - near.expression).norm() < 0.1 * (free.expression - near.expression).norm()
    errors_px = [(project(points, code) - marks_px).norm(dim=-1).mean() for code in (near, held, free)]
    assert errors_px[2] < errors_px[1] < 0.5 * errors_px[0]  # pose is not held
    named = BatchGeometry(points, K, SIZE_PX, 10, trust=StartTrust(shape=1e4)).fit(near, marks_px, weights)
    assert (named.expression - near.expression).norm() > 5 * (held.expression - near.expression).norm()


def test_points_of_no_weight_say_nothing(points: LinearPoints, truth: FaceCode[Tensor], near: FaceCode[Tensor]) -> None:
    marks_px, weights = project(points, truth), landmark_weights().expand(COUNT, -1).clone()
    weights[:, ::5] = 0.0
    wrong = marks_px.clone()
    wrong[:, ::5] += 30.0
    fitter = BatchGeometry(points, K, SIZE_PX)
    right, disturbed = fitter.fit(near, marks_px, weights), fitter.fit(near, wrong, weights)
    torch.testing.assert_close(right.pack(), disturbed.pack())


def test_a_face_does_not_depend_on_its_batch(
    points: LinearPoints, truth: FaceCode[Tensor], near: FaceCode[Tensor]
) -> None:
    marks_px, weights = project(points, truth), landmark_weights().expand(COUNT, -1)
    fitter = BatchGeometry(points, K, SIZE_PX)
    together, alone = fitter.fit(near, marks_px, weights), fitter.fit(near[:1], marks_px[:1], weights[:1])
    torch.testing.assert_close(project(points, together[:1]), project(points, alone), atol=0.02, rtol=0)

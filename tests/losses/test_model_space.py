# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_axis_angle
from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.model import FaceModel, load_face_model
from facefactor.face.morph import MorphableFace
from facefactor.light.spherical_harmonics import irradiance_over_pi
from facefactor.losses.model_space import (
    LEAST_EXPRESSION_EFFECT,
    CodeDistances,
    CoefficientEffects,
    GroupWeights,
    code_distances,
    geometry_distance,
    model_space_loss,
    parameter_loss,
    rotation_distance,
)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def effects(model: FaceModel) -> CoefficientEffects:
    return CoefficientEffects.of(model)


@pytest.fixture
def neutral() -> "FaceCode[Tensor]":
    return FaceCode.neutral((1,)).to_torch()


def random_code(seed: int, count: int = 3, dtype: torch.dtype = torch.float64) -> "FaceCode[Tensor]":
    packed = 0.3 * torch.randn(count, 245, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    packed[:, 80:132] = packed[:, 80:132].abs().clamp(0.05, 0.95)
    return FaceCode.unpack(packed)


def one_changed(part: Tensor, index: tuple[int, ...], amount: float) -> Tensor:
    changed = part.clone()
    changed[(0, *index)] += amount
    return changed


def face_vertices(model: FaceModel, code: "FaceCode[Tensor]") -> Tensor:
    return MorphableFace(model, native_albedo=True).vertices(code.shape, code.expression)[0, model.regions["face"]]


def test_gaze_and_tongue_count_though_they_move_little_skin(effects: CoefficientEffects):
    for name in ("eyeLookInLeft", "eyeLookUpRight", "tongueOut"):
        assert effects.expression[EXPRESSION_NAMES.index(name)].item() == pytest.approx(LEAST_EXPRESSION_EFFECT)
    assert effects.expression.argmax().item() == EXPRESSION_NAMES.index("jawOpen")


def test_a_right_code_costs_nothing(effects: CoefficientEffects):
    code = random_code(0)
    torch.testing.assert_close(model_space_loss(code, code, effects, GroupWeights()), torch.zeros(3).double())
    assert parameter_loss(code, code).tolist() == [0.0] * 3


@pytest.mark.parametrize("part", ["shape", "expression"])
def test_one_coefficient_costs_the_mean_squared_displacement_it_makes(
    part: str, model: FaceModel, effects: CoefficientEffects, neutral: "FaceCode[Tensor]"
):
    changed = replace(neutral, **{part: one_changed(getattr(neutral, part), (20,), 0.7)})
    moved_mm = face_vertices(model, changed) - face_vertices(model, neutral)
    spread_mm2 = np.square(model.shape_basis[:, model.regions["face"]]).sum(axis=(0, 2)).mean()
    expected = moved_mm.square().sum(dim=1).mean() / spread_mm2
    torch.testing.assert_close(getattr(code_distances(changed, neutral, effects), part)[0], expected)


def test_translation_is_in_the_unit_of_shape(model: FaceModel, effects: CoefficientEffects, neutral: FaceCode):
    sideways = neutral.with_pose(neutral.rotation, neutral.translation + torch.tensor([2.0, 0.0, 0.0]))
    spread_mm2 = np.square(model.shape_basis[:, model.regions["face"]]).sum(axis=(0, 2)).mean()
    assert code_distances(sideways, neutral, effects).translation.item() == pytest.approx(4.0 / spread_mm2, rel=1e-4)


def test_depth_costs_what_it_moves_in_the_picture(model: FaceModel, effects: CoefficientEffects, neutral: FaceCode):
    nearer = neutral.with_pose(neutral.rotation, neutral.translation + torch.tensor([0.0, 0.0, 10.0]))
    in_plane_mm = model.mean[model.regions["face"], :2] * 10.0 / 1000.0
    spread_mm2 = np.square(model.shape_basis[:, model.regions["face"]]).sum(axis=(0, 2)).mean()
    expected = np.square(in_plane_mm).sum(axis=1).mean() / spread_mm2
    assert code_distances(nearer, neutral, effects).translation.item() == pytest.approx(expected, rel=1e-4)


def test_answering_the_mean_costs_one_on_average(effects: CoefficientEffects):
    drawn = torch.randn(4000, 80, generator=torch.Generator().manual_seed(0))
    many = FaceCode.neutral((4000,)).to_torch()
    distances = code_distances(many, replace(many, shape=drawn, reflectance=drawn), effects)
    assert distances.shape.mean().item() == pytest.approx(1.0, rel=0.05)
    assert distances.reflectance.mean().item() == pytest.approx(1.0, rel=0.05)


def test_light_costs_the_irradiance_it_changes(effects: CoefficientEffects):
    target, predicted = random_code(0, 1, torch.float32), random_code(1, 1, torch.float32)
    normals = torch.nn.functional.normalize(torch.randn(200_000, 3, generator=torch.Generator().manual_seed(2)), dim=1)
    difference = irradiance_over_pi(normals[None], predicted.illumination - target.illumination)
    expected = 4 * math.pi * difference.square().sum(dim=2).mean()
    assert code_distances(predicted, target, effects).illumination.item() == pytest.approx(expected.item(), rel=0.01)


def test_rotations_are_compared_by_the_angle_between_them():
    base = torch.tensor([[0.3, 1.2, -0.4]], dtype=torch.float64)
    turn = torch.tensor([[0.2, -0.1, 0.25]], dtype=torch.float64)
    turned = axis_angle_from_matrix(matrix_from_axis_angle(base) @ matrix_from_axis_angle(turn))
    torch.testing.assert_close(rotation_distance(base, turned), turn.square().sum(dim=1))
    assert not torch.isclose((base - turned).square().sum(), turn.square().sum(), rtol=0.01)


def test_a_full_turn_is_no_difference():
    axis = torch.nn.functional.normalize(torch.tensor([[1.0, 2.0, -0.5]], dtype=torch.float64), dim=1)
    assert rotation_distance(0.4 * axis, (0.4 + 2 * math.pi) * axis).item() == pytest.approx(0.0, abs=1e-20)


def test_the_loss_is_the_weighted_mean_of_the_distances(effects: CoefficientEffects):
    predicted, target = random_code(0), random_code(1)
    weights = GroupWeights(4.0, 1.0, 2.0, 3.0, 0.0, 5.0)
    distances = code_distances(predicted, target, effects)
    expected = (
        16 * distances.rotation
        + distances.translation
        + 4 * distances.shape
        + 9 * distances.expression
        + 25 * distances.illumination
    ) / 55
    torch.testing.assert_close(model_space_loss(predicted, target, effects, weights), expected)


def test_plain_l2_is_the_mean_squared_difference():
    predicted, target = random_code(0), random_code(1)
    parts = ("shape", "expression", "reflectance", "rotation", "illumination")
    total = sum((getattr(predicted, p) - getattr(target, p)).flatten(1).square().sum(dim=1) for p in parts)
    scale = torch.tensor([30.0, 30.0, 100.0], dtype=torch.float64)
    total += ((predicted.translation - target.translation) / scale).square().sum(dim=1)
    torch.testing.assert_close(parameter_loss(predicted, target), total / 245)


def test_gradients_are_those_of_the_formulas(effects: CoefficientEffects):
    target, packed = random_code(0, 2), random_code(1, 2).pack().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda vector: model_space_loss(FaceCode.unpack(vector), target, effects, GroupWeights()), (packed,)
    )
    assert torch.autograd.gradcheck(lambda vector: parameter_loss(FaceCode.unpack(vector), target), (packed,))


def test_the_gradient_at_the_right_code_is_zero(effects: CoefficientEffects):
    target = random_code(0, 2, torch.float32)
    packed = target.pack().clone().requires_grad_()
    model_space_loss(FaceCode.unpack(packed), target, effects, GroupWeights()).sum().backward()
    assert packed.grad.isfinite().all()
    assert packed.grad.abs().max() < 1e-6


def test_every_part_has_a_weight():
    assert set(CodeDistances._fields) == set(GroupWeights.__dataclass_fields__)


def test_geometry_is_compared_beyond_a_shift():
    exact = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert geometry_distance(exact + torch.tensor([5.0, -2.0, 1.0]), exact).max() < 1e-6
    moved = exact.clone()
    moved[1, :25, 2] += 4.0  # half of the points, so all are 2 mm from where they should be beyond the shift
    torch.testing.assert_close(geometry_distance(moved, exact)[1].item(), 2.0, atol=0.011, rtol=0)


def test_equal_geometry_has_no_gradient():
    points = torch.zeros(1, 4, 3, requires_grad=True)
    geometry_distance(points, torch.zeros(1, 4, 3)).sum().backward()
    assert points.grad.abs().max() == 0

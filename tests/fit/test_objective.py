# SPDX-License-Identifier: Apache-2.0
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from facefactor.face.linear_points import LinearPoints
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.fit.fit import FaceFitter
from facefactor.fit.objective import FitSettings, PhotoObjective, blur
from facefactor.light.spherical_harmonics import ambient_light, dominant_direction
from facefactor.losses.landmark import landmark_weights
from facefactor.losses.light import scene_white
from facefactor.photo.colour import srgb_to_linear
from facefactor.render.face_view import FaceViewer

PARTS = ("rotation", "translation", "shape", "expression", "reflectance", "illumination")


@pytest.fixture(scope="module")
def objective_of(model: FaceModel, landmark_model: LinearPoints, fitter: FaceFitter) -> Callable[..., PhotoObjective]:
    """A function of a scene, and if wanted the covered pixels, that gives its objective."""

    def make(scene, coverage: Tensor | None = None) -> PhotoObjective:
        return PhotoObjective(
            FaceViewer(fitter.face, fitter.masks, scene.K, len(scene.crop_srgb)), landmark_model, FitSettings(),
            scene.crop_srgb, scene.landmarks_px, landmark_weights(), coverage,
        )  # fmt: skip

    return make


@pytest.fixture
def objective(objective_of, scene) -> PhotoObjective:
    return objective_of(scene)


@pytest.fixture
def truth(known_code) -> dict[str, Tensor]:
    return {name: getattr(known_code, name).clone() for name in PARTS}


def test_any_part_that_is_wrong_costs_more(objective: PhotoObjective, truth: dict):
    least = objective.loss(truth, renew_visibility=True)
    wrong = {
        "rotation": truth["rotation"] + 0.05,
        "translation": truth["translation"] + torch.tensor([5.0, 0.0, 0.0]),
        "shape": truth["shape"] + 0.5,
        "expression": truth["expression"] + 0.3,
        "reflectance": truth["reflectance"] + 0.5,
        "illumination": truth["illumination"] * 1.3,
    }
    for name, value in wrong.items():
        assert objective.loss(truth | {name: value}, renew_visibility=True) > 1.1 * least, name


def test_gradients_of_light_and_reflectance_agree_with_differences(objective: PhotoObjective, truth: dict):
    generator = torch.Generator().manual_seed(0)
    for name, step in (("illumination", 1e-2), ("reflectance", 1e-2)):
        start = truth[name] + 0.3  # away from the truth, where the loss is not flat
        direction = torch.nn.functional.normalize(torch.randn(start.shape, generator=generator).flatten(), dim=0)
        along = [truth | {name: start + sign * step * direction.view_as(start)} for sign in (1, -1)]
        forth, back = (objective.loss(each, renew_visibility=False) for each in along)
        free = start.clone().requires_grad_()
        objective.loss(truth | {name: free}, renew_visibility=False).backward()
        slope = float(free.grad.flatten() @ direction)
        # 8 %: the robust weights, which carry no gradient, change a little along the way.
        assert float(forth - back) / (2 * step) == pytest.approx(slope, rel=0.08, abs=1e-4), name


def test_every_part_has_a_gradient(objective: PhotoObjective, truth: dict):
    free = {name: value.clone().requires_grad_() for name, value in truth.items()}
    objective.loss(free, renew_visibility=True).backward()
    for name, value in free.items():
        assert value.grad.isfinite().all(), name
        assert value.grad.abs().max() > 0, name


def test_least_squares_finds_the_light_of_a_known_face(objective: PhotoObjective, truth: dict, scene, skin_of, face):
    found, true = objective.best_light(truth), truth["illumination"]
    angle_deg = math.degrees(math.acos(min(1.0, float(dominant_direction(found) @ dominant_direction(true)))))
    # The ridge holds directional light back, more so along the axes that the camera sees little of.
    assert angle_deg < 35.0
    # With the true albedo it must explain more than any constant light on the mean albedo does.
    skin, albedo = skin_of(scene, scene.code)
    assert skin.error(albedo, found.numpy()) < 0.8 * skin.baseline_error(face.albedo(torch.zeros(1, 80))[0].numpy())


@pytest.mark.parametrize("tone", [-2.5, -1.0, 0.0, 1.5])
def test_the_scenes_white_tells_dark_skin_from_dim_light(objective_of, render, known_code, truth, tone: float):
    reflectance = torch.zeros(80)
    reflectance[0] = tone
    # Light as strong as the wall behind says; the white patch of a picture is the wall.
    wall = render(known_code).crop_srgb[:8, :8].expand(1, 8, 8, 3)
    lit = known_code.with_reflectance(reflectance).with_light(ambient_light(scene_white(srgb_to_linear(wall))[0]))
    chosen = objective_of(render(lit)).best_colours(truth)
    # Tones are tried in steps of 0.5; a step off, the light would be some 20 % too strong or too weak.
    assert float(chosen["reflectance"][0]) == pytest.approx(tone, abs=0.51)
    assert chosen["reflectance"][1:].abs().max() == 0


def test_pixels_that_the_photo_does_not_cover_are_not_looked_at(objective_of, scene, truth: dict):
    coverage = torch.ones(scene.crop_srgb.shape[:2], dtype=torch.bool)
    coverage[:, 120:] = False
    spoiled = scene.crop_srgb.clone()
    spoiled[:, 122:] = 0.5  # two pixels in, as colours are read between pixels; the scene's white is left of it
    losses = [
        float(objective_of(replace(scene, crop_srgb=crop), seen).loss(truth, renew_visibility=True))
        for crop, seen in ((scene.crop_srgb, coverage), (spoiled, coverage), (spoiled, None))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[2] > 1.5 * losses[0]


def test_the_depth_test_is_kept_until_it_is_renewed(objective: PhotoObjective, truth: dict):
    behind = truth | {"rotation": torch.tensor([0.0, math.pi, 0.0])}
    first = objective.loss(truth, renew_visibility=False)  # never made, so it is made
    torch.testing.assert_close(objective.loss(truth, renew_visibility=True), first)
    objective.loss(behind, renew_visibility=True)
    # The back of the head shows no face, so no colour is compared and the light is judged by nothing.
    assert float(objective.loss(truth, renew_visibility=False)) != pytest.approx(float(first), rel=0.1)
    torch.testing.assert_close(objective.loss(truth, renew_visibility=True), first)


def test_blurring_by_nothing_changes_nothing():
    picture = torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(blur(picture, 0.0), picture)


def test_blurring_keeps_a_flat_picture_up_to_its_border():
    picture = torch.tensor([0.2, 0.5, 0.9]).expand(1, 20, 24, 3)
    torch.testing.assert_close(blur(picture, 3.0), picture)


def test_a_point_becomes_a_gaussian_of_the_given_width():
    picture = torch.zeros(1, 41, 41, 3)
    picture[0, 20, 20] = torch.tensor([1.0, 2.0, 3.0])
    spot = blur(picture, 2.5)[0]
    torch.testing.assert_close(spot.sum(dim=(0, 1)), torch.tensor([1.0, 2.0, 3.0]))
    offsets = torch.arange(41.0) - 20
    variance = (spot[..., 0].sum(dim=0) * offsets.square()).sum()
    # 3 %: the tail beyond three standard deviations is cut.
    assert float(variance) == pytest.approx(2.5**2, rel=0.03)
    torch.testing.assert_close(spot, spot.transpose(0, 1))
    torch.testing.assert_close(spot, spot.flip(0))


def test_native_albedo_is_enough_for_the_objective(fitter: FaceFitter, face: MorphableFace, model: FaceModel):
    assert fitter.face.log_albedo_mean.shape == (model.num_vertices, 3)
    assert face.log_albedo_mean.shape == (model.num_subdivided, 3)

# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.code.face_code import FaceCode
from facefactor.face.model import load_face_model
from facefactor.face.morph import MorphableFace
from facefactor.face.normals import vertex_normals
from facefactor.light.presets import preset_light
from facefactor.light.spherical_harmonics import shade
from facefactor.losses.photometric import DISTANCE_FLOOR
from facefactor.losses.skin_colour import STRIDE, SkinColours
from facefactor.photo.colour import linear_to_srgb


@pytest.fixture(scope="module")
def colours() -> SkinColours:
    return SkinColours(load_face_model())


@pytest.fixture
def code() -> FaceCode[torch.Tensor]:
    neutral = FaceCode.neutral((1,)).map(torch.from_numpy)
    light = torch.from_numpy(preset_light("studio")).float()[None]
    return neutral.with_pose(torch.tensor([[0.1, 0.4, 0.0]]), neutral.translation).with_light(light)


def test_a_code_is_no_way_from_itself_wherever_it_stands_and_whoever_it_is(colours, code):
    other = code.with_pose(code.rotation, code.translation + 20.0).with_shape(code.shape + 1.0)
    assert float(colours.distance(other, code)) == pytest.approx(DISTANCE_FLOOR, rel=1e-3)


def test_the_distance_is_that_of_the_mean_head_s_rendered_colours(colours, code):
    model = load_face_model()
    points = model.regions["face"][::STRIDE]
    normals = torch.from_numpy(vertex_normals(model.mean, model.triangles)[points]).float()
    normals = normals @ matrix_from_axis_angle(code.rotation)[0].mT
    albedo = MorphableFace(model, native_albedo=True).albedo
    darker = code.with_reflectance(code.reflectance - 0.7)
    seen = [
        linear_to_srgb(shade(albedo(each.reflectance)[0, points], normals, each.illumination[0]).clamp(0, 1))
        for each in (code, darker)
    ]
    expected = (seen[0] - seen[1]).norm(dim=-1).mean()
    assert float(expected) > 0.02
    assert float(colours.distance(darker, code)) == pytest.approx(float(expected), rel=1e-2)


def test_a_light_that_makes_up_for_the_tone_brings_the_codes_together(colours, code):
    tone = torch.zeros_like(code.reflectance)
    tone[:, 0] = 1.0
    other = code.with_reflectance(tone)
    alone = float(colours.distance(other, code))
    lit = [float(colours.distance(other.with_light(strength * code.illumination), code)) for strength in (0.75, 1.3)]
    assert min(lit) < 0.8 * alone < alone < max(lit)


def test_both_reflectance_and_light_are_pulled_to_the_truth(colours, code):
    wrong = code.with_reflectance(code.reflectance + 0.5).with_light(0.7 * code.illumination)
    free = [wrong.reflectance.clone().requires_grad_(), wrong.illumination.clone().requires_grad_()]
    colours.distance(wrong.with_reflectance(free[0]).with_light(free[1]), code).sum().backward()
    before = float(colours.distance(wrong, code))
    for name, value in zip(("reflectance", "illumination"), free, strict=True):
        assert torch.isfinite(value.grad).all()
        step = value.detach() - 0.02 * value.grad / value.grad.norm()
        moved = wrong.with_reflectance(step) if name == "reflectance" else wrong.with_light(step)
        assert float(colours.distance(moved, code)) < before

# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from facefactor.light.spherical_harmonics import Y00, ambient_light, directional_light, irradiance_over_pi
from facefactor.losses.light import (
    DIRECTIONAL_TINT_SPREAD,
    STRENGTH_SPREAD,
    STRENGTH_TRUST,
    TINT_SPREAD,
    USUAL_STRENGTH,
    WHITE_ALBEDO,
    light_prior,
    negative_light,
    scene_white,
)

WHITE = torch.ones(1, 3)


def picture_with_patch(colour: list[float], rest: float = 0.1, share: float = 0.1) -> torch.Tensor:
    """(1, 40, 40, 3) linear: a patch of one colour in an otherwise dark scene."""
    picture = torch.full((1, 40, 40, 3), rest)
    picture[:, : round(40 * share)] = torch.tensor(colour)
    return picture


def expected_strength(white_patch: float) -> float:
    return USUAL_STRENGTH ** (1 - STRENGTH_TRUST) * white_patch**STRENGTH_TRUST


def test_a_white_patch_and_how_photos_are_exposed_say_how_strong_the_light_is():
    for strength in (0.1, 0.4, 0.85, 1.0):
        white = scene_white(picture_with_patch([strength * WHITE_ALBEDO] * 3, rest=0.05))
        torch.testing.assert_close(white, expected_strength(strength) * WHITE)
    usual = scene_white(picture_with_patch([USUAL_STRENGTH * WHITE_ALBEDO] * 3))
    torch.testing.assert_close(usual, USUAL_STRENGTH * WHITE)


def test_a_patch_of_a_few_pixels_says_nothing():
    white = scene_white(picture_with_patch([0.85] * 3, rest=0.34, share=0.025))
    torch.testing.assert_close(white, expected_strength(0.4) * WHITE)


def test_a_black_picture_has_a_little_light():
    assert 0.0 < float(scene_white(torch.zeros(1, 8, 8, 3)).mean()) < 0.1


def test_half_of_the_patchs_tint_is_taken_for_the_lights():
    patch = torch.tensor([0.8, 0.6, 0.4]) * WHITE_ALBEDO
    white = scene_white(picture_with_patch(patch.tolist()))[0]
    mean = 0.6
    torch.testing.assert_close(white, expected_strength(mean) * (torch.tensor([0.8, 0.6, 0.4]) / mean).sqrt())


def test_pictures_of_a_batch_are_independent():
    pictures = torch.cat([picture_with_patch([0.85] * 3), picture_with_patch([0.4, 0.3, 0.2])])
    white = scene_white(pictures)
    torch.testing.assert_close(white[:1], scene_white(pictures[:1]))
    torch.testing.assert_close(white[1:], scene_white(pictures[1:]))


def test_light_from_everywhere_is_nowhere_negative():
    normals = torch.nn.functional.normalize(torch.randn(1, 200, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert negative_light(irradiance_over_pi(normals, ambient_light(WHITE))).tolist() == [0.0]
    inverted = irradiance_over_pi(normals, -ambient_light(WHITE))
    torch.testing.assert_close(negative_light(inverted), torch.ones(1))


def test_only_the_negative_part_counts():
    irradiance = torch.tensor([[[-0.3, 0.5, 2.0], [-0.1, 0.0, -0.2]]])
    assert negative_light(irradiance).tolist() == pytest.approx([(0.09 + 0.01 + 0.04) / 6])


def test_the_scenes_own_light_is_the_likeliest():
    expected = torch.tensor([[0.9, 0.7, 0.5]])
    assert light_prior(ambient_light(expected), expected, expected).tolist() == [0.0]


def test_a_white_lamp_costs_nothing_from_any_direction():
    for direction in torch.eye(3):
        lamp = directional_light(direction[None], 0.8 * WHITE)
        # 1e-9: what float32 leaves of equal channels.
        assert float(light_prior(ambient_light(WHITE) + lamp, WHITE, WHITE)) < 1e-9


def test_one_spread_of_strength_costs_half():
    brighter = torch.full((1, 3), STRENGTH_SPREAD).exp()
    assert float(light_prior(ambient_light(brighter), brighter, WHITE)) == pytest.approx(0.5, rel=1e-5)
    assert float(light_prior(ambient_light(1 / brighter), 1 / brighter, WHITE)) == pytest.approx(0.5, rel=1e-5)


def test_tint_costs_by_its_spread_and_not_as_strength():
    tinted = (TINT_SPREAD * torch.tensor([[1.0, 0.0, -1.0]])).exp()
    assert float(light_prior(ambient_light(tinted), tinted, WHITE)) == pytest.approx(0.5 * 2, rel=1e-5)


def test_a_coloured_lamp_costs_by_its_spread():
    illumination = ambient_light(WHITE)
    illumination[0, 2] = torch.tensor([1.0, 0.0, -1.0]) * DIRECTIONAL_TINT_SPREAD / Y00
    assert float(light_prior(illumination, WHITE, WHITE)) == pytest.approx(0.5 * 2, rel=1e-5)


def test_a_face_without_light_has_a_finite_prior():
    assert light_prior(torch.zeros(1, 9, 3), torch.zeros(1, 3), WHITE).isfinite().all()


def test_gradients_are_those_of_the_formulas():
    generator = torch.Generator().manual_seed(0)
    illumination, irradiance, expected = (
        torch.rand(*size, generator=generator, dtype=torch.float64).add(0.2).requires_grad_()
        for size in ((2, 9, 3), (2, 3), (2, 3))
    )
    assert torch.autograd.gradcheck(light_prior, (illumination, irradiance, expected))
    signed = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(negative_light, (signed,))

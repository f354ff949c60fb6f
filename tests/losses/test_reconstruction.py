# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest
import torch

from facefactor.code.face_code import FaceCode
from facefactor.losses.reconstruction import ReconstructionWeights, colours_and_priors
from facefactor.photo.colour import linear_to_srgb
from facefactor.render.face_view import FaceView, VertexMasks

NUM = 4
"""Vertices."""


@pytest.fixture
def view() -> FaceView:
    """Four vertices at pixel centres of an 8 × 8 picture, each standing for a pixel, in light of strength one half."""
    positions = torch.tensor([[[1.5, 1.5], [6.5, 1.5], [1.5, 6.5], [6.5, 6.5]]])
    normals = torch.tensor([0.0, 0.0, 1.0]).expand(1, NUM, 3)
    return FaceView(positions, normals, torch.full((1, NUM, 3), 0.4), torch.full((1, NUM, 3), 0.5), torch.ones(1, NUM))


@pytest.fixture
def picture(view) -> torch.Tensor:
    return linear_to_srgb(view.colour_linear[:, :1, None]).expand(1, 8, 8, 3).clone()


def terms(view: FaceView, picture: torch.Tensor, covered: torch.Tensor | None = None, **weights) -> dict[str, float]:
    masks = VertexMasks(torch.zeros(1, 3).long(), torch.ones(NUM).bool(), torch.ones(NUM).bool())
    covered = torch.ones(1, 8, 8, 1) if covered is None else covered
    code = FaceCode.neutral((1,)).to_torch().with_shape(torch.full((1, 80), 0.5))
    found = colours_and_priors(
        code, view, picture, covered, torch.full((1, 3), 0.5), masks, ReconstructionWeights(**weights)
    )
    return {name: float(value) for name, value in found.items()}


def test_equal_colours_cost_nothing_and_priors_what_they_weigh(view, picture):
    found = terms(view, picture, shape=0.1, reflectance=0.1)
    # The floor under the distance's root is 1e-3.
    assert found["photometric"] == pytest.approx(1e-3, rel=1e-3)
    assert found["shape_prior"] == pytest.approx(0.1 * 0.5 * 80 * 0.25)
    assert found["reflectance_prior"] == found["distance_prior"] == found["expression_prior"] == 0.0


def test_the_photometric_term_is_the_mean_distance_of_srgb_colours(view, picture):
    assert terms(view, picture + 0.1)["photometric"] == pytest.approx(0.1 * 3**0.5, rel=0.01)
    assert terms(view, picture + 0.1, photometric=3.0)["photometric"] == pytest.approx(0.3 * 3**0.5, rel=0.01)


def test_what_the_model_cannot_explain_loses_its_weight(view, picture):
    picture[0, 6, 6] = 1.0  # one vertex of four is behind something white
    plain = terms(view, picture, tolerance=1e6)["photometric"]
    robust = terms(view, picture)["photometric"]
    assert plain == pytest.approx(float((picture[0, 6, 6] - picture[0, 1, 1]).norm()) / 4, rel=0.02)
    assert robust < 0.1 * plain


def test_pixels_outside_the_photo_are_not_compared(view, picture):
    covered = torch.ones(1, 8, 8, 1)
    covered[:, :, 4:] = 0.0
    picture[:, :, 4:] += 0.4
    assert terms(view, picture, covered)["photometric"] == pytest.approx(1e-3, rel=1e-3)


def test_light_that_is_negative_or_far_from_the_scenes_costs(view, picture):
    dark = dataclasses.replace(view, irradiance=view.irradiance - 0.7)
    assert terms(dark, picture)["light_prior"] > terms(view, picture)["light_prior"] + 10 * 0.2**2 * 0.9


def test_a_photo_without_colours_is_compared_without(view, picture):
    tinted = dataclasses.replace(view, irradiance=torch.tensor([0.7, 0.5, 0.3]).expand(1, NUM, 3))
    grey = linear_to_srgb((tinted.colour_linear[0, 0] * torch.tensor([0.2126, 0.7152, 0.0722])).sum())
    assert terms(tinted, torch.full((1, 8, 8, 3), float(grey)))["photometric"] == pytest.approx(1e-3, rel=0.05)
    coloured = torch.full((1, 8, 8, 3), float(grey))
    coloured[0, 0, 0, 0] += 0.1  # a pixel that has a colour: it is a photo of something grey
    assert terms(tinted, coloured)["photometric"] > 0.05

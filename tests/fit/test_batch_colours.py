# SPDX-License-Identifier: Apache-2.0
"""Light and skin of many faces at once."""

import numpy as np
import pytest
import torch
from torch import Tensor

from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import FaceCode
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.fit.batch_colours import BatchColours

COUNT = 8


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    return SyntheticFaces(SyntheticSettings(seed=2, subdivided=False, environment_share=0.0))


@pytest.fixture(scope="module")
def truth(faces: SyntheticFaces) -> FaceCode[Tensor]:
    return faces.make_batch(0, COUNT).code


@pytest.fixture(scope="module")
def crops_srgb(faces: SyntheticFaces, truth: FaceCode[Tensor]) -> Tensor:
    """The codes drawn as they are, without shadows or anything around."""
    drawn = np.stack([faces.render_bare(code) for code in (truth[item].to_numpy() for item in range(COUNT))])
    return torch.from_numpy(drawn).movedim(-1, 1).float() / 255


@pytest.fixture(scope="module")
def colours(faces: SyntheticFaces) -> BatchColours:
    return BatchColours(faces.model, torch.from_numpy(crop_intrinsics(128)).float())


def test_the_true_colours_have_nearly_no_error(
    colours: BatchColours, truth: FaceCode[Tensor], crops_srgb: Tensor
) -> None:
    views = colours.look(truth, crops_srgb)
    errors = colours.photometric_error(views, colours.albedo(truth.reflectance), truth.illumination)
    # pixels average over their square, and the outline over what is behind
    assert errors.max() < 0.03


def test_pixels_outside_the_photo_are_not_looked_at(
    colours: BatchColours, truth: FaceCode[Tensor], crops_srgb: Tensor
) -> None:
    coverage = torch.ones(COUNT, 128, 128, dtype=torch.bool)
    coverage[:, :, 64:] = False
    spoiled = crops_srgb.clone()
    spoiled[:, :, :, 66:] = 0.0  # two pixels in, as colours are read between pixels

    def errors(crops: Tensor, covered: Tensor | None) -> Tensor:
        views = colours.look(truth, crops, covered)
        return colours.photometric_error(views, colours.albedo(truth.reflectance), truth.illumination)

    torch.testing.assert_close(errors(spoiled, coverage), errors(crops_srgb, coverage), atol=5e-3, rtol=0)
    assert (errors(spoiled, None) > 2 * errors(crops_srgb, None)).all()


def test_drawn_faces_are_explained_far_better_than_by_the_mean_in_white_light(
    colours: BatchColours, truth: FaceCode[Tensor], crops_srgb: Tensor
) -> None:
    plain = FaceCode.neutral((COUNT,)).to_torch()
    start = truth.with_reflectance(plain.reflectance).with_light(plain.illumination)
    found = colours.fit(start, crops_srgb)
    views = colours.look(found, crops_srgb)
    errors = colours.photometric_error(views, colours.albedo(found.reflectance), found.illumination)
    assert float((errors / colours.baseline_error(views)).median()) < 0.5
    assert errors.median() < 0.03
    assert torch.equal(found.shape, truth.shape)
    assert torch.equal(found.rotation, truth.rotation)
    assert found.reflectance.square().mean() < 1.5


def test_the_answer_does_not_depend_on_the_start_or_the_batch(
    colours: BatchColours, truth: FaceCode[Tensor], crops_srgb: Tensor
) -> None:
    plain = FaceCode.neutral((COUNT,)).to_torch()
    start = truth.with_reflectance(plain.reflectance).with_light(plain.illumination)
    together, alone = colours.fit(truth, crops_srgb), colours.fit(start[3:4], crops_srgb[3:4])
    torch.testing.assert_close(together.reflectance[3:4], alone.reflectance, atol=2e-3, rtol=0)
    torch.testing.assert_close(together.illumination[3:4], alone.illumination, atol=2e-3, rtol=0)


def test_the_baseline_is_the_best_white_light(
    colours: BatchColours, truth: FaceCode[Tensor], crops_srgb: Tensor
) -> None:
    views = colours.look(truth, crops_srgb)
    mean = colours.albedo(torch.zeros(1, 80))
    for strength in (0.3, 1.0, 1.7):
        light = FaceCode.neutral((COUNT,)).to_torch().illumination * strength
        assert (colours.baseline_error(views) <= colours.photometric_error(views, mean, light) + 1e-3).all()


def test_a_black_picture_gives_finite_numbers(colours: BatchColours, truth: FaceCode[Tensor]) -> None:
    assert torch.isfinite(colours.fit(truth[:1], torch.zeros(1, 3, 128, 128)).pack()).all()

# SPDX-License-Identifier: Apache-2.0
"""Detail is painted onto a rendered face whose code is known; the transfer should return it, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.code.face_code import FaceCode
from facefactor.face.model import ALBEDO_RANGE, FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.fit.detail import DetailTransfer
from facefactor.light.spherical_harmonics import directional_light
from facefactor.photo.landmarks import CHIN, NOSE_RIDGE

CHEEK, FOREHEAD_TOP = 425, 10
"""MediaPipe's points on the left cheek and at the top of the forehead."""
MOLE_MM = 6.0
"""Radius; the cheek's subdivided vertices are 2 to 3 mm apart."""


@pytest.fixture(scope="module")
def transfer(model: FaceModel) -> DetailTransfer:
    return DetailTransfer(model)


@pytest.fixture(scope="module")
def frontal(known_code: FaceCode[Tensor]) -> FaceCode[Tensor]:
    """The known face, looking into the camera."""
    return known_code.with_pose(torch.zeros(3), known_code.translation)


@pytest.fixture(scope="module")
def surface(model: FaceModel) -> np.ndarray:
    """(S, 3) the mean head's subdivided vertices."""
    return model.subdivision @ model.mean


@pytest.fixture(scope="module")
def place(model: FaceModel):
    """A function of a landmark's number that gives its place on the mean head."""
    return lambda number: model.landmarks478_weights[number] @ model.mean[model.landmarks478_vertices[number]]


@pytest.fixture(scope="module")
def in_face(model: FaceModel) -> np.ndarray:
    """(S,) bool: inside the face region."""
    mask = np.zeros(model.num_vertices)
    mask[model.regions["face"]] = 1
    return (model.subdivision @ mask) > 0.999


def detailed_albedo(
    transfer: DetailTransfer, scene, code: FaceCode[Tensor], face: MorphableFace, coverage: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(S, 3) albedo with the scene's detail, and without."""
    albedo = face.albedo(code.reflectance[None])[0].numpy()
    vertices = face.subdivide(face.vertices(code.shape[None], code.expression[None]))[0].numpy()
    posed = move_to_camera(vertices, matrix_from_axis_angle(code.rotation.numpy()), code.translation.numpy())
    view = (scene.K.numpy(), scene.crop_srgb.numpy(), coverage)
    return transfer.compare(posed, albedo, code.illumination.numpy(), *view).applied_to(albedo), albedo


def log_ratio(transfer: DetailTransfer, scene, code: FaceCode[Tensor], face: MorphableFace) -> np.ndarray:
    """(S,) logarithm of detailed over plain albedo, mean of the channels."""
    detailed, plain = detailed_albedo(transfer, scene, code, face)
    return np.log(detailed / plain).mean(axis=-1)


def painted(face: MorphableFace, code: FaceCode[Tensor], log_change: np.ndarray) -> Tensor:
    """(S, 3) the code's albedo times exp(log_change)."""
    return (face.albedo(code.reflectance[None])[0] * torch.from_numpy(log_change).float().exp()[:, None]).clamp(
        *ALBEDO_RANGE
    )


def test_a_photo_like_its_rendering_adds_little(transfer, render, frontal, face, in_face):
    change = log_ratio(transfer, render(frontal), frontal, face)
    # A picture of 224 px softens edges, at the lids and lips most; on most of the skin there is nothing to add.
    assert np.median(np.abs(change[in_face])) < 0.02
    assert np.percentile(np.abs(change[in_face]), 90) < 0.12


def test_a_mole_on_the_cheek_is_carried_over(transfer, render, frontal, face, surface, place):
    distance = np.linalg.norm(surface - place(CHEEK), axis=1)
    mole = np.where(distance < MOLE_MM, -0.8, 0.0)
    plain = log_ratio(transfer, render(frontal), frontal, face)
    change = log_ratio(transfer, render(frontal, painted(face, frontal, mole)), frontal, face) - plain
    # The middle of the mole keeps 40 % of its darkness of -0.8 and more: part is softened by pixels of a millimetre,
    # part goes to the smooth shading, as a mole this wide is a fair share of DETAIL_SCALE_MM.
    assert change[distance < 0.6 * MOLE_MM].mean() < -0.32
    # The skin around may lighten a little, where the smooth part follows the mole.
    assert np.abs(change[(distance > 3 * MOLE_MM) & (distance < 30)]).mean() < 0.05


def test_smooth_shading_stays_light(transfer, render, frontal, face, in_face):
    lamp = directional_light(torch.tensor([0.8, 0.1, 0.6]), torch.full((3,), 0.25))
    lit = render(frontal.with_light(frontal.illumination + lamp))
    plain = log_ratio(transfer, render(frontal), frontal, face)
    change = log_ratio(transfer, lit, frontal, face) - plain
    # The lamp, of which the code does not know, changes colours by up to half; of that a tenth may pass.
    assert np.median(np.abs(change[in_face])) < 0.04


def test_a_photo_darker_everywhere_changes_nothing(transfer, render, frontal, face, in_face):
    dim = render(frontal.with_light(0.8 * frontal.illumination))
    change = log_ratio(transfer, dim, frontal, face) - log_ratio(transfer, render(frontal), frontal, face)
    # log 0.8 is -0.22; a constant is as smooth as anything can be.
    assert np.percentile(np.abs(change[in_face]), 90) < 0.03


def test_hair_over_the_forehead_is_left_out(transfer, render, frontal, face, surface, place, in_face):
    strip = surface[:, 1] > 0.5 * place(FOREHEAD_TOP)[1] + 20.0
    hair = np.where(strip, -2.5, 0.0)
    plain = log_ratio(transfer, render(frontal), frontal, face)
    change = log_ratio(transfer, render(frontal, painted(face, frontal, hair)), frontal, face) - plain
    under_hair = strip & in_face & (surface[:, 1] < place(FOREHEAD_TOP)[1])
    assert under_hair.sum() > 20
    # Of hair at a twelfth of the skin's albedo next to nothing arrives.
    assert change[under_hair].min() > -0.35
    assert change[under_hair].mean() > -0.1


def test_what_is_no_face_and_what_is_not_seen_keep_their_albedo(transfer, render, known_code, face, surface, in_face):
    turned = known_code.with_pose(torch.tensor([0.0, 1.2, 0.0]), known_code.translation)  # 69° to the picture's right
    change = log_ratio(transfer, render(turned), turned, face)
    np.testing.assert_allclose(change[~in_face], 0.0, atol=1e-6)
    turned_away = in_face & (surface[:, 0] > 45)  # mm: the far cheek
    assert turned_away.sum() > 300
    np.testing.assert_allclose(change[turned_away], 0.0, atol=1e-6)
    assert np.abs(change[in_face & (surface[:, 0] < -20)]).max() > 0.01


def test_the_result_is_a_possible_albedo(transfer, render, frontal, face, model):
    noise = torch.rand(224, 224, 3, generator=torch.Generator().manual_seed(0))
    albedo, _ = detailed_albedo(transfer, replace(render(frontal), crop_srgb=noise), frontal, face)
    low, high = np.float32(ALBEDO_RANGE)
    assert albedo.shape == (model.num_subdivided, 3)
    assert albedo.min() >= low
    assert albedo.max() <= high


def test_the_same_photo_gives_the_same_albedo(transfer, render, frontal, face):
    scene = render(frontal)
    first, second = (detailed_albedo(transfer, scene, frontal, face)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_landmarks_used_here_lie_where_they_should(place):
    assert place(FOREHEAD_TOP)[1] > 40 > place(NOSE_RIDGE[0])[1] > place(CHEEK)[1] > place(CHIN)[1]
    assert place(CHEEK)[0] > 15


def test_nothing_is_taken_where_the_photo_does_not_reach(transfer, render, frontal, face, model: FaceModel):
    noise = torch.rand(224, 224, 3, generator=torch.Generator().manual_seed(0))
    right_half = np.zeros((224, 224), dtype=bool)
    right_half[:, 112:] = True
    detailed, plain = detailed_albedo(transfer, replace(render(frontal), crop_srgb=noise), frontal, face, right_half)
    change = np.abs(np.log(detailed / plain)).mean(axis=-1)
    across = model.subdivision @ model.mean[:, 0]
    # 20 mm off the middle, since this face is not exactly centred in its crop.
    assert change[across < -20].max() < 1e-6
    assert change[across > 20].max() > 0.1

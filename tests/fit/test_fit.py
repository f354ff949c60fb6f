# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.fit.fit import FaceFit, FaceFitter
from facefactor.fit.objective import FitSettings
from facefactor.light.spherical_harmonics import LUMINANCE_WEIGHTS, dominant_direction

SHORT = FitSettings(colour_steps=3, joint_steps=4)


@pytest.fixture(scope="module")
def fit(fitter: FaceFitter, scene) -> FaceFit:
    return fitter.fit(scene.crop_srgb, scene.landmarks_px, torch.ones(478))


def test_a_rendered_face_is_explained_far_better_than_by_the_baseline(fit: FaceFit):
    # The issue asks for 0.6 on photos; a face that the model can draw must do much better.
    assert fit.photometric < 0.2 * fit.baseline_photometric
    assert fit.photometric < 0.015  # some 4 of 255 levels


def test_landmarks_stay_where_they_were_detected(fit: FaceFit):
    assert fit.landmark_px < 0.5  # of a crop of 224 pixels


def test_the_pose_is_the_one_rendered(fit: FaceFit, scene):
    R, true_R = (matrix_from_axis_angle(code.rotation) for code in (fit.code, scene.code))
    angle_deg = math.degrees(math.acos(min(1.0, float(((R.mT @ true_R).trace() - 1) / 2))))
    assert angle_deg < 2.0  # a turned head and an asymmetric one look alike
    across = (fit.code.translation - scene.code.translation)[:2].norm()
    assert across < 2.0  # mm, half a pixel


def test_skin_tone_and_light_are_told_apart(fit: FaceFit, scene, face: MorphableFace, model: FaceModel):
    skin = model.regions["face"]
    found, true = (a[skin].mean(dim=0) @ torch.tensor(LUMINANCE_WEIGHTS)
                   for a in (face.albedo(fit.code.reflectance[None])[0], scene.albedo))  # fmt: skip
    # 25 %: the strength of the light is known from the scene's white to STRENGTH_SPREAD, 30 %.
    assert float(found / true) == pytest.approx(1.0, abs=0.25)


def test_the_light_comes_from_where_it_came(fit: FaceFit, scene):
    found, true = dominant_direction(fit.code.illumination), dominant_direction(scene.code.illumination)
    assert math.degrees(math.acos(float(found @ true))) < 20.0


def test_expression_weights_are_valid_and_the_smile_is_found(fit: FaceFit, landmark_model, scene):
    assert fit.code.expression.min() >= 0
    assert fit.code.expression.max() <= 1
    found, true = (landmark_model.place(code.shape[None], code.expression[None])[0] for code in (fit.code, scene.code))
    # 3 mm: the person's mouth and a smile that changes it are told apart by priors only.
    assert (found - true).norm(dim=1).mean() < 3.0


def test_the_result_is_one_face_without_gradients(fit: FaceFit):
    assert fit.code.batch_shape == ()
    assert not any(getattr(fit.code, name).requires_grad for name in ("shape", "expression", "illumination"))
    assert fit.K.shape == (3, 3)


def test_fitting_twice_gives_identical_codes(fitter: FaceFitter, model: FaceModel, scene):
    codes = [
        FaceFitter(model, SHORT).fit(scene.crop_srgb, scene.landmarks_px, torch.ones(478)).code.pack() for _ in range(2)
    ]
    assert torch.equal(*codes)


def test_a_photo_that_covers_half_the_crop_is_fitted_by_that_half(model: FaceModel, scene):
    coverage = torch.ones(scene.crop_srgb.shape[:2], dtype=torch.bool)
    coverage[:, 110:] = False
    crop = torch.where(coverage[..., None], scene.crop_srgb, torch.zeros(()))
    visibility = (scene.landmarks_px[:, 0] < 110).float()
    fit = FaceFitter(model, SHORT).fit(crop, scene.landmarks_px, visibility, coverage)
    assert fit.photometric < fit.baseline_photometric
    assert fit.code.pack().isfinite().all()

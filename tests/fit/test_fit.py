# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import project_points
from facefactor.code.face_code import SHAPE_SIZE, FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.face.model import FaceModel
from facefactor.face.morph import MorphableFace
from facefactor.fit.engine import RefiningEngine
from facefactor.fit.fit import REFINING, FaceFitter
from facefactor.fit.objective import FitSettings
from facefactor.light.spherical_harmonics import LUMINANCE_WEIGHTS, dominant_direction
from facefactor.losses.prior import NO_TRUST
from facefactor.photo.cropped_face import CroppedFace
from facefactor.photo.detect import FaceBox
from facefactor.photo.find import FoundFace
from facefactor.photo.landmarks import IBUG_51_FROM_478, Landmarks
from facefactor.photo.read import photo_from_array

SHORT = FitSettings(colour_steps=3, joint_steps=4)


@pytest.fixture(scope="module")
def found_code(fitter: FaceFitter, scene) -> "FaceCode[Tensor]":
    return fitter.fit(scene.crop_srgb, scene.landmarks_px, torch.ones(478))


def test_a_rendered_face_is_explained_far_better_than_by_the_baseline(found_code, scene, skin_of, face: MorphableFace):
    skin, albedo = skin_of(scene, found_code)
    photometric = skin.error(albedo, found_code.illumination.numpy())
    # The issue asks for 0.6 on photos; a face that the model can draw must do much better.
    assert photometric < 0.2 * skin.baseline_error(face.albedo(torch.zeros(1, 80))[0].numpy())
    assert photometric < 0.015  # some 4 of 255 levels


def test_landmarks_stay_where_they_were_detected(found_code, landmark_model, scene):
    points = landmark_model.place(found_code.shape[None], found_code.expression[None])[0]
    R = matrix_from_axis_angle(found_code.rotation)
    offsets_px = project_points(move_to_camera(points, R, found_code.translation), scene.K) - scene.landmarks_px
    assert offsets_px[list(IBUG_51_FROM_478)].norm(dim=1).mean() < 0.5  # of a crop of 224 pixels


def test_the_pose_is_the_one_rendered(found_code, scene):
    R, true_R = (matrix_from_axis_angle(code.rotation) for code in (found_code, scene.code))
    angle_deg = math.degrees(math.acos(min(1.0, float(((R.mT @ true_R).trace() - 1) / 2))))
    assert angle_deg < 2.0  # a turned head and an asymmetric one look alike
    across = (found_code.translation - scene.code.translation)[:2].norm()
    assert across < 2.0  # mm, half a pixel


def test_skin_tone_and_light_are_told_apart(found_code, scene, face: MorphableFace, model: FaceModel):
    skin = model.regions["face"]
    found, true = (a[skin].mean(dim=0) @ torch.tensor(LUMINANCE_WEIGHTS)
                   for a in (face.albedo(found_code.reflectance[None])[0], scene.albedo))  # fmt: skip
    # 25 %: the strength of the light is known from the scene's white to STRENGTH_SPREAD, 30 %.
    assert float(found / true) == pytest.approx(1.0, abs=0.25)


def test_the_light_comes_from_where_it_came(found_code, scene):
    found, true = dominant_direction(found_code.illumination), dominant_direction(scene.code.illumination)
    assert math.degrees(math.acos(float(found @ true))) < 20.0


def test_expression_weights_are_valid_and_the_smile_is_found(found_code, landmark_model, scene):
    assert found_code.expression.min() >= 0
    assert found_code.expression.max() <= 1
    found, true = (
        landmark_model.place(code.shape[None], code.expression[None])[0] for code in (found_code, scene.code)
    )
    # 3 mm: the person's mouth and a smile that changes it are told apart by priors only.
    assert (found - true).norm(dim=1).mean() < 3.0


def test_the_result_is_one_face_without_gradients(found_code):
    assert found_code.batch_shape == ()
    assert not any(getattr(found_code, name).requires_grad for name in ("shape", "expression", "illumination"))


def test_fitting_twice_gives_identical_codes(fitter: FaceFitter, model: FaceModel, scene):
    codes = [
        FaceFitter(model, SHORT).fit(scene.crop_srgb, scene.landmarks_px, torch.ones(478)).pack() for _ in range(2)
    ]
    assert torch.equal(*codes)


def test_a_photo_that_covers_half_the_crop_is_fitted_by_that_half(model: FaceModel, face, scene, skin_of):
    coverage = torch.ones(scene.crop_srgb.shape[:2], dtype=torch.bool)
    coverage[:, 110:] = False
    crop = torch.where(coverage[..., None], scene.crop_srgb, torch.zeros(()))
    visibility = (scene.landmarks_px[:, 0] < 110).float()
    code = FaceFitter(model, SHORT).fit(crop, scene.landmarks_px, visibility, coverage)
    assert code.pack().isfinite().all()
    skin, albedo = skin_of(scene, code, coverage.numpy())
    mean_albedo = face.albedo(torch.zeros(1, 80))[0].numpy()
    assert skin.error(albedo, code.illumination.numpy()) < skin.baseline_error(mean_albedo)


@pytest.fixture(scope="module")
def refiner(model: FaceModel) -> FaceFitter:
    return FaceFitter(model, REFINING)


@pytest.fixture(scope="module")
def about_right(scene) -> "FaceCode[Tensor]":
    """What an encoder might answer: a little off in everything."""
    generator = torch.Generator().manual_seed(1)

    def off(part: Tensor, spread: float) -> Tensor:
        return part + spread * torch.randn(part.shape, generator=generator)

    code = scene.code
    return FaceCode(
        shape=off(0.5 * code.shape, 0.1),
        expression=off(0.5 * code.expression, 0.05).clamp(0, 1),
        reflectance=off(0.5 * code.reflectance, 0.1),
        rotation=off(code.rotation, 0.05),
        translation=off(code.translation, 3.0),
        illumination=1.2 * code.illumination,
    )


def test_refining_brings_an_answer_nearer_to_its_photo(
    refiner: FaceFitter, about_right, landmark_model, scene, skin_of
):
    code = refiner.refine(about_right, scene.crop_srgb, scene.landmarks_px, torch.ones(478))
    errors_px, errors = [], []
    for each in (about_right, code):
        points = landmark_model.place(each.shape[None], each.expression[None])[0]
        placed = move_to_camera(points, matrix_from_axis_angle(each.rotation), each.translation)
        offsets_px = project_points(placed, scene.K) - scene.landmarks_px
        errors_px.append(float(offsets_px[list(IBUG_51_FROM_478)].norm(dim=1).mean()))
        skin, albedo = skin_of(scene, each)
        errors.append(skin.error(albedo, each.illumination.numpy()))
    assert errors_px[0] > 2.0
    assert errors_px[1] < 0.5
    assert errors[1] < 0.5 * errors[0]
    assert code.batch_shape == ()


def test_refining_keeps_an_eye_shut_that_the_detector_sees_open(refiner: FaceFitter, about_right, scene):
    """The photo shows both eyes open too; so one stays half shut, where without the start's word both would be open."""
    packed = about_right.pack().clone()
    blink = SHAPE_SIZE + EXPRESSION_NAMES.index("eyeBlinkLeft")
    packed[blink] = 1.0
    code = refiner.refine(FaceCode.unpack(packed), scene.crop_srgb, scene.landmarks_px, torch.ones(478))
    left, right = (float(code.expression[EXPRESSION_NAMES.index(f"eyeBlink{side}")]) for side in ("Left", "Right"))
    assert left > right + 0.25


def test_refining_does_not_run_after_what_landmarks_get_wrong(model: FaceModel, refiner: FaceFitter, scene):
    """The detector places the upper half of the face a little high, as detectors have such ways; the start is right."""
    marks_px = scene.landmarks_px.clone()
    marks_px[marks_px[:, 1] < marks_px[:, 1].median()] -= torch.tensor([0.0, 2.0])
    trustless = FaceFitter(model, replace(REFINING, trust=NO_TRUST))
    moved = [
        (each.refine(scene.code, scene.crop_srgb, marks_px, torch.ones(478)).shape - scene.code.shape).norm()
        for each in (refiner, trustless)
    ]
    assert moved[0] < 0.2 * moved[1]


def test_the_refining_engine_starts_from_the_others_answer(model: FaceModel, about_right, scene, monkeypatch):
    seen = []

    class Other:
        name, weights_hash = "other", "abc"

        def __init__(self):
            self.model = model

        def describe(self, face):
            return about_right.to_numpy()

    def refine(self, start, *rest):
        seen.append(start)
        return start

    monkeypatch.setattr(FaceFitter, "refine", refine)
    engine = RefiningEngine(Other())
    assert (engine.name, engine.weights_hash) == ("other, refined", "abc")
    size = len(scene.crop_srgb)
    photo = photo_from_array((255 * scene.crop_srgb.numpy()).astype(np.uint8), "face.png")
    found = FoundFace(FaceBox(0, 0, size, size, 1.0), Landmarks(scene.landmarks_px.double().numpy(), np.ones(478)))
    answer = engine.describe(CroppedFace.of(photo, found, size))
    assert torch.equal(seen[0].pack(), about_right.pack())
    np.testing.assert_array_equal(answer.pack(), about_right.to_numpy().pack())

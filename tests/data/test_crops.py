# SPDX-License-Identifier: Apache-2.0
"""The stored crop, the crops cut out of it, and the landmarks that go with them."""

import numpy as np
import pytest
from skimage.data import astronaut

from facefactor.data.crops import (
    CORPUS_CROP_PX,
    CROP_FOCAL_PX,
    JitterLimits,
    cut_crop,
    cut_landmarks,
    draw_crop,
    exact_crop,
    match_mirrored,
    mean_landmarks_mm,
    mirror_permutation,
    stored_crop,
)
from facefactor.encode import ENCODER_CROP_PX
from facefactor.photo import find_faces, photo_from_array
from facefactor.photo import landmarks as names
from facefactor.photo.crop import crop_image, crop_to_photo, face_crop, similarity_scale
from facefactor.photo.landmarks import NUM_LANDMARKS, Landmarks
from facefactor.photo.mediapipe_landmarks import MediaPipeLandmarks

SIDES = ("EYE_UPPER", "EYE_LOWER", "BROW_UPPER", "BROW_LOWER")
ALONG_THE_MIDLINE = (*names.NOSE_RIDGE, names.CHIN, 0, 13, 14, 17, 10)


@pytest.fixture
def face() -> Landmarks:
    """The mean face from the front, about 100 px wide, leaning."""
    turn = np.array([[0.96, 0.28], [-0.28, 0.96]])
    return Landmarks((mean_landmarks_mm()[:, :2] * (1, -1)) @ turn + (150, 140), np.ones(NUM_LANDMARKS))


def draws(limits: JitterLimits, count: int = 200) -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    return [draw_crop(generator, limits) for _ in range(count)]


def test_the_stored_crop_shows_the_encoder_crop_with_a_border(face: Landmarks) -> None:
    T_photo_encoder, T_photo_stored = face_crop(face, ENCODER_CROP_PX), stored_crop(face)
    np.testing.assert_allclose(T_photo_stored @ exact_crop(), T_photo_encoder, atol=1e-9)
    border_px = (CORPUS_CROP_PX - ENCODER_CROP_PX) / 2
    np.testing.assert_allclose(exact_crop(), [[1, 0, border_px], [0, 1, border_px], [0, 0, 1]])
    assert pytest.approx(580) == CROP_FOCAL_PX


def test_no_jitter_is_the_exact_crop() -> None:
    crop = draw_crop(np.random.default_rng(0), JitterLimits(0.0, 1.0, 0.0, 0.0))
    np.testing.assert_allclose(crop, exact_crop())


def test_no_draw_leaves_the_stored_crop() -> None:
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * ENCODER_CROP_PX
    shown = np.array([crop_to_photo(corners, crop) for crop in draws(JitterLimits())])
    assert shown.min() >= -1e-9
    assert shown.max() <= CORPUS_CROP_PX + 1e-9


def test_draws_keep_to_their_limits_and_fill_them() -> None:
    limits = JitterLimits(shift_px=4.0, scale=1.05, roll_deg=5.0, mirror_probability=0.0)
    crops = np.array(draws(limits))
    centre = np.full(2, ENCODER_CROP_PX / 2)
    shifts = np.array([crop_to_photo(centre, crop) for crop in crops]) - CORPUS_CROP_PX / 2
    scales = np.array([similarity_scale(crop) for crop in crops])
    rolls_deg = np.degrees(np.arctan2(crops[:, 1, 0], crops[:, 0, 0]))
    for values, limit in ((shifts, 4), (np.log(scales), np.log(1.05)), (rolls_deg, 5)):
        assert 0.9 * limit < np.abs(values).max() <= limit + 1e-9
        assert abs(values.mean()) < 0.15 * limit


def test_about_every_second_draw_is_mirrored() -> None:
    mirrored = [np.linalg.det(crop[:2, :2]) < 0 for crop in draws(JitterLimits())]
    assert 0.4 < np.mean(mirrored) < 0.6


def test_the_same_seed_draws_the_same_crop() -> None:
    first, second = (draw_crop(np.random.default_rng((1, 2, 3)), JitterLimits()) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("wrong", [{"shift_px": -1.0}, {"scale": 0.9}, {"roll_deg": -1.0}, {"mirror_probability": 1.5}])
def test_limits_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        JitterLimits(**wrong)


def test_limits_beyond_the_stored_crop_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        JitterLimits(scale=1.2, roll_deg=10.0)


def test_the_exact_cut_is_the_middle_of_the_stored_crop() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (CORPUS_CROP_PX, CORPUS_CROP_PX, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut_crop(stored, exact_crop()), stored[16:144, 16:144])


@pytest.mark.parametrize("seed", range(4))
def test_a_cut_is_what_would_have_been_cut_out_of_the_photo(seed: int) -> None:
    photo = photo_from_array(astronaut(), "astronaut")
    T_photo_stored = np.array([[1.2, 0.1, 125.0], [-0.1, 1.2, 20.0], [0, 0, 1]])
    crop = draw_crop(np.random.default_rng(seed), JitterLimits())
    stored = np.rint(crop_image(photo, T_photo_stored, CORPUS_CROP_PX) * 255).astype(np.uint8)
    direct = crop_image(photo, T_photo_stored @ crop, ENCODER_CROP_PX)
    # the stored crop is interpolated a second time: it is a little softer than the direct one
    assert np.abs(cut_crop(stored, crop) / 255 - direct).mean() < 0.02


def test_a_bright_spot_and_its_landmark_move_together() -> None:
    stored = np.zeros((CORPUS_CROP_PX, CORPUS_CROP_PX, 3), np.uint8)
    stored[70:73, 60:63] = 255
    points_px = np.full((NUM_LANDMARKS, 2), (61.5, 71.5))
    for crop in draws(JitterLimits(), 20):
        cut = cut_crop(stored, crop)[:, :, 0].astype(float)
        rows, columns = np.indices(cut.shape) + 0.5
        centre = np.array([(columns * cut).sum(), (rows * cut).sum()]) / cut.sum()
        cut_px, _ = cut_landmarks(points_px, np.ones(NUM_LANDMARKS), crop)
        np.testing.assert_allclose(cut_px[names.CHIN], centre, atol=0.05)  # resampled pixels


def test_mirroring_a_face_keeps_the_right_eye_on_the_picture_s_left(face: Landmarks) -> None:
    always = JitterLimits(mirror_probability=1.0)
    points_px = np.full((NUM_LANDMARKS, 2), 80.0)
    points_px[list(names.RIGHT_EYE_UPPER)] -= (20, 10)
    points_px[list(names.LEFT_EYE_UPPER)] += (20, -10)
    visibility = np.ones(NUM_LANDMARKS)
    visibility[list(names.RIGHT_EYE_UPPER)] = 0.5
    cut_px, cut_visibility = cut_landmarks(points_px, visibility, draw_crop(np.random.default_rng(0), always))
    assert cut_px[33, 0] < cut_px[263, 0]
    assert (cut_visibility[33], cut_visibility[263]) == (1.0, 0.5)


def test_the_mirror_permutation_undoes_itself() -> None:
    mirror_of = mirror_permutation()
    np.testing.assert_array_equal(mirror_of[mirror_of], np.arange(NUM_LANDMARKS))


def test_the_mirror_permutation_knows_the_named_points() -> None:
    mirror_of = mirror_permutation()
    for side in SIDES:
        right, left = getattr(names, f"RIGHT_{side}"), getattr(names, f"LEFT_{side}")
        assert tuple(mirror_of[list(right)]) == left[::-1]
    for lip in (names.LIPS_OUTER_UPPER, names.LIPS_OUTER_LOWER, names.LIPS_INNER_UPPER, names.LIPS_INNER_LOWER):
        assert tuple(mirror_of[list(lip)]) == lip[::-1]
    assert tuple(mirror_of[list(names.FACE_OVAL)]) == (names.FACE_OVAL[:1] + names.FACE_OVAL[:0:-1])
    assert tuple(mirror_of[list(ALONG_THE_MIDLINE)]) == ALONG_THE_MIDLINE


def test_an_iris_border_keeps_its_order_in_the_picture() -> None:
    pupil, right, top, left, bottom = names.LEFT_IRIS
    assert tuple(mirror_permutation()[list(names.RIGHT_IRIS)]) == (pupil, left, top, right, bottom)


def test_one_misplaced_point_costs_its_neighbours_nothing() -> None:
    left = np.array([[x, 10.0 * x, 0.0] for x in np.arange(5, 30, 2.5)])
    points = np.concatenate((left, left * (-1, 1, 1)))
    points[9] = points[7] + 1.0
    np.testing.assert_array_equal(match_mirrored(points), np.roll(np.arange(20), 10))


def test_a_mirrored_photo_has_the_mirrored_landmarks() -> None:
    pytest.importorskip("mediapipe", reason="mediapipe (the extra `prepare`) is not installed")
    detector = MediaPipeLandmarks()
    picture = astronaut()[:256, 96:352]
    as_is, mirrored = (
        find_faces(photo_from_array(np.ascontiguousarray(pixels), "a"), landmark_detector=detector)[0].landmarks
        for pixels in (picture, picture[:, ::-1])
    )
    found = (256, 0) + mirrored.points_px[mirror_permutation()] * (-1, 1)
    distance_px = np.linalg.norm(found - as_is.points_px, axis=1)
    # the network itself is not symmetric: 0.8 px in the mean, on a face of 90 px
    assert distance_px.mean() < 1.5
    assert distance_px.max() < 4

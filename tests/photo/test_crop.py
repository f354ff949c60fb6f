# SPDX-License-Identifier: Apache-2.0
"""The crop: its way back, its sampling and its scale."""

import math

import numpy as np
import pytest

from facefactor.photo.colour import srgb_to_linear
from facefactor.photo.crop import (
    EYE_DISTANCE_MM,
    EYES_TO_CHIN_MM,
    FOCAL_PER_CROP_SIZE,
    crop_coverage,
    crop_image,
    crop_to_photo,
    face_crop,
    photo_to_crop,
    rotation,
    similarity,
)
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import CHIN, LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, Landmarks, eye_centres_px, roll_rad
from facefactor.photo.read import photo_from_array


def make_landmarks(centre: tuple[float, float], px_per_mm: float, roll_deg: float, squeeze: float = 1.0) -> Landmarks:
    """A flat frontal face of mean proportions, turned in the picture; `squeeze` narrows it as a turned head does."""
    points_mm = np.zeros((478, 2))
    right, left = -EYE_DISTANCE_MM / 2, EYE_DISTANCE_MM / 2
    points_mm[list(RIGHT_EYE_CORNERS)] = [(right - 15, -40), (right + 15, -40)]
    points_mm[list(LEFT_EYE_CORNERS)] = [(left - 15, -40), (left + 15, -40)]
    points_mm[[61, 291]] = [(-25, 30), (25, 30)]
    points_mm[CHIN] = (0, EYES_TO_CHIN_MM - 40)
    points_mm[10] = (0, -(EYES_TO_CHIN_MM - 40))
    points_mm[:, 0] *= squeeze
    points_px = px_per_mm * points_mm @ rotation(math.radians(roll_deg)).T + centre
    return Landmarks(points_px, np.ones(478))


def random_transforms(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [
        similarity(
            random.uniform(-50, 500, 2), math.exp(random.uniform(-2, 2)), random.uniform(-math.pi, math.pi), int(size)
        )
        for size in random.integers(64, 512, count)
    ]


@pytest.mark.parametrize("T_photo_crop", random_transforms(5))
def test_cropping_and_uncropping_points_is_the_identity(T_photo_crop: np.ndarray) -> None:
    points = np.random.default_rng(0).uniform(-100, 900, (7, 5, 2))
    np.testing.assert_allclose(photo_to_crop(crop_to_photo(points, T_photo_crop), T_photo_crop), points, atol=1e-9)
    np.testing.assert_allclose(crop_to_photo(photo_to_crop(points, T_photo_crop), T_photo_crop), points, atol=1e-9)


@pytest.mark.parametrize("T_photo_crop", random_transforms(5))
def test_points_move_as_the_homogeneous_matrix_says(T_photo_crop: np.ndarray) -> None:
    x, y = 12.25, 200.5
    expected = T_photo_crop @ [x, y, 1]
    np.testing.assert_allclose(crop_to_photo([x, y], T_photo_crop), expected[:2])
    np.testing.assert_allclose(photo_to_crop(expected[:2], T_photo_crop), np.linalg.solve(T_photo_crop, expected)[:2])


@pytest.mark.parametrize("roll_deg", [0, 37, -120, 180])
def test_a_mean_face_stands_at_the_nominal_distance_upright_in_the_middle(roll_deg: float) -> None:
    size = 224
    landmarks = make_landmarks((300, 200), px_per_mm=3.1, roll_deg=roll_deg)
    cropped = photo_to_crop(landmarks.points_px, face_crop(landmarks, size))
    right_eye, left_eye = eye_centres_px(cropped)
    # pixel = focal · mm / distance, at 1000 mm
    np.testing.assert_allclose(
        left_eye - right_eye, [EYE_DISTANCE_MM * FOCAL_PER_CROP_SIZE * size / 1000, 0], atol=1e-9
    )
    np.testing.assert_allclose((cropped.min(axis=0) + cropped.max(axis=0)) / 2, [size / 2, size / 2], atol=1e-9)


def test_a_turned_head_keeps_its_size_in_the_crop() -> None:
    frontal = face_crop(make_landmarks((0, 0), 2.0, 0), 128)
    profile = face_crop(make_landmarks((0, 0), 2.0, 0, squeeze=0.2), 128)
    np.testing.assert_allclose(profile[0, 0], frontal[0, 0])


def test_an_open_mouth_does_not_make_the_face_larger() -> None:
    landmarks = make_landmarks((0, 0), 2.0, 0)
    opened = landmarks.points_px.copy()
    opened[CHIN, 1] += 60
    opened[14, 1] += 60
    scales = [face_crop(face, 128)[0, 0] for face in (landmarks, Landmarks(opened, landmarks.visibility))]
    assert scales[0] == pytest.approx(scales[1])


@pytest.mark.parametrize("roll_deg", [0, 30, 90, 180, -135])
def test_roll_is_measured_clockwise(roll_deg: float) -> None:
    roll = roll_rad(make_landmarks((10, 20), 1.5, roll_deg).points_px)
    assert math.remainder(roll - math.radians(roll_deg), math.tau) == pytest.approx(0, abs=1e-9)


def test_a_box_gives_about_the_crop_of_its_face() -> None:
    T_photo_crop = face_crop(FaceBox(100, 100, 140, 185, 0.9, roll_deg=0), 224)
    assert T_photo_crop[0, 0] == pytest.approx(1.0, abs=0.05)  # √area 161 px for 161 mm: about a pixel a millimetre
    np.testing.assert_allclose(photo_to_crop([170, 192.5 + 12], T_photo_crop), [112, 112], atol=1)


def test_the_identity_crop_returns_the_photo() -> None:
    photo = photo_from_array(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8), "noise")
    # float32 through the sRGB curve and back
    np.testing.assert_allclose(crop_image(photo, np.eye(3), 32), photo.srgb / 255, atol=2e-6)


def test_a_quarter_turn_of_the_crop_is_a_quarter_turn_of_the_pixels() -> None:
    photo = photo_from_array(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8), "noise")
    turned = crop_image(photo, similarity((16, 16), 1.0, math.pi / 2, 32), 32)
    # The crop's axes turn clockwise, so the picture in it turns counter-clockwise.
    np.testing.assert_allclose(turned, np.rot90(photo.srgb / 255), atol=1e-5)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_shrinking_by_a_whole_factor_averages_blocks_of_light(factor: int) -> None:
    size = 12
    photo = photo_from_array(
        np.random.default_rng(1).integers(0, 256, (size * factor, size * factor, 3), np.uint8), "n"
    )
    crop = crop_image(photo, np.diag([factor, factor, 1.0]), size)
    blocks = srgb_to_linear(photo.srgb / 255).reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    inner = (slice(1, -1), slice(1, -1))
    # 2 × 2 samples inside each block add a little of its neighbours: a mean of 1/64 + ... of their difference.
    assert np.abs(srgb_to_linear(crop) - blocks)[inner].mean() < 0.12
    assert abs(srgb_to_linear(crop).mean() - blocks.mean()) < 0.01


@pytest.mark.parametrize(("scale", "angle_deg"), [(0.4, 20), (1.0, -35), (2.7, 10), (6.3, 75)])
def test_a_smooth_picture_is_sampled_where_the_formula_says(scale: float, angle_deg: float) -> None:
    size, (height, width) = 24, (260, 320)
    y, x = np.mgrid[:height, :width] + 0.5
    linear = np.stack([x / width, y / height, (x + y) / (width + height)], axis=2)
    from facefactor.photo.colour import linear_to_srgb

    photo = photo_from_array(linear_to_srgb(linear), "ramp")
    T_photo_crop = similarity((160, 130), scale, math.radians(angle_deg), size)
    rows, columns = np.mgrid[:size, :size] + 0.5
    points = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ T_photo_crop.T
    expected = np.stack(
        [points[..., 0] / width, points[..., 1] / height, (points[..., 0] + points[..., 1]) / (width + height)], axis=2
    )
    # Bytes: half a step of 1/255 where the curve is steepest (slope 2.4).
    np.testing.assert_allclose(srgb_to_linear(crop_image(photo, T_photo_crop, size)), expected, atol=2.4 / 255)


def test_fine_stripes_do_not_alias_when_shrunk() -> None:
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_image(photo_from_array(stripes, "stripes"), similarity((200, 200), 7.3, 0.2, 40), 40)
    # Half the light everywhere: 0.5 linear is 0.735 encoded.
    np.testing.assert_allclose(crop, 0.735, atol=0.06)


def test_outside_the_photo_its_border_is_repeated_and_coverage_says_so() -> None:
    photo = photo_from_array(np.full((20, 30, 3), 77, np.uint8), "plain")
    T_photo_crop = similarity((0, 0), 1.0, 0.0, 40)
    np.testing.assert_allclose(crop_image(photo, T_photo_crop, 40), 77 / 255, atol=2e-6)
    expected = np.zeros((40, 40), bool)
    expected[20:40, 20:40] = True
    np.testing.assert_array_equal(crop_coverage(photo, T_photo_crop, 40), expected)


def test_a_crop_wholly_outside_the_photo_is_no_error() -> None:
    photo = photo_from_array(np.full((20, 30, 3), 77, np.uint8), "plain")
    T_photo_crop = similarity((900, -900), 3.0, 0.3, 16)
    np.testing.assert_allclose(crop_image(photo, T_photo_crop, 16), 77 / 255, atol=2e-6)
    assert not crop_coverage(photo, T_photo_crop, 16).any()


def test_a_scale_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="scale must be positive"):
        similarity((0, 0), 0.0, 0.0, 10)

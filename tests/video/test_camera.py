# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from facefactor.camera.pose import matrix_from_axis_angle, matrix_from_euler_deg, move_to_camera
from facefactor.camera.projection import project_points
from facefactor.code.face_code import FaceCode
from facefactor.face.model import load_face_model
from facefactor.light.spherical_harmonics import directional_light, dominant_direction
from facefactor.photo.crop import similarity
from facefactor.video.camera import ClipPoser, clip_intrinsics, fit_pose
from facefactor.video.rows import SeenFaces

WIDTH, HEIGHT, ROWS = 640, 480, 6


@pytest.fixture(scope="module")
def poser() -> ClipPoser:
    return ClipPoser(load_face_model())


@pytest.fixture
def seen() -> SeenFaces:
    """Faces all over the picture, turned and rolled, of sizes that differ by a half."""
    generator = np.random.default_rng(0)
    centres = generator.uniform((120, 120), (520, 360), (ROWS, 2))
    T = np.stack([similarity(c, generator.uniform(1.0, 1.5), generator.uniform(-0.5, 0.5), 128) for c in centres])
    code = dataclasses.replace(
        FaceCode.neutral((ROWS,)),
        shape=np.float32(generator.normal(0, 1, (ROWS, 80))),
        expression=np.float32(generator.uniform(0, 0.3, (ROWS, 52))),
        reflectance=np.float32(generator.normal(0, 1, (ROWS, 80))),
        rotation=np.float32(generator.uniform(-0.4, 0.4, (ROWS, 3))),
        illumination=np.float32(directional_light(generator.normal(0, 1, (ROWS, 3)), np.ones((ROWS, 3)))),
    )
    rows = np.arange(ROWS)
    return SeenFaces(rows, rows / 25, 0 * rows, 0 * rows, np.ones(ROWS), T, code)


def test_a_pose_is_found_from_its_pixels():
    generator = np.random.default_rng(0)
    points = generator.uniform(-70, 70, (4, 40, 3))
    R = matrix_from_euler_deg(generator.uniform(-40, 40, (4, 3)))
    t = generator.uniform((-200, -150, -1300), (200, 150, -700), (4, 3))
    K = np.array([[1100.0, 0, 320], [0, 1100.0, 240], [0, 0, 1]])
    pixels = project_points(move_to_camera(points, R, t), K)
    R_start = matrix_from_axis_angle(generator.uniform(-0.1, 0.1, (4, 3))) @ R
    found_R, found_t = fit_pose(points, pixels, K, R_start, t * generator.uniform(0.9, 1.1, (4, 3)))
    np.testing.assert_allclose(found_R, R, atol=1e-6)
    np.testing.assert_allclose(found_t, t, atol=1e-3)


def test_in_the_clips_camera_faces_lie_where_their_answers_did(poser, seen):
    K = clip_intrinsics(seen, WIDTH, HEIGHT)
    code, answered_px = poser.pose(seen, seen.code, K)
    offsets_px = np.linalg.norm(poser.landmarks_px(code, K) - answered_px, axis=2)
    assert offsets_px.mean() < 0.6  # of faces about 130 px wide: the perspective differs a little


def test_a_shared_head_is_posed_over_each_answer(poser, seen):
    K = clip_intrinsics(seen, WIDTH, HEIGHT)
    shared = seen.code.with_shape(np.broadcast_to(seen.code.shape[:1], seen.code.shape.shape).copy())
    code, answered_px = poser.pose(seen, shared, K)
    middle_px = poser.landmarks_px(code, K).mean(axis=1) - answered_px.mean(axis=1)
    assert np.abs(middle_px).max() < 1.0
    np.testing.assert_array_equal(code.shape, shared.shape)


def test_the_light_keeps_its_direction_in_the_head_and_the_skin_its_colour(poser, seen):
    K = clip_intrinsics(seen, WIDTH, HEIGHT)
    shared = seen.code.with_reflectance(np.zeros_like(seen.code.reflectance))
    code, _ = poser.pose(seen, shared, K)
    for before, after in zip(_light_in_head(seen.code), _light_in_head(code), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-4)
    model = load_face_model()
    own = seen.code.reflectance @ model.reflectance_basis[:80, model.regions["face"]].mean(axis=1)
    change = np.log(code.illumination[:, 0] / seen.code.illumination[:, 0])
    np.testing.assert_allclose(change, own, atol=1e-4)


def _light_in_head(code: FaceCode[np.ndarray]) -> np.ndarray:
    directions = dominant_direction(code.illumination.astype(np.float64).mean(axis=2, keepdims=True).repeat(3, axis=2))
    return np.einsum("nji,nj->ni", matrix_from_axis_angle(code.rotation.astype(np.float64)), directions)


def test_the_camera_looks_through_the_middle_and_is_no_wider_than_a_phones(seen):
    K = clip_intrinsics(seen, WIDTH, HEIGHT)
    np.testing.assert_array_equal(K[:2, 2], (320, 240))
    assert K[0, 0] == K[1, 1] >= 1.2 * 640
    far = dataclasses.replace(seen, T_photo_crop=seen.T_photo_crop * 0.1)
    assert clip_intrinsics(far, WIDTH, HEIGHT)[0, 0] == 1.2 * 640

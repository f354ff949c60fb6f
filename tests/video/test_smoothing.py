# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.video.rows import ClipFaces
from facefactor.video.smoothing import EXPRESSION, ROTATION, smooth, smooth_faces

BLINK = EXPRESSION_NAMES.index("eyeBlinkLeft")
K = np.array([[1000.0, 0, 320], [0, 1000.0, 240], [0, 0, 1]])


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def uneven_times(count: int, generator: np.random.Generator) -> np.ndarray:
    """About 30 a second, each step between a half and one and a half of that."""
    return np.cumsum(generator.uniform(0.5, 1.5, count)) / 30


def clip_faces(times_s: np.ndarray, tracks: np.ndarray | None = None, **parts: np.ndarray) -> ClipFaces:
    code = dataclasses.replace(FaceCode.neutral((len(times_s),)), **parts)
    rows = np.arange(len(times_s))
    tracks = np.zeros_like(rows) if tracks is None else tracks
    return ClipFaces(rows, times_s, tracks, np.zeros_like(rows), K, code)


def test_what_rests_is_held_still(generator):
    times_s = uneven_times(300, generator)
    noise = generator.normal(0, 0.02, (300, 1))
    smoothed = smooth(times_s, 0.4 + noise, EXPRESSION)
    assert smoothed.std() < 0.4 * noise.std()
    assert abs(smoothed.mean() - 0.4) < 0.002


def test_straight_motion_is_left_as_it_is(generator):
    times_s = uneven_times(60, generator)
    line = np.stack([0.3 * times_s, 1 - 2 * times_s], axis=1)
    np.testing.assert_allclose(smooth(times_s, line, ROTATION), line, atol=1e-9)


def test_a_blink_keeps_its_height_and_its_moment(generator):
    times_s = np.arange(90) / 30
    lid = 0.1 + 0.8 * np.exp(-(((times_s - 1.5) / 0.07) ** 2))
    smoothed = smooth(times_s, (lid + generator.normal(0, 0.02, 90))[:, None], EXPRESSION)[:, 0]
    assert np.argmax(smoothed) == 45
    assert smoothed[45] > 0.93 * lid.max()
    np.testing.assert_allclose(smoothed[np.abs(times_s - 1.5) > 0.3], 0.1, atol=0.04)


def test_the_future_counts_as_the_past_does(generator):
    times_s = uneven_times(80, generator)
    values = np.cumsum(generator.normal(0, 0.05, (80, 2)), axis=0)
    backwards = smooth(-times_s[::-1], values[::-1], EXPRESSION)[::-1]
    np.testing.assert_allclose(smooth(times_s, values, EXPRESSION), backwards, atol=1e-8)


def test_nothing_is_smoothed_across_tracks(generator):
    times_s = uneven_times(40, generator)
    expression = np.zeros((40, 52), dtype=np.float32)
    expression[20:, BLINK] = 1.0
    tracks = np.arange(40) // 20
    smoothed = smooth_faces(clip_faces(times_s, tracks, expression=expression))
    np.testing.assert_allclose(smoothed.code.expression, expression, atol=1e-6)


def test_poses_are_smoothed_and_stay_poses(generator):
    times_s = np.arange(200) / 30
    rotation = np.stack([np.zeros(200), 0.1 * times_s, np.zeros(200)], axis=1)
    trembling = rotation + generator.normal(0, 0.01, (200, 3))
    moved = np.stack([20 * times_s, np.zeros(200), -900 + 30 * times_s], axis=1)
    jumpy = moved + generator.normal(0, 1, (200, 3)) * (0.3, 0.3, 6)
    faces = smooth_faces(clip_faces(times_s, rotation=np.float32(trembling), translation=np.float32(jumpy)))
    assert np.abs(faces.code.rotation - rotation)[5:-5].mean() < 0.5 * np.abs(trembling - rotation).mean()
    assert np.abs(faces.code.translation - moved)[5:-5].mean() < 0.5 * np.abs(jumpy - moved).mean()


def test_half_turns_are_passed_without_a_jump():
    angles = np.linspace(np.pi - 0.3, np.pi + 0.3, 40)
    wrapped = np.where(angles > np.pi, angles - 2 * np.pi, angles)
    rotation = np.float32(np.stack([np.zeros(40), np.zeros(40), wrapped], axis=1))
    smoothed = smooth_faces(clip_faces(np.arange(40) / 30, rotation=rotation))
    np.testing.assert_allclose(
        matrix_from_axis_angle(smoothed.code.rotation), matrix_from_axis_angle(rotation), atol=1e-3
    )


def test_one_and_two_frames_are_left_as_they_are():
    for count in (1, 2):
        values = np.arange(count)[:, None] ** 2.0
        np.testing.assert_array_equal(smooth(np.arange(count) / 30, values, EXPRESSION), values)

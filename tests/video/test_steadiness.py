# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.video.camera import LANDMARKS
from facefactor.video.steadiness import measure_lag, measure_steadiness


def path(times_s: np.ndarray) -> np.ndarray:
    """A head that rests for a second, then moves: (frames, 87, 2) pixels."""
    moved = 60 * np.sin(3 * np.maximum(times_s - 1.0, 0.0))
    return 100 + np.arange(len(LANDMARKS))[:, None] + np.stack([moved, 0.3 * moved], axis=1)[:, None]


def test_jitter_is_root_three_of_white_noise_in_the_frames_at_rest():
    times_s, generator = np.arange(100) / 30, np.random.default_rng(0)
    noisy = path(times_s) + generator.normal(0, 0.5, (100, len(LANDMARKS), 2))
    steadiness = measure_steadiness(times_s, np.zeros(100), noisy, path(times_s))
    assert steadiness is not None
    assert steadiness.jitter_px_before == pytest.approx(np.sqrt(3) * 0.5, rel=0.05)
    assert steadiness.jitter_px_after < 0.01
    assert steadiness.frame_ms == pytest.approx(1000 / 30)


@pytest.mark.parametrize("late_s", [-0.05, 0.0, 0.01, 0.08])
def test_lag_is_the_shift_in_time(late_s: float):
    times_s = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.05, 150))
    runs = [(times_s, path(times_s), path(times_s - late_s))]
    assert measure_lag(runs, 0.033) == pytest.approx(late_s, abs=0.003)


def test_runs_are_not_joined():
    times_s = np.arange(60) / 30
    tracks = np.arange(60) // 30
    jump = path(times_s * 0) + 500 * tracks[:, None, None]
    steadiness = measure_steadiness(times_s, tracks, jump, jump)
    assert steadiness is not None
    assert steadiness.jitter_px_before == 0.0


def test_two_frames_have_no_steadiness():
    times_s = np.arange(2) / 30
    assert measure_steadiness(times_s, np.zeros(2), path(times_s), path(times_s)) is None

# SPDX-License-Identifier: Apache-2.0
"""How much a face trembles, and whether smoothing made it late: two measures, before and after.

    jitter   a landmark's distance from the straight line between its places one frame before and one after, pixels;
             root mean square over the landmarks that expressions hardly move, in the quarter of the frames in which
             the face moves least
    lag      the shift in time, milliseconds, at which the landmarks' smoothed velocities agree best with the unsmoothed
             (peak of their cross-correlation, a parabola through its highest three places); above zero is late

Of white noise of s pixels in each coordinate, the jitter is √3 s: √(1 + ¼ + ¼) of each of two coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facefactor.photo.landmarks import LEFT_EYE_CORNERS, NOSE_BASE, RIGHT_EYE_CORNERS
from facefactor.video.camera import LANDMARKS
from facefactor.video.rows import runs_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

STILL = tuple(LANDMARKS.index(point) for point in (*RIGHT_EYE_CORNERS, *LEFT_EYE_CORNERS, *NOSE_BASE, 168, 197, 195, 4))
"""Places among LANDMARKS of corners of the eyes, base and ridge of the nose."""
AT_REST = 0.25
"""Share of the frames, those with the slowest face, in which jitter is measured."""
LARGEST_LAG_FRAMES = 6


@dataclass(frozen=True)
class Steadiness:
    """What smoothing did to one person."""

    jitter_px_before: float
    jitter_px_after: float
    lag_ms: float
    frame_ms: float
    """Median time from frame to frame, to see the lag against."""


def measure_steadiness(
    times_s: Float[np.ndarray, " rows"],
    tracks: Int[np.ndarray, " rows"],
    before_px: Float[np.ndarray, "rows 87 2"],
    after_px: Float[np.ndarray, "rows 87 2"],
) -> Steadiness | None:
    """Compare the landmarks before and after smoothing; None for fewer than three frames in a row.

    Args:
        times_s: of the rows.
        tracks: within which time goes on.
        before_px: landmarks of each frame's own answer.
        after_px: the same when all is done.
    """
    runs = [run for run in runs_of(tracks) if len(run) >= 3]
    if not runs:
        return None
    still = list(STILL)
    bends = [_bends(times_s[run], px[run][:, still]) for px in (before_px, after_px) for run in runs]
    before, after = (np.concatenate(bends[part]) for part in (slice(len(runs)), slice(len(runs), None)))
    speed = np.concatenate([_speed(times_s[run], after_px[run][:, still]) for run in runs])
    at_rest = speed <= np.quantile(speed, AT_REST)
    jitter_before, jitter_after = (float(np.sqrt(squares[at_rest].mean())) for squares in (before, after))
    frame_s = float(np.median(np.concatenate([np.diff(times_s[run]) for run in runs])))
    lag_s = measure_lag([(times_s[run], before_px[run], after_px[run]) for run in runs], frame_s)
    return Steadiness(jitter_before, jitter_after, 1000 * lag_s, 1000 * frame_s)


def measure_lag(runs: list[tuple[np.ndarray, np.ndarray, np.ndarray]], step_s: float) -> float:
    """Seconds by which the second values of each run follow the first; see the module.

    Args:
        runs: times (frames,), and two arrays (frames, …) of values at them.
        step_s: of the even times at which they are compared.
    """
    shifts = np.arange(-LARGEST_LAG_FRAMES, LARGEST_LAG_FRAMES + 1)
    products = np.zeros((3, len(shifts)))
    for times_s, first, second in runs:
        even_s = np.arange(times_s[0], times_s[-1], step_s)
        first_velocity, second_velocity = (np.diff(_at(even_s, times_s, part), axis=0) for part in (first, second))
        for place, shift in enumerate(shifts):
            late, early = second_velocity[max(shift, 0) :], first_velocity[max(-shift, 0) :]
            count = min(len(late), len(early))
            late, early = late[:count], early[:count]
            products[:, place] += (late * early).sum(), (late * late).sum(), (early * early).sum()
    agreement = products[0] / np.sqrt(np.maximum(products[1] * products[2], 1e-12))
    peak = int(np.clip(np.argmax(agreement), 1, len(shifts) - 2))
    left, middle, right = agreement[peak - 1 : peak + 2]
    bend = left - 2 * middle + right
    offset = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(step_s * (shifts[peak] + np.clip(offset, -1, 1)))


def _bends(times_s: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    """(frames − 2,) mean squared distance of points from the line between their neighbours in time."""
    share = ((times_s[1:-1] - times_s[:-2]) / (times_s[2:] - times_s[:-2]))[:, None, None]
    between = points_px[:-2] + share * (points_px[2:] - points_px[:-2])
    return ((points_px[1:-1] - between) ** 2).sum(axis=2).mean(axis=1)


def _speed(times_s: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    """(frames − 2,) mean speed of points on their way over three frames, pixels a second."""
    steps_px = np.linalg.norm(np.diff(points_px, axis=0), axis=2).mean(axis=1)
    return (steps_px[:-1] + steps_px[1:]) / (times_s[2:] - times_s[:-2])


def _at(even_s: np.ndarray, times_s: np.ndarray, values: np.ndarray) -> np.ndarray:
    columns = values.reshape(len(values), -1).T
    return np.stack([np.interp(even_s, times_s, column) for column in columns], axis=1)

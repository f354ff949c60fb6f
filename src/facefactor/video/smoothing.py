# SPDX-License-Identifier: Apache-2.0
"""Take the trembling out of faces over time, without lag and without flattening what is quick.

The clip is whole, so every moment is smoothed by what comes before and after it alike (Whittaker 1923, with penalties
that change over time): of all curves x, the one that minimises

    Σ_i w_i (x_i − y_i)² + Σ_i v_i λ_i x″(t_i)²,      λ_i = (2π c_i)⁻⁴

with y the answers at the frames' own times t, w and v the time around them, and x″ the second divided difference. A
penalty of λ passes what is slower than c hertz. How quick the face is there sets c, as in the One Euro filter (Casiez,
Roussel & Vogel 2012), but from both sides: a head at rest is held still; a blink, a word, a turn pass as they are.
Nothing is smoothed across a cut or a loss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import maximum_filter1d

from facefactor.arrays import unit_vectors
from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_axis_angle
from facefactor.code.face_code import FaceCode
from facefactor.face.linear_bases import bound_mouth_close
from facefactor.video.rows import ClipFaces, runs_of

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Smoothness:
    """How a kind of value is smoothed."""

    rest_hz: float
    """What is quicker than this is noise while the value rests."""
    hz_per_speed: float
    """By how much that rises with the speed, in units of the value per second."""


EXPRESSION = Smoothness(rest_hz=1.5, hz_per_speed=3.0)
"""Of weights in [0, 1]; a blink's lid moves at 5 to 10 a second."""
ROTATION = Smoothness(rest_hz=1.0, hz_per_speed=8.0)
"""Of axis-angle, radians; people turn their heads by 1 to 3 a second."""
DIRECTION = Smoothness(rest_hz=1.0, hz_per_speed=60.0)
"""Of where the head is seen, as tangents of angles; a face is about 0.15 wide."""
LOG_DISTANCE = Smoothness(rest_hz=0.7, hz_per_speed=10.0)
"""Of the distance's logarithm."""
LIGHT = Smoothness(rest_hz=0.5, hz_per_speed=2.0)
"""Of the light over its mean strength."""
SMOOTHED_PARTS = ("expression", "rotation", "translation", "illumination")
PILOT_HZ = 6.0
"""Cut-off of the curve whose speed is taken."""
AROUND_FRAMES = 5
"""A quick moment counts for so many frames around it: its beginning and end belong to it."""


def smooth_faces(faces: ClipFaces) -> ClipFaces:
    """Smooth expression, pose and light of each track; identities are one already."""
    parts = {name: getattr(faces.code, name).copy() for name in SMOOTHED_PARTS}
    for run in runs_of(faces.tracks):
        smoothed = _smooth_run(faces.times_s[run], faces.code[run])
        for name, part in parts.items():
            part[run] = smoothed[name]
    return faces.with_code(replace(faces.code, **parts))


def smooth(
    times_s: Float[np.ndarray, " frames"], values: Float[np.ndarray, "frames channels"], smoothness: Smoothness
) -> Float[np.ndarray, "frames channels"]:
    """Smooth values that move together, such as the coordinates of one thing.

    Args:
        times_s: strictly increasing, not necessarily even.
        values: at those times.
        smoothness: of this kind of value.
    """
    if len(times_s) < 3:
        return values
    pilot = _whittaker(times_s, values, np.full(len(times_s), PILOT_HZ))
    speed = np.linalg.norm(np.gradient(pilot, times_s, axis=0), axis=1)
    speed = maximum_filter1d(speed, AROUND_FRAMES)
    return _whittaker(times_s, values, smoothness.rest_hz + smoothness.hz_per_speed * speed)


def _smooth_run(times_s: np.ndarray, code: FaceCode[np.ndarray]) -> dict[str, np.ndarray]:
    expression = np.concatenate(
        [smooth(times_s, channel[:, None], EXPRESSION) for channel in code.expression.T.astype(np.float64)], axis=1
    )
    rotation = smooth(times_s, _unwrapped(code.rotation.astype(np.float64)), ROTATION)
    x, y, z = code.translation.T.astype(np.float64)
    direction = smooth(times_s, np.stack([x / z, y / z], axis=1), DIRECTION)
    distance = np.exp(smooth(times_s, np.log(-z)[:, None], LOG_DISTANCE))
    light = code.illumination.reshape(len(times_s), -1).astype(np.float64)
    strength = max(float(np.linalg.norm(light, axis=1).mean()), 1e-9)
    return {
        "expression": bound_mouth_close(np.clip(expression, 0.0, 1.0)),
        "rotation": axis_angle_from_matrix(matrix_from_axis_angle(rotation)),
        "translation": -distance * np.concatenate([direction, np.ones_like(distance)], axis=1),
        "illumination": strength * smooth(times_s, light / strength, LIGHT).reshape(-1, 9, 3),
    }


def _unwrapped(rotation: np.ndarray) -> np.ndarray:
    """Axis-angle vectors (frames, 3) that do not jump where the angle passes half a turn."""
    angle = np.linalg.norm(rotation, axis=1)
    axis = unit_vectors(rotation)
    for frame in range(1, len(axis)):
        if axis[frame] @ axis[frame - 1] < 0 and angle[frame] + angle[frame - 1] > np.pi:
            axis[frame], angle[frame] = -axis[frame], 2 * np.pi - angle[frame]
    return axis * angle[:, None]


def _whittaker(times_s: np.ndarray, values: np.ndarray, cutoff_hz: np.ndarray) -> np.ndarray:
    """Solve the module's minimisation; the matrix has five diagonals."""
    before, after = np.diff(times_s)[:-1], np.diff(times_s)[1:]
    around = np.gradient(times_s)
    penalty = around[1:-1] * (2 * np.pi * cutoff_hz[1:-1]) ** -4
    a, b, c = 2 / (before * (before + after)), -2 / (before * after), 2 / (after * (before + after))
    bands = np.zeros((3, len(times_s)))
    bands[0] = around
    for offset, square in enumerate((a * a, b * b, c * c)):
        bands[0, offset : offset + len(penalty)] += penalty * square
    bands[1, : len(penalty)] += penalty * a * b
    bands[1, 1 : 1 + len(penalty)] += penalty * b * c
    bands[2, : len(penalty)] += penalty * a * c
    return solveh_banded(bands, around[:, None] * values, lower=True)

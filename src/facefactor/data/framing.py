# SPDX-License-Identifier: Apache-2.0
"""Put a head where the crop of a photo would show it, exactly in the crop's own camera.

A crop is made from landmarks (`photo.crop.face_crop`): eyes level, face in the middle, a mean head at one metre. A
synthetic head is therefore not placed at random: it is moved until cropping its own landmarks would change nothing,

    (centre, scale, roll) = face_crop(project(R x + t))  →  t_xy by the shift, t_z by the scale, R by the roll

three times over, and then turned, shifted and moved by the errors that a real crop has. The code's pose is in
the final camera from the start, so nothing is approximated.
"""

from dataclasses import dataclass

import numpy as np
import torch

from facefactor.camera.projection import project_points
from facefactor.photo.crop import NOMINAL_DISTANCE_MM, face_crop, rotation, similarity_scale
from facefactor.photo.landmarks import Landmarks

STEPS = 3
"""Of the iteration; leaves less than 0.1 px of shift."""
MIN_DISTANCE_MM = 500.0


@dataclass(frozen=True)
class CropJitter:
    """By how much a crop misses the one that the true landmarks give."""

    shift: tuple[float, float]
    """To the right and down, share of the crop's size."""
    scale: float
    """Size of the face over what it should be."""
    roll_rad: float
    """Clockwise."""


def draw_jitter(generator: np.random.Generator, roll_rad: float, spread: float = 1.0) -> CropJitter:
    """Draw the errors of a crop.

    Args:
        generator: of the draw.
        roll_rad: to take as it is.
        spread: 1 for what landmark and box crops do: 3 % of the size in place, 6 % in scale.
    """
    shift = 0.03 * spread * np.clip(generator.standard_normal(2), -2.5, 2.5)
    scale = np.exp(0.06 * spread * np.clip(generator.standard_normal(), -2.5, 2.5))
    return CropJitter((float(shift[0]), float(shift[1])), float(scale), roll_rad)


def frame_head(
    landmarks_head: np.ndarray, R: np.ndarray, jitter: CropJitter, K: np.ndarray, picture_px: int, crop_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pose that shows a head as its crop would.

    Args:
        landmarks_head: (478, 3) head frame, millimetres.
        R: (3, 3) head to camera; its roll is replaced.
        jitter: of the crop.
        K: (3, 3) intrinsics of the picture, with the focal length of the crop's camera.
        picture_px: size of the picture, in whose middle the crop is.
        crop_px: size of the crop.

    Returns:
        R (3, 3) and t (3,) millimetres, head to the crop's camera.
    """
    t = np.array([0.0, 0.0, -NOMINAL_DISTANCE_MM]) - R @ landmarks_head.mean(axis=0)
    for _ in range(STEPS):
        points_px = project(landmarks_head @ R.T + t, K)
        T = face_crop(Landmarks(points_px, np.ones(len(points_px))), crop_px)
        middle_px = T[:2, :2] @ np.full(2, crop_px / 2) + T[:2, 2] - picture_px / 2
        R, t = _follow(T, middle_px, R, t, landmarks_head, K)
    return misplace_head(landmarks_head, R, t, jitter, K, crop_px)


def misplace_head(
    landmarks_head: np.ndarray, R: np.ndarray, t: np.ndarray, jitter: CropJitter, K: np.ndarray, crop_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Turn, move and shift a head as a crop with these errors shows it; arguments and result as in `frame_head`."""
    turn = about_axis(jitter.roll_rad)
    R, t = turn @ R, turn @ t
    t = _move(t, R @ landmarks_head.mean(axis=0), 1.0 / jitter.scale)
    t[:2] += np.array(jitter.shift) * crop_px * (1.0, -1.0) * -(t[2]) / K[0, 0]
    return R, t


def project(points_camera: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Project (N, 3) points of the camera frame to (N, 2) pixels: `project_points` for arrays, in double precision."""
    points, intrinsics = (torch.from_numpy(np.asarray(array, dtype=np.float64)) for array in (points_camera, K))
    return project_points(points, intrinsics).numpy()


def about_axis(angle_rad: float) -> np.ndarray:
    """The rotation that turns a head clockwise in the picture: Rz(-angle)."""
    turn = np.eye(3)
    turn[:2, :2] = rotation(-angle_rad)
    return turn


def _follow(
    T: np.ndarray, middle_px: np.ndarray, R: np.ndarray, t: np.ndarray, landmarks_head: np.ndarray, K: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move the head as the crop T, whose middle is `middle_px` off the picture's, would move its picture."""
    turn = about_axis(-np.arctan2(T[1, 0], T[0, 0]))
    distance_mm = -(t + R @ landmarks_head.mean(axis=0))[2]
    t = t - np.append(middle_px * (1.0, -1.0) * distance_mm / K[0, 0], 0.0)
    R, t = turn @ R, turn @ t
    return R, _move(t, R @ landmarks_head.mean(axis=0), similarity_scale(T))


def _move(t: np.ndarray, offset: np.ndarray, factor: float) -> np.ndarray:
    """Move the head along its ray until its middle is `factor` times as far away."""
    middle = t + offset
    distance_mm = max(-middle[2] * factor, MIN_DISTANCE_MM)
    return middle * (distance_mm / -middle[2]) - offset

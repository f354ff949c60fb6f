# SPDX-License-Identifier: Apache-2.0
"""How the codes of many faces are distributed, in a few numbers: what a round of breeding changes (numpy, torch)."""

from typing import Any

import numpy as np
import torch

from facefactor.camera.pose import euler_deg_from_matrix, matrix_from_axis_angle
from facefactor.code.face_code import PART_SHAPES, FaceCode

YAW_BINS_DEG = (0.0, 20.0, 40.0, 60.0, 90.0)


def describe_codes(code: FaceCode[np.ndarray]) -> dict[str, Any]:
    """Describe a batch of codes.

    Returns:
        For each part the mean of all its numbers, their mean magnitude, and their standard deviation from face to face
        (root mean square over the numbers); yaw, pitch and roll in degrees; and the share of faces in each bin of
        absolute yaw.
    """
    parts = {name: _describe(getattr(code, name).reshape(len(code.shape), -1)) for name in PART_SHAPES}
    euler_deg = euler_deg_from_matrix(matrix_from_axis_angle(torch.from_numpy(code.rotation).double())).numpy()
    names = ("yaw_deg", "pitch_deg", "roll_deg")
    angles = {name: _describe(euler_deg[:, [column]]) for column, name in enumerate(names)}
    counts = np.histogram(np.abs(euler_deg[:, 0]), YAW_BINS_DEG)[0]
    bins = zip(YAW_BINS_DEG[:-1], YAW_BINS_DEG[1:], counts, strict=True)
    yaws = {f"{low:.0f}-{high:.0f}": round(float(count) / len(euler_deg), 4) for low, high, count in bins}
    return {"faces": len(euler_deg), **parts, **angles, "share_by_yaw_deg": yaws}


def _describe(values: np.ndarray) -> dict[str, float]:
    numbers = {
        "mean": values.mean(),
        "mean_magnitude": np.abs(values).mean(),
        "spread": np.sqrt(values.var(axis=0).mean()),
    }
    return {name: round(float(number), 4) for name, number in numbers.items()}

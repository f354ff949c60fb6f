# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_euler_deg
from facefactor.code.face_code import FaceCode
from facefactor.train.statistics import describe_codes


def test_codes_are_described_by_part_and_angle() -> None:
    yaws_deg = (-50.0, -10.0, 10.0, 30.0)
    euler_deg = torch.tensor([[yaw, 5.0, 0.0] for yaw in yaws_deg], dtype=torch.float64)
    rotation = axis_angle_from_matrix(matrix_from_euler_deg(euler_deg)).float().numpy()
    code = FaceCode.neutral((4,))
    shape = code.shape.copy()
    shape[:2] = 1.0
    described = describe_codes(code.with_shape(shape).with_pose(rotation, code.translation))
    assert described["faces"] == 4
    assert described["shape"] == {"mean": 0.5, "mean_magnitude": 0.5, "spread": 0.5}
    assert described["yaw_deg"]["mean"] == pytest.approx(-5.0, abs=1e-3)
    assert described["yaw_deg"]["mean_magnitude"] == pytest.approx(25.0, abs=1e-3)
    assert described["yaw_deg"]["spread"] == pytest.approx(np.std(yaws_deg), abs=1e-3)
    assert described["pitch_deg"] == {"mean": 5.0, "mean_magnitude": 5.0, "spread": 0.0}
    assert described["share_by_yaw_deg"] == {"0-20": 0.5, "20-40": 0.25, "40-60": 0.25, "60-90": 0.0}

# SPDX-License-Identifier: Apache-2.0
import csv
import dataclasses
import io

import numpy as np
import pytest

from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_euler_deg
from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.video.live_link import encode_live_link, timecode
from facefactor.video.rows import ClipFaces


@pytest.fixture
def rows() -> list[dict[str, str]]:
    """A person's lines: each weight is its number over a hundred; the head is turned by 10, 20 and 30 degrees."""
    expression = np.float32(np.arange(52)[None] / 100).repeat(2, axis=0)
    rotation = np.float32(axis_angle_from_matrix(matrix_from_euler_deg(np.array([[10.0, 20.0, 30.0]] * 2))))
    code = dataclasses.replace(FaceCode.neutral((2,)), expression=expression, rotation=rotation)
    times_s = np.array([0.0, 3661.51])
    zeros = np.zeros(2, dtype=int)
    content = encode_live_link(ClipFaces(np.arange(2), times_s, zeros, zeros, np.eye(3), code))
    return list(csv.DictReader(io.StringIO(content.decode("ascii"))))


def test_the_columns_are_those_of_live_link_face(rows):
    columns = list(rows[0])
    assert columns[:4] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft", "EyeLookDownLeft"]
    assert columns[16:20] == ["JawForward", "JawRight", "JawLeft", "JawOpen"]
    assert columns[22:26] == ["MouthPucker", "MouthRight", "MouthLeft", "MouthSmileLeft"]
    assert columns[53:57] == ["TongueOut", "HeadYaw", "HeadPitch", "HeadRoll"]
    assert columns[57:] == [f"{side}Eye{angle}" for side in ("Left", "Right") for angle in ("Yaw", "Pitch", "Roll")]
    assert {row["BlendShapeCount"] for row in rows} == {"61"}
    assert len(columns) == 2 + 61


def test_each_weight_stands_under_its_own_name(rows):
    for number, name in enumerate(EXPRESSION_NAMES):
        assert float(rows[0][name[0].upper() + name[1:]]) == pytest.approx(number / 100)


def test_angles_are_radians(rows):
    head = [float(rows[0][f"Head{angle}"]) for angle in ("Yaw", "Pitch", "Roll")]
    np.testing.assert_allclose(np.degrees(head), [10, 20, 30], atol=1e-3)


def test_eyes_turn_to_the_subjects_left_and_up():
    for name, column, angle_deg in (
        ("eyeLookOutLeft", "LeftEyeYaw", 14.5),
        ("eyeLookInRight", "RightEyeYaw", 15),
        ("eyeLookOutRight", "RightEyeYaw", -14.5),
        ("eyeLookUpLeft", "LeftEyePitch", 7),
        ("eyeLookDownRight", "RightEyePitch", -10.5),
    ):
        code = FaceCode.neutral((1,))
        code.expression[0, EXPRESSION_NAMES.index(name)] = 0.5
        zeros = np.zeros(1, dtype=int)
        content = encode_live_link(ClipFaces(zeros, np.zeros(1), zeros, zeros, np.eye(3), code)).decode()
        (row,) = csv.DictReader(io.StringIO(content))
        assert float(row[column]) == pytest.approx(np.radians(angle_deg), abs=1e-5)


def test_timecodes_count_sixtieths_of_a_second(rows):
    assert [row["Timecode"] for row in rows] == ["00:00:00:00.000", "01:01:01:30.600"]
    assert timecode(0.9999999) == "00:00:01:00.000"

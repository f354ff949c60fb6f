# SPDX-License-Identifier: Apache-2.0
"""One person's motion as the CSV that Apple's and Epic's app Live Link Face records, which Unreal and Blender import.

A line for each frame with the person in it:

    Timecode         HH:MM:SS:FF.mmm since the first frame; FF counts sixtieths of a second, mmm thousandths of one
    BlendShapeCount  61: how many numbers follow
    52 weights       ARKit's blendshapes in [0, 1], written EyeBlinkLeft and so on; the order is ARKit's, but right
                     comes before left in JawRight, JawLeft and MouthRight, MouthLeft
    HeadYaw, HeadPitch, HeadRoll
                     radians, relative to the camera's axis; order and signs are those of docs/conventions.md
    LeftEyeYaw, LeftEyePitch, LeftEyeRoll, then the same of the right eye
                     radians, relative to the head: yaw > 0 looks to the subject's left, pitch > 0 up; the roll is 0

Eyes turn with the weights eyeLookIn, Out, Up and Down, by `GAZE_DEG` at weight one.
"""

import math

import numpy as np

from facefactor.camera.pose import euler_deg_from_matrix, matrix_from_axis_angle
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.video.rows import ClipFaces

FRAMES_A_SECOND = 60
"""Of the timecode, as the app records; importers read seconds from it."""
GAZE_DEG = {"In": 30.0, "Out": 29.0, "Up": 14.0, "Down": 21.0}
"""How far the face model's eyes turn at weight one: the pupil's way over the eyeball's radius of 12.5 mm."""
_SWAPPED = {"jawLeft": "jawRight", "jawRight": "jawLeft", "mouthLeft": "mouthRight", "mouthRight": "mouthLeft"}
WEIGHT_NAMES = tuple(_SWAPPED.get(name, name) for name in EXPRESSION_NAMES)
ANGLE_NAMES = tuple(part + angle for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll"))
HEADER = ("Timecode", "BlendShapeCount", *(name[0].upper() + name[1:] for name in WEIGHT_NAMES), *ANGLE_NAMES)


def encode_live_link(person: ClipFaces) -> bytes:
    """Return the CSV file of one person's rows."""
    weights = person.code.expression[:, [EXPRESSION_NAMES.index(name) for name in WEIGHT_NAMES]]
    R = matrix_from_axis_angle(person.code.rotation.astype(np.float64))
    head = np.radians(euler_deg_from_matrix(R))
    numbers = np.concatenate([weights, head, _gaze(person, "Left"), _gaze(person, "Right")], axis=1)
    lines = [",".join(HEADER)]
    for time_s, row in zip(person.times_s, numbers, strict=True):
        lines.append(",".join([timecode(time_s), str(len(row)), *(f"{number:.6f}" for number in row)]))
    return ("\n".join(lines) + "\n").encode("ascii")


def timecode(time_s: float) -> str:
    """Write a time as HH:MM:SS:FF.mmm, rounded to thousandths of a sixtieth of a second."""
    thousandths = round(time_s * FRAMES_A_SECOND * 1000)
    frames, thousandths = divmod(thousandths, 1000)
    seconds, frames = divmod(frames, FRAMES_A_SECOND)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frames:02}.{thousandths:03}"


def _gaze(person: ClipFaces, side: str) -> np.ndarray:
    """(rows, 3) yaw, pitch, roll of an eye, radians."""
    turns = {way: math.radians(most) * _weight(person, f"eyeLook{way}{side}") for way, most in GAZE_DEG.items()}
    outwards = turns["Out"] - turns["In"]
    yaw = outwards if side == "Left" else -outwards
    return np.stack([yaw, turns["Up"] - turns["Down"], np.zeros_like(yaw)], axis=1)


def _weight(person: ClipFaces, name: str) -> np.ndarray:
    return person.code.expression[:, EXPRESSION_NAMES.index(name)].astype(np.float64)

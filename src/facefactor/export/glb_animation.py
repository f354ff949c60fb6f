# SPDX-License-Identifier: Apache-2.0
"""A textured head that moves: the GLB of `glb.py` with one animation, and the camera that filmed it.

    times ─► weights of the morphs, rotation and translation of the head's node     (linear between two times)

The head moves in the camera's frame (x right, y up, z toward the viewer, metres), which is glTF's own; its camera sits
at the origin and looks along −z like ours, so seen through it the head lies where the video has it. Where a person is
away, the head stays as it was, and jumps when they are back.

Source: Khronos, glTF 2.0 specification, 3.10 (cameras) and 3.11 (animations).
"""

import math
from dataclasses import dataclass

import numpy as np
import pygltflib as gltf
from scipy.spatial.transform import Rotation

from facefactor.export.glb import METRES_PER_MM, GlbMesh, head_document, pack_document

JUMP_SECONDS = 0.001
"""How long a jump takes: what lies between two keys is interpolated."""
NEAREST_M = 0.01
"""Distance from the camera at which its view begins."""


@dataclass(frozen=True, eq=False)
class HeadMotion:
    """A head's motion before one camera."""

    times_s: np.ndarray
    """(N,) strictly increasing, from zero or later."""
    runs: np.ndarray
    """(N,) numbers that change where the motion is interrupted."""
    weights: np.ndarray
    """(N, M) of the mesh's morphs."""
    R: np.ndarray
    """(N, 3, 3) head to camera."""
    t_mm: np.ndarray
    """(N, 3) head to camera, millimetres."""
    K: np.ndarray
    """(3, 3) the camera's intrinsics, its axis through the picture's middle."""


def encode_animated_glb(mesh: GlbMesh, motion: HeadMotion) -> bytes:
    """Return the GLB file of a moving head.

    Args:
        mesh: the head, which opens with `morph_weights` until the animation plays.
        motion: of the head.
    """
    document, file = head_document(mesh)
    keys, times_s = _keys(motion)
    times = file.add_keys(times_s)
    quaternions = _continuous(Rotation.from_matrix(motion.R).as_quat())
    translations_m = motion.t_mm * METRES_PER_MM
    samplers: list[gltf.AnimationSampler] = []
    channels: list[gltf.AnimationChannel] = []
    for path, values in (
        ("weights", motion.weights[keys].reshape(-1)),
        ("rotation", quaternions[keys]),
        ("translation", translations_m[keys]),
    ):
        target = gltf.AnimationChannelTarget(node=0, path=path)
        channels.append(gltf.AnimationChannel(sampler=len(samplers), target=target))
        samplers.append(gltf.AnimationSampler(input=times, output=file.add_keys(values), interpolation="LINEAR"))
    document.animations = [gltf.Animation(name="video", samplers=samplers, channels=channels)]
    head = document.nodes[0]
    head.rotation, head.translation = quaternions[0].tolist(), translations_m[0].tolist()
    document.cameras = [_camera(motion.K)]
    document.nodes.append(gltf.Node(name="camera", camera=0))
    document.scenes[0].nodes.append(1)
    return pack_document(document, file)


def _keys(motion: HeadMotion) -> tuple[np.ndarray, np.ndarray]:
    """Which row each key holds, and its time: every row, and the last of a run once more just before the next."""
    last = np.flatnonzero(np.diff(motion.runs))
    held_s = np.maximum(motion.times_s[last + 1] - JUMP_SECONDS, (motion.times_s[last] + motion.times_s[last + 1]) / 2)
    rows = np.concatenate([np.arange(len(motion.times_s)), last])
    times_s = np.concatenate([motion.times_s, held_s])
    order = np.argsort(times_s, kind="stable")
    return rows[order], times_s[order]


def _continuous(quaternions: np.ndarray) -> np.ndarray:
    """The same rotations with signs such that neighbours lie near each other, as interpolation asks for."""
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(axis=1))
    signs = np.concatenate([[1.0], np.cumprod(np.where(flips == 0, 1.0, flips))])
    return quaternions * signs[:, None]


def _camera(K: np.ndarray) -> gltf.Camera:
    width_px, height_px = 2 * K[0, 2], 2 * K[1, 2]
    view = gltf.Perspective(
        yfov=2 * math.atan(height_px / 2 / K[1, 1]), aspectRatio=width_px / height_px, znear=NEAREST_M
    )
    return gltf.Camera(name="camera", type="perspective", perspective=view)

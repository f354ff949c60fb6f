# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pygltflib as gltf
import pytest
from scipy.spatial.transform import Rotation

from facefactor.camera.pose import matrix_from_euler_deg
from facefactor.camera.projection import project_points
from facefactor.export.glb import GlbMesh
from facefactor.export.glb_animation import HeadMotion, encode_animated_glb

TIMES_S = np.array([0.0, 0.04, 0.1, 0.9, 0.94])
K = np.array([[800.0, 0, 320], [0, 800.0, 240], [0, 0, 1]])


@pytest.fixture
def motion(sphere: GlbMesh) -> HeadMotion:
    """Five frames, with a break before the fourth; the roll passes half a turn."""
    rolls = np.stack([np.zeros(5), np.zeros(5), np.linspace(150, 210, 5)], axis=1)
    t_mm = np.stack([np.linspace(0, 90, 5), np.linspace(20, 0, 5), np.linspace(-900, -1000, 5)], axis=1)
    weights = np.linspace(0, 1, 15).reshape(5, 3)
    return HeadMotion(TIMES_S, np.array([0, 0, 0, 4, 4]), weights, matrix_from_euler_deg(rolls), t_mm, K)


@pytest.fixture
def document(sphere: GlbMesh, motion: HeadMotion) -> gltf.GLTF2:
    return gltf.GLTF2.load_from_bytes(encode_animated_glb(sphere, motion))


def read(document: gltf.GLTF2, accessor: int) -> np.ndarray:
    described = document.accessors[accessor]
    view = document.bufferViews[described.bufferView]
    size = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[described.type] * described.count
    return np.frombuffer(document.binary_blob(), "<f4", size, view.byteOffset).reshape(described.count, -1)


def keys(document: gltf.GLTF2, path: str) -> tuple[np.ndarray, np.ndarray]:
    (animation,) = document.animations
    (channel,) = (channel for channel in animation.channels if channel.target.path == path)
    sampler = animation.samplers[channel.sampler]
    assert (channel.target.node, sampler.interpolation) == (0, "LINEAR")
    return read(document, sampler.input)[:, 0], read(document, sampler.output)


def test_each_frame_is_a_key_and_a_break_is_a_jump(document, motion):
    times_s, translations_m = keys(document, "translation")
    np.testing.assert_allclose(times_s, [0.0, 0.04, 0.1, 0.899, 0.9, 0.94], atol=1e-6)
    np.testing.assert_allclose(translations_m, motion.t_mm[[0, 1, 2, 2, 3, 4]] / 1000, atol=1e-6)
    weights = keys(document, "weights")[1].reshape(6, 3)
    np.testing.assert_allclose(weights, motion.weights[[0, 1, 2, 2, 3, 4]], atol=1e-6)


def test_rotations_are_the_heads_and_take_the_short_way(document, motion):
    quaternions = keys(document, "rotation")[1]
    np.testing.assert_allclose(Rotation.from_quat(quaternions).as_matrix(), motion.R[[0, 1, 2, 2, 3, 4]], atol=1e-6)
    assert ((quaternions[1:] * quaternions[:-1]).sum(axis=1) > 0).all()


def test_the_camera_sees_the_head_where_the_video_has_it(document, motion):
    head, camera = document.nodes
    view = document.cameras[camera.camera].perspective
    assert (camera.translation, camera.rotation, camera.matrix) == (None, None, None)  # at the origin, along -z
    x, y, z = head.translation
    across = x / -z / np.tan(view.yfov / 2) / view.aspectRatio
    upwards = y / -z / np.tan(view.yfov / 2)
    pixel = project_points(motion.t_mm[None, 0], K)[0]
    np.testing.assert_allclose([320 + 320 * across, 240 - 240 * upwards], pixel, atol=1e-3)


def test_the_same_motion_gives_the_same_bytes(sphere: GlbMesh, motion: HeadMotion):
    assert encode_animated_glb(sphere, motion) == encode_animated_glb(sphere, motion)

# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.code.face_code import FaceCode
from facefactor.face.fade import face_opacity
from facefactor.face.model import load_face_model
from facefactor.infer.decoder import Decoder
from facefactor.render.views import PosedFace, render_views
from facefactor.video.overlay import FaceOverlay
from facefactor.video.rows import ClipFaces

SIZE = 160
K = np.array([[700.0, 0, SIZE / 2], [0, 700.0, SIZE / 2], [0, 0, 1]])


def faces_at(*translations: tuple[float, float, float], frames: tuple[int, ...] | None = None) -> ClipFaces:
    count = len(translations)
    code = dataclasses.replace(FaceCode.neutral((count,)), translation=np.float32(translations))
    code.rotation[:, 1] = 0.3
    rows = np.arange(count)
    return ClipFaces(np.array(frames or (0,) * count), rows / 25, rows, rows, K, code)


def grey(level: int = 90) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), level, np.uint8)


def test_the_overlay_is_that_of_the_finer_renderer():
    faces, picture = faces_at((10, 0, -1000)), grey()
    model = load_face_model()
    FaceOverlay(model, faces).draw(picture, 0)
    decoded = Decoder.of(model).decode(faces.code)
    vertices = move_to_camera(
        decoded.vertices_mm[0], matrix_from_axis_angle(faces.code.rotation[0]), faces.code.translation[0]
    )
    posed = PosedFace(
        vertices, decoded.albedo_linear[0], faces.code.illumination[0], model.triangles, face_opacity(model)
    )
    finer = 255 * render_views(posed, K, grey() / np.float32(255))[0]
    assert np.abs(finer - 90).max() > 60  # something is drawn
    assert np.abs(picture - finer).mean() < 1.0
    assert np.quantile(np.abs(picture - finer), 0.99) < 20  # edges are not smoothed


def test_frames_without_the_person_are_left_alone():
    picture = grey()
    FaceOverlay(load_face_model(), faces_at((0, 0, -1000), frames=(3,))).draw(picture, 2)
    np.testing.assert_array_equal(picture, grey())


def test_the_nearer_face_hides_the_farther_whichever_comes_first():
    pictures = [grey(), grey()]
    near, far = (0, 0, -1000), (15, 0, -1100)
    for picture, order in zip(pictures, ((near, far), (far, near)), strict=True):
        FaceOverlay(load_face_model(), faces_at(*order)).draw(picture, 0)
    np.testing.assert_array_equal(*pictures)


@pytest.mark.parametrize("x_mm", [-110, 110, 2000])
def test_faces_beyond_the_border_are_cut_off_there(x_mm: float):
    picture = grey()
    FaceOverlay(load_face_model(), faces_at((x_mm, 0, -1000))).draw(picture, 0)
    changed = (picture != 90).any(axis=(0, 2))
    half = slice(0, SIZE // 2) if x_mm > 0 else slice(SIZE // 2, SIZE)
    assert not changed[half].any()
    assert changed.any() == (abs(x_mm) < 1000)

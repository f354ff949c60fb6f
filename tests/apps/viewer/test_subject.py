# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np

from facefactor.apps.viewer.painting import draw_picture
from facefactor.apps.viewer.subject import LARGEST_PICTURE_PX, Subject, mean_record, picture_frame
from facefactor.camera.projection import project_points
from facefactor.export.record import encode_face_record


def test_a_photo_is_described_as_reconstruct_does(record, reconstructor, photo):
    (face,) = reconstructor.reconstruct(photo)
    assert encode_face_record(record) == encode_face_record(face.record)


def test_a_frame_is_no_larger_than_asked_and_sees_what_the_photo_saw(record):
    large = replace(record, photo_width=12_000, photo_height=6_000)
    K, height, width = picture_frame(large)
    assert (width, height) == (LARGEST_PICTURE_PX, LARGEST_PICTURE_PX // 2)
    point = np.array([[30.0, 20.0, -900.0]])
    scale = LARGEST_PICTURE_PX / 12_000
    np.testing.assert_allclose(project_points(point, K), scale * project_points(point, record.camera.K))


def test_a_small_photo_is_kept_as_it_is(state, photo):
    np.testing.assert_allclose(state.subject.photo_srgb, photo.srgb / 255.0, atol=1e-6)


def test_the_detail_brings_the_face_nearer_to_its_photo(head, state, photo):
    plain = replace(state, subject=replace(state.subject, detail=np.ones((1, 3), dtype=np.float32)))
    with_detail, without = (
        np.abs(draw_picture(head, shown.with_over_photo(True)) - photo.srgb / 255.0).mean() for shown in (state, plain)
    )
    assert with_detail < 0.97 * without


def test_the_mean_face_looks_at_the_camera(head):
    subject = Subject.of(mean_record(head.model.model_hash), None, head)
    assert not subject.code.full_shape.any()
    centre = project_points(head.surface_camera(subject.code).mean(axis=0)[None], subject.record.camera.K)
    assert np.abs(centre - 256).max() < 60

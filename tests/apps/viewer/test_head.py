# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from facefactor.camera.projection import project_points
from facefactor.errors import IncompatibleCode


def test_the_surface_lies_in_the_photo_where_the_record_has_its_landmarks(head, record):
    surface = head.surface_camera(head.code_of(record))
    native = surface[: head.model.num_vertices]
    inner = slice(17, None)  # the first 17 slide along the outline
    corners, weights = head.model.landmarks68_vertices[inner], head.model.landmarks68_weights[inner]
    points_px = project_points((native[corners] * weights[..., None]).sum(axis=1), record.camera.K)
    distances_px = np.linalg.norm(points_px - record.landmarks_68_px[inner], axis=1)
    assert distances_px.max() < 0.5  # subdividing moves a vertex by some tenths of a millimetre


def test_the_albedo_is_that_of_a_reconstruction(head, reconstructor, record):
    code = head.code_of(record)
    np.testing.assert_allclose(head.albedo(code), reconstructor.albedo(code), atol=1e-6)
    np.testing.assert_allclose(
        head.albedo(code.with_reflectance(code.reflectance + 1)),
        reconstructor.albedo(code.with_reflectance(code.reflectance + 1)),
        atol=1e-6,
    )


def test_a_record_of_the_base_model_has_corrections_of_zero(head, base_record):
    code = head.code_of(base_record)
    assert len(code.full_shape) == len(head.model.shape_basis)
    assert not code.geometry_corrective.any()
    assert not code.reflectance_corrective.any()


def test_a_record_of_another_model_is_refused(head, record):
    with pytest.raises(IncompatibleCode, match="face model 0123456789abcdef"):
        head.code_of(replace(record, model_hash="0123456789abcdef"))

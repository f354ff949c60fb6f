# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.face.model import FaceModel
from facefactor.face.symmetry import mirror_vertices


def test_every_vertex_of_the_head_has_its_mirror_image(shipped_model: FaceModel):
    place_mm = shipped_model.subdivision @ shipped_model.mean
    mirrored = mirror_vertices(place_mm)
    np.testing.assert_array_equal(mirrored[mirrored], np.arange(len(place_mm)))
    np.testing.assert_allclose(place_mm[mirrored] * (-1, 1, 1), place_mm, atol=0.2)


def test_triangles_are_mirrored_to_triangles(shipped_model: FaceModel):
    mirrored = mirror_vertices(shipped_model.subdivision @ shipped_model.mean)
    triangles = {frozenset(triangle) for triangle in shipped_model.triangles_subdivided.tolist()}
    assert {frozenset(triangle) for triangle in mirrored[shipped_model.triangles_subdivided].tolist()} == triangles


def test_a_shape_that_is_not_symmetric_is_refused():
    with pytest.raises(ValueError, match="not symmetric"):
        mirror_vertices(np.array([[1.0, 0, 0], [2.0, 0, 0], [-1.4, 0, 0]]))

# SPDX-License-Identifier: Apache-2.0
"""Faces of known shape to fit and measure."""

import numpy as np
import pytest

from facefactor.evaluate.shape_fit import ModelSurface
from facefactor.evaluate.target import Landmarks3d, RawFace
from facefactor.face.model import load_face_model


@pytest.fixture(scope="session")
def surface() -> ModelSurface:
    """The shipped face model, ready for fitting."""
    return ModelSurface.of(load_face_model())


@pytest.fixture(scope="session")
def make_raw_face(surface):
    """A function that makes an unscanned "scan" of the model itself with given coefficients."""

    def make(shape: np.ndarray, expression: np.ndarray, expressions: tuple[str, ...] = ()) -> RawFace:
        vertices, model = surface.vertices(shape, expression), surface.model
        ibug = (vertices[model.landmarks68_vertices] * model.landmarks68_weights[:, :, None]).sum(axis=1)
        inner = Landmarks3d("ibug68", np.arange(17, 68), ibug[17:])
        return RawFace("own", "scans", False, expressions, vertices, surface.triangles, inner, ibug)

    return make

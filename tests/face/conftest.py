# SPDX-License-Identifier: Apache-2.0
"""A face model of eight vertices: a cube with random bases, small enough for loops and gradcheck."""

import numpy as np
import pytest

from facefactor.face.build import mesh
from facefactor.face.model import FaceModel, load_face_model

CUBE_QUADS = np.array([[0, 1, 2, 3], [7, 6, 5, 4], [0, 4, 5, 1], [1, 5, 6, 2], [2, 6, 7, 3], [3, 7, 4, 0]])


@pytest.fixture(scope="session")
def tiny_model() -> FaceModel:
    """A cube with four components of shape and three of reflectance; float32 as a loaded model."""
    rng = np.random.default_rng(0)
    subdivision, quads = mesh.catmull_clark(CUBE_QUADS, 8)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]] * 2, dtype=np.float32)
    uv_subdivided, uv_quads = mesh.refine_linearly(CUBE_QUADS, uv)

    def normal(*size: int) -> np.ndarray:
        return rng.normal(size=size).astype(np.float32)

    return FaceModel(
        mean=10 * normal(8, 3),
        shape_basis=normal(4, 8, 3),
        expression_basis=normal(52, 8, 3),
        blink_vertices=np.array([1, 4, 6], dtype=np.int32),
        blink_basis=normal(2, 4, 3, 3),
        log_albedo_mean=(-1.5 + 0.2 * normal(26, 3)),
        reflectance_basis=0.3 * normal(3, 26, 3),
        triangles=mesh.triangulate(CUBE_QUADS).astype(np.int32),
        quads=CUBE_QUADS.astype(np.int32),
        uv=uv,
        uv_triangles=mesh.triangulate(CUBE_QUADS).astype(np.int32),
        subdivision=subdivision.astype(np.float32),
        triangles_subdivided=mesh.triangulate(quads).astype(np.int32),
        uv_subdivided=uv_subdivided.astype(np.float32),
        uv_triangles_subdivided=mesh.triangulate(uv_quads).astype(np.int32),
        landmarks68_vertices=np.tile(np.array([0, 1, 2], dtype=np.int32), (68, 1)),
        landmarks68_weights=np.full((68, 3), 1 / 3, dtype=np.float32),
        landmarks478_vertices=np.tile(np.array([0, 2, 3], dtype=np.int32), (478, 1)),
        landmarks478_weights=np.full((478, 3), 1 / 3, dtype=np.float32),
        regions={"face": np.arange(4), "eyes": np.array([5, 7])},
        provenance={"seed": 0, "sources": {"cube": {"source": "this test", "licence": "Apache-2.0"}}},
        model_hash="",
    )


@pytest.fixture(scope="session")
def shipped_model() -> FaceModel:
    """The face model in the package."""
    return load_face_model()

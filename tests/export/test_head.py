# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.export.glb import GlbMesh
from facefactor.export.head import HeadMesher
from facefactor.infer.decoder import Decoder

TEXTURE = np.zeros((4, 4, 3), dtype=np.uint8)
WEIGHTS = {"jawOpen": 0.5, "mouthClose": 0.3, "eyeBlinkLeft": 0.8, "mouthSmileRight": 0.6}


@pytest.fixture(scope="module")
def code() -> FaceCode[np.ndarray]:
    """Somebody with a lopsided smile and a closed eye."""
    shape = np.random.default_rng(1).normal(size=80).astype(np.float32)
    expression = np.array([WEIGHTS.get(name, 0.0) for name in EXPRESSION_NAMES], dtype=np.float32)
    return FaceCode.neutral().with_shape(shape).with_expression(expression)


@pytest.fixture(scope="module")
def head(model, code) -> GlbMesh:
    return HeadMesher(model).mesh(code, TEXTURE)


def test_the_head_opens_with_the_faces_expression(model, code, head):
    (native_mm,) = Decoder.of(model).vertices(code.shape[None], code.expression[None])
    np.testing.assert_allclose(head.posed_vertices_mm, model.subdivision @ native_mm, atol=0.01)


def test_without_expression_it_is_the_neutral_head(model, code, head):
    (native_mm,) = Decoder.of(model).vertices(code.shape[None], np.zeros((1, 52), dtype=np.float32))
    np.testing.assert_allclose(head.vertices_mm, model.subdivision @ native_mm, atol=1e-3)


def test_every_morph_moves_something(head):
    largest_mm = dict(zip(head.morph_names, np.abs(head.morph_deltas_mm).max(axis=(1, 2)), strict=True))
    assert min(largest_mm.values()) > 0.5
    assert 30 < largest_mm["jawOpen"] < 45

# SPDX-License-Identifier: Apache-2.0
"""Decoding in parts."""

import numpy as np
import pytest

from facefactor.code.face_code import FaceCode
from facefactor.face.model import load_face_model
from facefactor.infer.decoder import Decoder
from facefactor.infer.parallel_decoder import LEAST_PART, ParallelDecoder


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder.of(load_face_model())


def some_codes(count: int) -> FaceCode[np.ndarray]:
    generator = np.random.default_rng(0)
    code = FaceCode.neutral((count,))
    return code.with_shape(generator.standard_normal((count, 80)).astype(np.float32)).with_reflectance(
        generator.standard_normal((count, 80)).astype(np.float32)
    )


@pytest.mark.parametrize("count", [0, 1, 2 * LEAST_PART - 1, 2 * LEAST_PART + 1, 3 * LEAST_PART + 2])
def test_parts_decode_to_what_the_whole_does(decoder, count):
    code = some_codes(count)
    whole, parts = decoder.decode(code), ParallelDecoder(decoder, 3).decode(code)
    for name, expected in whole._asdict().items():
        np.testing.assert_allclose(getattr(parts, name), expected, atol=2e-3, rtol=1e-5, err_msg=name)


def test_one_face_without_a_batch_is_refused(decoder):
    with pytest.raises(ValueError, match="must have one batch dimension"):
        ParallelDecoder(decoder).decode(FaceCode.neutral())

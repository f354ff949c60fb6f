# SPDX-License-Identifier: Apache-2.0
import numpy as np

from facefactor.face.albedo import subdivided_albedo
from facefactor.face.model import FaceModel
from facefactor.infer.decoder import Decoder


def test_the_native_vertices_have_the_albedo_that_the_decoder_gives(shipped_model: FaceModel):
    reflectance = np.random.default_rng(0).normal(size=80).astype(np.float32)
    decoded = Decoder.of(shipped_model).albedo(reflectance[None])[0]
    ours = subdivided_albedo(shipped_model, reflectance)
    assert ours.shape == (shipped_model.num_subdivided, 3)
    np.testing.assert_allclose(ours[: shipped_model.num_vertices], decoded, rtol=1e-4)


def test_coefficients_that_are_left_out_are_zero(shipped_model: FaceModel):
    few = np.array([1.0, -2.0], dtype=np.float32)
    np.testing.assert_allclose(
        subdivided_albedo(shipped_model, few), subdivided_albedo(shipped_model, np.pad(few, (0, 78))), rtol=1e-5
    )

# SPDX-License-Identifier: Apache-2.0
import dataclasses
import io

import numpy as np
import pytest

from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.code.face_code import FaceCode
from facefactor.face.model import load_face_model
from facefactor.video.rows import ClipFaces

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow (the extra `video`) is not installed")


class AnEngine:
    name, weights_hash, model = "an engine", None, load_face_model()


def test_the_table_holds_every_number_and_says_what_it_is():
    from facefactor.video.table import encode_table

    generator, rows = np.random.default_rng(0), np.arange(3)
    expression = generator.uniform(0, 1, (3, 52)).astype(np.float32)
    packed = generator.normal(0, 1, (3, 245 + 12)).astype(np.float32)
    code = dataclasses.replace(FaceCode.unpack(np.clip(packed, 0, 1), 4), expression=expression)
    K = np.array([[900.0, 0, 320], [0, 900.0, 240], [0, 0, 1]])
    faces = ClipFaces(rows + 7, rows / 30, rows * 0, np.array([0, 1, 0]), K, code)
    table = parquet.read_table(io.BytesIO(encode_table(faces, AnEngine())))
    assert table.schema.metadata[b"schema"] == b"facefactor.video/1"
    assert table.schema.metadata[b"model_hash"].decode() == AnEngine.model.model_hash
    columns = table.to_pydict()
    assert columns["frame"] == [7, 8, 9]
    assert columns["person"] == [0, 1, 0]
    np.testing.assert_allclose(columns["time_s"], rows / 30)
    np.testing.assert_array_equal(np.array(columns["K"]).reshape(3, 3, 3), np.stack([K] * 3))
    np.testing.assert_allclose(
        np.array(columns["R"]).reshape(3, 3, 3), matrix_from_axis_angle(code.rotation), atol=1e-6
    )
    np.testing.assert_array_equal(columns["t"], code.translation)
    for field in dataclasses.fields(code):
        values = getattr(code, field.name).reshape(3, -1)
        np.testing.assert_array_equal(np.array(columns[field.name], dtype=np.float32), values)

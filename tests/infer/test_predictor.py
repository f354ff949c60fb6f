# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.face.model import FaceModel
from facefactor.infer.predictor import Predictor


@pytest.mark.parametrize("count", [0, 1, 3])
def test_any_number_of_crops_is_encoded_and_decoded(predictor: Predictor, model: FaceModel, count: int):
    code = predictor.encode(np.zeros((count, 128, 128, 3), dtype=np.uint8))
    assert code.batch_shape == (count,)
    faces = predictor.decode(code)
    assert faces.vertices_mm.shape == faces.albedo_linear.shape == (count, model.num_vertices, 3)
    assert faces.landmarks68_px.shape == (count, 68, 2)
    assert faces.landmarks478_px.shape == (count, 478, 2)


def test_a_crops_code_does_not_depend_on_the_others(predictor: Predictor):
    crops = np.random.default_rng(0).random((40, 128, 128, 3), dtype=np.float32)
    together, alone = predictor.encode(crops), predictor.encode(crops[36:37])
    np.testing.assert_allclose(together[36:37].pack(), alone.pack(), atol=1e-4, rtol=1e-6)


def test_bytes_are_read_as_fractions_of_255(predictor: Predictor):
    crops = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    fractions = crops.astype(np.float32) / 255
    np.testing.assert_allclose(predictor.encode(crops).pack(), predictor.encode(fractions).pack(), atol=1e-4, rtol=1e-6)


@pytest.mark.parametrize("shape", [(128, 128, 3), (1, 3, 128, 128), (1, 160, 160, 3)])
def test_crops_of_another_shape_are_refused(predictor: Predictor, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"crops must be \(batch, 128, 128, 3\)"):
        predictor.encode(np.zeros(shape, dtype=np.float32))


def test_a_missing_graph_is_named(tmp_path: Path):
    with pytest.raises(AssetMissing, match=r"encoder\.onnx: no such file"):
        Predictor(tmp_path / "encoder.onnx")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path):
    (tmp_path / "encoder.onnx").write_bytes(b"not a graph")
    with pytest.raises(IncompatibleCode, match="not an ONNX graph"):
        Predictor(tmp_path / "encoder.onnx")


def test_a_decoder_is_no_encoder(graphs: Path):
    with pytest.raises(IncompatibleCode, match=r"is facefactor\.decoder/1, this version reads facefactor\.encoder/1"):
        Predictor(graphs / "decoder.onnx")


def test_an_encoder_for_another_face_model_is_refused(graphs: Path, model: FaceModel):
    with pytest.raises(IncompatibleCode, match=rf"for the face model {model.model_hash}, the one here is another"):
        Predictor(graphs / "encoder.onnx", replace(model, model_hash="another"))


def test_predicting_needs_no_torch(graphs: Path):
    script = (
        "import sys; sys.modules['torch'] = sys.modules['jaxtyping'] = None\n"
        "import pathlib, numpy; from facefactor.infer.predictor import Predictor\n"
        "predictor = Predictor(pathlib.Path(sys.argv[1]), num_threads=1)\n"
        "predictor.decode(predictor.encode(numpy.zeros((1, 128, 128, 3), numpy.float32)))\n"
    )
    command = [sys.executable, "-c", script, str(graphs / "encoder.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

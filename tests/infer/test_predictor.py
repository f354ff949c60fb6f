# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from facefactor.code.face_code import FaceCode
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.face.model import FaceModel
from facefactor.infer.decoder import OUTPUTS, Decoder
from facefactor.infer.predictor import Predictor


def test_decoded_faces_are_those_of_torch(predictor: Predictor, model: FaceModel, crops_srgb: np.ndarray):
    code = predictor.encode(crops_srgb)
    faces = predictor.decode(code)
    expected = Decoder(model)(torch.from_numpy(code.pack()))
    for name, values in zip(OUTPUTS, expected, strict=True):
        np.testing.assert_allclose(getattr(faces, name), values.numpy(), atol=1e-4, rtol=0)


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


def test_one_code_without_a_batch_is_refused(predictor: Predictor):
    with pytest.raises(ValueError, match=r"must have one batch dimension, got \(\)"):
        predictor.decode(FaceCode.neutral())


def test_the_neutral_code_decodes_to_the_mean_head(predictor: Predictor, model: FaceModel):
    faces = predictor.decode(FaceCode.neutral((1,)))
    np.testing.assert_allclose(faces.vertices_mm[0], model.mean, atol=1e-4)


def test_a_missing_graph_is_named(tmp_path: Path):
    with pytest.raises(AssetMissing, match=r"encoder\.onnx: no such file"):
        Predictor(tmp_path)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path):
    (tmp_path / "encoder.onnx").write_bytes(b"not a graph")
    with pytest.raises(IncompatibleCode, match="not an ONNX graph"):
        Predictor(tmp_path)


def test_a_decoder_is_no_encoder(graphs: Path, tmp_path: Path):
    shutil.copy(graphs / "decoder.onnx", tmp_path / "encoder.onnx")
    with pytest.raises(IncompatibleCode, match=r"is facefactor\.decoder/1, this version reads facefactor\.encoder/1"):
        Predictor(tmp_path)


def test_graphs_for_two_face_models_do_not_go_together(graphs: Path, tmp_path: Path):
    shutil.copytree(graphs, tmp_path, dirs_exist_ok=True)
    decoder = onnx.load(tmp_path / "decoder.onnx")
    (fact,) = [fact for fact in decoder.metadata_props if fact.key == "model_hash"]
    fact.value = "another"
    onnx.save(decoder, tmp_path / "decoder.onnx")
    with pytest.raises(IncompatibleCode, match="for different face models"):
        Predictor(tmp_path)


def test_predicting_needs_no_torch(graphs: Path):
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import pathlib, numpy; from facefactor.infer.predictor import Predictor\n"
        "predictor = Predictor(pathlib.Path(sys.argv[1]), num_threads=1)\n"
        "predictor.decode(predictor.encode(numpy.zeros((1, 128, 128, 3), numpy.float32)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(graphs)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

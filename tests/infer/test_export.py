# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from facefactor.encode.encoder import Encoder
from facefactor.errors import MissingExtra
from facefactor.face.model import FaceModel
from facefactor.graph_file import graph_facts, open_graph
from facefactor.infer import export
from facefactor.infer.decoder import DecodedFaces
from facefactor.infer.export import DECODER_FORMAT, IR_VERSION, OPSET, export_decoder, fold
from facefactor.infer.predictor import Predictor


def packed_by_torch(encoder: Encoder, crops_srgb: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return encoder.encode_packed(torch.from_numpy(crops_srgb).movedim(3, 1)).numpy()


def test_the_graph_answers_as_the_folded_network(predictor: Predictor, encoder: Encoder, crops_srgb: np.ndarray):
    expected = packed_by_torch(fold(encoder), crops_srgb)
    assert np.ptp(expected, axis=0).mean() > 0.01  # answers differ from crop to crop
    # Millimetres of translation are a head's answer times 30 to 100; depth is about 1000 mm, of which float32 resolves
    # 6e-5 mm.
    np.testing.assert_allclose(predictor.encode(crops_srgb).pack(), expected, atol=3e-4, rtol=1e-6)
    is_scaled = np.isin(np.arange(expected.shape[1]), range(215, 218))
    np.testing.assert_allclose(predictor.encode(crops_srgb).pack()[:, ~is_scaled], expected[:, ~is_scaled], atol=1e-4)


def test_folding_changes_answers_by_the_rounding_of_kernels_alone(encoder: Encoder, crops_srgb: np.ndarray):
    difference = packed_by_torch(fold(encoder), crops_srgb) - packed_by_torch(encoder, crops_srgb)
    assert 0 < np.abs(difference).max() < 0.005 * np.abs(packed_by_torch(encoder, crops_srgb)[:, 212:218]).max()


def test_kernels_beyond_float16_stay_finite(crops_srgb: np.ndarray):
    """A channel that hardly varies is enlarged by its normalisation; its kernel is."""
    network = Encoder().eval()
    layer, normalisation = network.backbone.bottlenecks[11].layers[1][:2]
    normalisation.running_var[3] = 0.0
    normalisation.weight.data[3] = 2.0
    layer.weight.data[3] = 5000.0
    folded = fold(network)
    assert folded.backbone.bottlenecks[11].layers[1][0].weight[3].max() > 1e5
    assert np.isfinite(packed_by_torch(folded, crops_srgb)).all()


def test_folding_leaves_the_encoder_alone(encoder: Encoder):
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    fold(encoder)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_the_decoders_graph_answers_as_the_fast_path(graphs: Path, predictor: Predictor, crops_srgb: np.ndarray):
    code = predictor.encode(crops_srgb)
    session = open_graph(graphs / "decoder.onnx", DECODER_FORMAT, num_threads=1)
    answers = session.run(list(DecodedFaces._fields), {"code": code.pack()})
    for answer, expected in zip(answers, predictor.decode(code), strict=True):
        np.testing.assert_allclose(answer, expected, atol=1e-4)
    assert int(graph_facts(session)["flops_per_face"]) == pytest.approx(9e6, rel=0.1)


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx"])
def test_graphs_are_valid_and_of_versions_that_onnxruntime_reads(graphs: Path, name: str):
    graph = onnx.load(graphs / name)
    onnx.checker.check_model(graph)
    assert (graph.opset_import[0].version, graph.ir_version) == (OPSET, IR_VERSION)


def test_graphs_are_half_the_size_of_their_numbers(graphs: Path, encoder: Encoder, model: FaceModel):
    num_weights = sum(parameter.numel() for parameter in encoder.parameters())
    assert (graphs / "encoder.onnx").stat().st_size < 2.2 * num_weights
    num_basis = 3 * model.num_vertices * (80 + 52 + 80)
    assert (graphs / "decoder.onnx").stat().st_size < 3 * num_basis


def test_graphs_say_how_much_they_compute(predictor: Predictor):
    assert int(predictor.facts["flops_per_face"]) == pytest.approx(123e6, rel=0.01)
    assert predictor.facts["trained_on"] == "nothing"


def test_without_onnx_the_install_is_named(model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def require(module: str, extra: str, purpose: str):
        raise MissingExtra(f"{purpose} needs {module}, which is not installed: pip install 'facefactor[{extra}]'")

    monkeypatch.setattr(export, "require", require)
    with pytest.raises(MissingExtra, match=r"writing ONNX graphs needs onnx, .* 'facefactor\[export\]'"):
        export_decoder(model, tmp_path / "decoder.onnx")

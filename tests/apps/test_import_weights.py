# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.apps import import_weights
from facefactor.apps.cli import main
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.encode.encoder import Encoder
from facefactor.encode.landmark_network import LandmarkNetwork
from facefactor.face.model import load_face_model
from facefactor.infer.engine import shipped_weights
from facefactor.infer.export import export_decoder, export_landmark_network
from facefactor.infer.predictor import Predictor
from facefactor.photo.network_landmarks import NetworkLandmarks
from facefactor.train.checkpoint import load_weights


@pytest.fixture(scope="module", autouse=True)
def fewer_rendered_faces() -> Iterator[None]:
    """They take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_weights, "NUM_CROPS", 96)
        yield


@pytest.fixture(scope="module")
def crops_srgb() -> torch.Tensor:
    return SyntheticFaces(SyntheticSettings(seed=3)).make_batch(0, 4).crops_srgb


@pytest.fixture(scope="module")
def landmark_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of the shipped landmark network."""
    path = tmp_path_factory.mktemp("weights") / "landmarks.safetensors"
    assert main(["import-weights", "landmarks", "--out", str(path)]) == 0
    return path


def test_the_shipped_encoder_comes_back_with_its_answers(crops_srgb, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "inverse.safetensors"
    assert main(["import-weights", "inverse", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    encoder, predictor = Encoder(), Predictor(shipped_weights("inverse"), num_threads=1)
    facts = load_weights(encoder, out)
    assert facts["weights_hash"] == predictor.facts["weights_hash"]
    with torch.no_grad():
        answers = encoder.eval().encode_packed(crops_srgb).numpy()
    expected = predictor.encode(crops_srgb.movedim(1, 3).contiguous().numpy()).pack()
    np.testing.assert_allclose(answers, expected, atol=1e-3, rtol=1e-5)


def test_it_learns_as_one_that_was_never_folded(landmark_weights: Path):
    """In training the normalisations use the batch's own statistics, which are those of ordinary crops."""
    network = LandmarkNetwork()
    load_weights(network, landmark_weights)
    many = SyntheticFaces(SyntheticSettings(seed=4)).make_batch(0, 32).crops_srgb
    with torch.no_grad():
        fixed, learning = network.eval()(many).points_px, network.train()(many).points_px
    assert (fixed - learning).norm(dim=-1).mean() < 4.0  # pixels of 128; with wrong statistics it is tens


def test_export_and_import_are_each_others_way_back(crops_srgb, landmark_weights: Path, tmp_path: Path):
    network = LandmarkNetwork()
    load_weights(network, landmark_weights)
    export_landmark_network(network, tmp_path / "again.onnx", {})
    crops = crops_srgb.movedim(1, 3).contiguous().numpy()
    points_px, _, _ = NetworkLandmarks(tmp_path / "again.onnx").answer(crops)
    expected_px, _, _ = NetworkLandmarks().answer(crops)
    np.testing.assert_allclose(points_px, expected_px, atol=0.05)


def test_what_is_no_network_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    out = tmp_path / "out.safetensors"
    assert main(["import-weights", str(tmp_path / "broken.onnx"), "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"facefactor: {tmp_path / 'broken.onnx'}: not an ONNX graph")
    assert main(["import-weights", "beauty", "--out", str(out)]) == 2
    assert capsys.readouterr().err.endswith("beauty.onnx: no such file\n")
    assert not out.exists()


def test_a_decoder_is_not_trained(tmp_path: Path, capsys: pytest.CaptureFixture):
    export_decoder(load_face_model(), tmp_path / "decoder.onnx")
    assert main(["import-weights", str(tmp_path / "decoder.onnx"), "--out", str(tmp_path / "out.safetensors")]) == 2
    assert "is facefactor.decoder/1, needed is one of" in capsys.readouterr().err

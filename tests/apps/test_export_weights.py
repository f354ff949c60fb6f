# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.apps.cli import main
from facefactor.encode.encoder import Encoder
from facefactor.infer.predictor import Predictor
from facefactor.photo.network_landmarks import NetworkLandmarks
from facefactor.train.checkpoint import save_weights


def test_a_runs_weights_become_graphs(tmp_path: Path, capsys: pytest.CaptureFixture):
    encoder = Encoder()
    torch.nn.init.constant_(encoder.heads["rotation"].bias, 0.25)
    save_weights(encoder, tmp_path / "run" / "weights.safetensors", {"step": "12"})
    assert main(["export-weights", str(tmp_path / "run"), "--out", str(tmp_path / "graphs")]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert names == ["encoder.onnx", "decoder.onnx"]
    predictor = Predictor(tmp_path / "graphs" / "encoder.onnx", num_threads=1)
    assert predictor.facts["step"] == "12"
    assert len(predictor.facts["weights_hash"]) == 16
    code = predictor.encode(np.zeros((1, 128, 128, 3), dtype=np.float32))
    np.testing.assert_allclose(code.rotation, [[0.25, 0.25, 0.25]], atol=1e-6)


def test_a_run_without_its_best_weights_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["export-weights", str(tmp_path), "--best", "--out", str(tmp_path / "graphs")]) == 2
    assert capsys.readouterr().err.endswith("best.safetensors: no such file\n")


def test_a_landmark_runs_weights_become_one_graph(stored_faces_folders, tmp_path: Path, capsys: pytest.CaptureFixture):
    renders, photos = map(str, stored_faces_folders)
    run = ["--faces", renders, "--photos", photos, "--steps", "1", "--batch-size", "8", "--loader-workers", "0"]
    assert main(["train", "landmarks", *run, "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'run' / 'weights.safetensors'}\n"
    assert main(["export-weights", str(tmp_path / "run"), "--out", str(tmp_path / "graphs")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'graphs' / 'landmarks.onnx'}\n"
    network = NetworkLandmarks(tmp_path / "graphs" / "landmarks.onnx")
    assert network.facts["step"] == "1"
    assert len(network.facts["weights_hash"]) == 16
    points_px, _, _ = network.answer(np.zeros((2, 128, 128, 3), dtype=np.float32))
    assert points_px.shape == (2, 478, 2)

# SPDX-License-Identifier: Apache-2.0
"""An untrained encoder whose answers depend on the crop, and its exported graphs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.encoder import Encoder
from facefactor.face.model import FaceModel, load_face_model
from facefactor.infer.export import export_graphs
from facefactor.infer.predictor import ENCODER_FILE, Predictor


@pytest.fixture(scope="session")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    torch.manual_seed(0)
    network = Encoder()
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.02)
    with torch.no_grad():
        for _ in range(3):  # gives the normalisations statistics to fold
            network(torch.rand(4, 3, ENCODER_CROP_PX, ENCODER_CROP_PX))
    return network.eval()


@pytest.fixture(scope="session")
def graphs(encoder: Encoder, model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs")
    export_graphs(encoder, model, folder, {"trained_on": "nothing"})
    return folder


@pytest.fixture(scope="session")
def predictor(graphs: Path) -> Predictor:
    return Predictor(graphs / ENCODER_FILE, num_threads=1)


@pytest.fixture
def crops_srgb() -> np.ndarray:
    return np.random.default_rng(1).random((5, ENCODER_CROP_PX, ENCODER_CROP_PX, 3), dtype=np.float32)

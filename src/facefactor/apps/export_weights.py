# SPDX-License-Identifier: Apache-2.0
"""The command `facefactor export-weights RUN`: a training run's network as the graphs that run without torch."""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

from facefactor.encode.encoder import Encoder
from facefactor.encode.landmark_network import LandmarkNetwork
from facefactor.face.correctives import LEARNED_FILE
from facefactor.face.model import load_face_model
from facefactor.infer.export import (
    DECODER_FILE,
    export_graphs,
    export_landmark_network,
    export_learned_model,
)
from facefactor.infer.predictor import ENCODER_FILE
from facefactor.photo.network_landmarks import SHIPPED_NETWORK
from facefactor.train.checkpoint import load_weights
from facefactor.train.landmarks import REGIME as LANDMARK_REGIME
from facefactor.train.multilevel import REGIME as MULTILEVEL_REGIME
from facefactor.train.multilevel import network_of_weights
from facefactor.train.run_record import read_regime


def run(options: argparse.Namespace) -> int:
    """Write the graphs, and name them."""
    weights = options.run / ("best.safetensors" if options.best else "weights.safetensors")
    exports = {LANDMARK_REGIME: _export_landmarks, MULTILEVEL_REGIME: _export_learned_model}
    export = exports.get(read_regime(options.run) or "", _export_encoder)
    for path in export(weights, options.out):
        print(path)
    return 0


def _export_encoder(weights: Path, out: Path) -> Sequence[Path]:
    encoder = Encoder()
    facts = load_weights(encoder, weights)
    export_graphs(encoder, load_face_model(), out, {**facts, "weights_hash": _digest(weights)})
    return out / ENCODER_FILE, out / DECODER_FILE


def _export_landmarks(weights: Path, out: Path) -> Sequence[Path]:
    network, path = LandmarkNetwork(), out / SHIPPED_NETWORK.name
    facts = load_weights(network, weights)
    export_landmark_network(network, path, {**facts, "weights_hash": _digest(weights)})
    return (path,)


def _export_learned_model(weights: Path, out: Path) -> Sequence[Path]:
    model = load_face_model()
    network = network_of_weights(weights, model)
    facts = load_weights(network, weights)
    encoder, correctives = network.learned_model({**facts, "weights_hash": _digest(weights)})
    export_learned_model(encoder, correctives, model, out)
    return out / LEARNED_FILE, out / DECODER_FILE


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]

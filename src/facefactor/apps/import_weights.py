# SPDX-License-Identifier: Apache-2.0
"""The command `facefactor import-weights GRAPH`: an exported network as weights that training can start from."""

import argparse
from pathlib import Path

from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.encode.encoder import Encoder
from facefactor.encode.landmark_network import LandmarkNetwork
from facefactor.errors import IncompatibleCode
from facefactor.infer.engine import shipped_weights
from facefactor.infer.import_weights import load_graph_weights, read_graph_facts
from facefactor.infer.predictor import ENCODER_FORMAT
from facefactor.photo.network_landmarks import LANDMARK_FORMAT
from facefactor.train.checkpoint import save_weights

NETWORKS = {ENCODER_FORMAT: Encoder, LANDMARK_FORMAT: LandmarkNetwork}
NUM_CROPS = 256
"""Rendered faces that the normalisations get their statistics from."""


def run(options: argparse.Namespace) -> int:
    """Write the weights, and name the file."""
    path = Path(options.graph) if options.graph.endswith(".onnx") else shipped_weights(options.graph)
    facts = read_graph_facts(path)
    found = facts.pop("format", "no graph of facefactor")
    if found not in NETWORKS:
        raise IncompatibleCode(f"{path}: is {found}, needed is one of {', '.join(NETWORKS)}")
    network = NETWORKS[found]()
    load_graph_weights(network, path, SyntheticFaces(SyntheticSettings()).make_batch(0, NUM_CROPS).crops_srgb)
    save_weights(network, options.out, facts)
    print(options.out)
    return 0

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
    import_weights(options.graph, options.out)
    print(options.out)
    return 0


def import_weights(graph: str, out: Path) -> None:
    """Write an exported network's weights.

    Args:
        graph: a graph's file, or the name of shipped weights.
        out: safetensors file to write.

    Raises:
        AssetMissing, IncompatibleCode, MissingExtra: see `load_graph_weights`.
        OutputUnwritable: the file cannot be written.
    """
    path = Path(graph) if graph.endswith(".onnx") else shipped_weights(graph)
    facts = read_graph_facts(path)
    found = facts.pop("format", "no graph of facefactor")
    if found not in NETWORKS:
        raise IncompatibleCode(f"{path}: is {found}, needed is one of {', '.join(NETWORKS)}")
    network = NETWORKS[found]()
    load_graph_weights(network, path, SyntheticFaces(SyntheticSettings()).make_batch(0, NUM_CROPS).crops_srgb)
    save_weights(network, out, facts)

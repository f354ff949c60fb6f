# SPDX-License-Identifier: Apache-2.0
"""The command `facefactor export-weights RUN`: a training run's encoder as the graphs of the fast path."""

import argparse
import hashlib

from facefactor.encode.encoder import Encoder
from facefactor.face.model import load_face_model
from facefactor.infer.export import export_graphs
from facefactor.infer.predictor import DECODER_FILE, ENCODER_FILE
from facefactor.train.checkpoint import load_weights


def run(options: argparse.Namespace) -> int:
    """Write the graphs, and name them."""
    path = options.run / ("best.safetensors" if options.best else "weights.safetensors")
    encoder = Encoder()
    facts = load_weights(encoder, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    export_graphs(encoder, load_face_model(), options.out, {**facts, "weights_hash": digest})
    for name in (ENCODER_FILE, DECODER_FILE):
        print(options.out / name)
    return 0

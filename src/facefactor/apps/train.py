# SPDX-License-Identifier: Apache-2.0
"""The command `facefactor train inverse`: an encoder learns from faces that are rendered as it goes, or were before."""

import argparse

from facefactor.data.backgrounds import Backgrounds
from facefactor.data.synthetic import SyntheticFaces
from facefactor.data.synthetic_corpus import SyntheticCorpus
from facefactor.train.devices import launched_devices
from facefactor.train.inverse import InverseSettings, synthetic_settings, train_inverse
from facefactor.train.loop import LoopSettings


def run_inverse(options: argparse.Namespace) -> int:
    """Train, and name the weights."""
    settings = InverseSettings(
        batch_size=options.batch_size,
        loss=options.loss,
        render_threads=options.render_threads,
        subdivided=options.subdivided,
        loader_workers=options.loader_workers,
    )
    loop = LoopSettings(num_steps=options.steps, learning_rate=options.learning_rate, seed=options.seed)
    backgrounds = Backgrounds.in_folder(options.backgrounds) if options.backgrounds else None
    corpus = SyntheticCorpus(*options.corpus) if options.corpus else None
    faces = SyntheticFaces(synthetic_settings(settings, options.seed), backgrounds)
    with launched_devices() as devices:
        train_inverse(
            faces,
            options.out,
            settings,
            loop,
            corpus=corpus,
            init=options.init,
            devices=devices,
            resume=options.resume,
        )
        if devices.is_first:
            print(options.out / "weights.safetensors")
    return 0

# SPDX-License-Identifier: Apache-2.0
"""The commands `facefactor train REGIME`: what each regime learns from, and its settings, out of the command line."""

import argparse

from facefactor.data.backgrounds import Backgrounds
from facefactor.data.landmark_batches import StoredFaces
from facefactor.data.synthetic import SyntheticFaces
from facefactor.data.synthetic_corpus import SyntheticCorpus
from facefactor.train.devices import launched_devices
from facefactor.train.inverse import InverseSettings, synthetic_settings, train_inverse
from facefactor.train.landmarks import LandmarkSettings, train_landmarks
from facefactor.train.loop import LoopSettings


def run_inverse(options: argparse.Namespace) -> int:
    """Train an encoder on faces that are rendered as it goes, or were before, and name the weights."""
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


def run_landmarks(options: argparse.Namespace) -> int:
    """Train the landmark network on rendered faces and photos, and name the weights."""
    settings = LandmarkSettings(batch_size=options.batch_size, loader_workers=options.loader_workers)
    loop = LoopSettings(num_steps=options.steps, learning_rate=options.learning_rate, seed=options.seed)
    renders, photos = StoredFaces(*options.faces), StoredFaces(*options.photos) if options.photos else None
    with launched_devices() as devices:
        train_landmarks(
            renders, photos, options.out, settings, loop, init=options.init, devices=devices, resume=options.resume
        )
        if devices.is_first:
            print(options.out / "weights.safetensors")
    return 0

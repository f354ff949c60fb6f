# SPDX-License-Identifier: Apache-2.0
"""The commands `facefactor train REGIME`: what each regime learns from, and its settings, out of the command line."""

import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path

from facefactor.apps.breed import write_bred_corpus
from facefactor.data.backgrounds import Backgrounds
from facefactor.data.landmark_batches import StoredFaces
from facefactor.data.photographs import PhotoCorpus
from facefactor.data.synthetic import SyntheticFaces
from facefactor.data.synthetic_corpus import SyntheticCorpus
from facefactor.errors import FaceError
from facefactor.face.model import load_face_model
from facefactor.train.breed import Breeding, BreedSettings
from facefactor.train.devices import Devices, launched_devices
from facefactor.train.inverse import HeldOutFaces, InverseSettings, synthetic_settings, train_inverse
from facefactor.train.landmarks import LandmarkSettings, train_landmarks
from facefactor.train.loop import LoopSettings
from facefactor.train.mofa import MofaSettings, train_mofa
from facefactor.train.multilevel import CorrectiveWeights, MultilevelSettings, train_multilevel


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
        if options.breed:
            weights = _breed(options, settings, loop, faces, corpus, devices)
        else:
            weights = options.out / "weights.safetensors"
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
            print(weights)
    return 0


def _breed(
    options: argparse.Namespace,
    settings: InverseSettings,
    loop: LoopSettings,
    faces: SyntheticFaces,
    corpus: SyntheticCorpus | None,
    devices: Devices,
) -> Path:
    """Train round 0 unless weights to start from are given, then breed.

    Raises:
        FaceError: a corpus is not named, or there are several devices.
    """
    if corpus is None or options.photos is None:
        raise FaceError("breeding needs --photos, and --corpus for the faces that are mixed with bred ones")
    if devices.count > 1:
        raise FaceError("breeding runs on one device: train round 0 on several, then breed from --init")
    breeding = _breed_settings(options)
    photos, init = PhotoCorpus(options.photos), options.init
    if init is None:
        init = options.out / "round_0" / "weights.safetensors"
        if not init.exists():
            train_inverse(faces, init.parent, settings, loop, corpus=corpus, devices=devices, resume=options.resume)
    run = Breeding(
        options.out,
        init,
        photos,
        corpus,
        HeldOutFaces(faces, settings.num_held_out),
        faces.model,
        breeding,
        functools.partial(write_bred_corpus, options.photos, options.jobs),
        devices.device,
        report=lambda sentence: print(f"facefactor train: {sentence}", file=sys.stderr, flush=True),
    )
    return run.run(options.resume)


def _breed_settings(options: argparse.Namespace) -> BreedSettings:
    """The settings of the command line.

    Raises:
        FaceError: they make no sense, such as a share over one.
    """
    try:
        return BreedSettings(
            rounds=options.breed,
            num_steps=options.round_steps,
            learning_rate=options.round_learning_rate,
            batch_size=options.batch_size,
            loss=options.loss,
            first_share=options.first_share,
            variants=options.variants,
            polish=not options.no_polish,
            detail_share=options.detail_share,
            keep_corpora=not options.delete_bred,
            loader_workers=options.loader_workers,
            seed=options.seed,
        )
    except ValueError as error:
        raise FaceError(f"breeding: {error}") from None


def run_mofa(options: argparse.Namespace) -> int:
    """Train an encoder on photos, and name the weights."""
    return _run_on_photos(options, train_mofa, _mofa_settings(options))


def run_multilevel(options: argparse.Namespace) -> int:
    """Train an encoder with the corrections of the face model, and name the weights."""
    given = CorrectiveWeights()
    without = dict.fromkeys((name for name in options.without if hasattr(given, name)), 0.0)
    if "stabilisation" in options.without:
        without |= {"geometry": 0.0, "reflectance": 0.0}
    try:
        settings = MultilevelSettings(
            _mofa_settings(options),
            options.geometry,
            options.reflectance,
            correctives=dataclasses.replace(given, **without),
            second_look="second-look" not in options.without,
            rectified=options.rectified,
            restart_geometry=options.restart_geometry,
        )
    except ValueError as error:
        raise FaceError(f"train multilevel: {error}") from None
    return _run_on_photos(options, train_multilevel, settings)


def _mofa_settings(options: argparse.Namespace) -> MofaSettings:
    return MofaSettings(
        batch_size=options.batch_size,
        faces=max(1, options.batch_size // 3),
        pairs=max(1, options.batch_size // 6),
        landmarks=options.landmarks,
        loader_workers=options.loader_workers,
    )


def _run_on_photos(options: argparse.Namespace, train: Callable, settings: MofaSettings | MultilevelSettings) -> int:
    """Train on the photos, faces and persons of the command line, and name the weights."""
    loop = LoopSettings(num_steps=options.steps, learning_rate=options.learning_rate, seed=options.seed)
    photos, faces = PhotoCorpus(*options.corpus), SyntheticCorpus(*options.faces) if options.faces else None
    persons = PhotoCorpus(*options.persons) if options.persons else None
    with launched_devices() as devices:
        train(
            photos,
            faces,
            load_face_model(),
            options.out,
            settings,
            loop,
            persons=persons,
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

# SPDX-License-Identifier: Apache-2.0
"""The engines and the landmark detectors by their names on the command line; each needs only what it uses."""

import functools
import os
from pathlib import Path

from facefactor.code.face_code import REFLECTANCE_SIZE, SHAPE_SIZE
from facefactor.errors import IncompatibleCode, require
from facefactor.export.record import FaceRecord
from facefactor.face.correctives import LEARNED_FILE, corrected_model, load_correctives
from facefactor.face.model import FaceModel, load_face_model
from facefactor.infer.engine import ASSETS, EncoderEngine, Engine
from facefactor.infer.predictor import ENCODER_FILE
from facefactor.photo.landmarks import LandmarkDetector
from facefactor.photo.network_landmarks import NetworkLandmarks

MULTILEVEL = "multilevel"
"""What an engine of a learned model is called."""
SHIPPED_MODEL = ASSETS / "multilevel.safetensors"
"""The learned model that is shipped."""


def open_engine(
    name: str,
    model: FaceModel,
    refine: bool = False,
    graphs: Path | None = None,
    learned: Path | None = None,
    num_threads: int | None = None,
) -> Engine:
    """Make the engine ready.

    Args:
        name: one of ENGINES.
        model: the face model.
        refine: search on from its answers; the engine "fit" searches anyway.
        graphs: folder of `export-weights` whose encoder answers under that name, or under MULTILEVEL with the
            corrections that it holds, in place of the shipped one.
        learned: file of a multi-level run's corrections and encoder, which answers in place of the named engine.
        num_threads: of the encoder, per call; None for as many as there are cores.

    Raises:
        MissingExtra: it needs torch, which is not installed.
        AssetMissing: its weights are not there.
        IncompatibleCode: its weights are of another version, or for another face model.
    """
    if learned is None and graphs is not None and os.path.isfile(graphs / LEARNED_FILE):
        learned = graphs / LEARNED_FILE
    if learned is None and graphs is None and name == MULTILEVEL:
        learned = SHIPPED_MODEL
    if name == "fit" and learned is None:
        require("torch", "train", "fitting a photo")
        from facefactor.fit.engine import FitEngine

        return FitEngine(model)
    weights = graphs and graphs / ENCODER_FILE
    if learned is None:
        encoder = EncoderEngine(name, model, weights, num_threads)
    else:
        encoder = _open_learned_model(learned, model, num_threads)
    if not refine:
        return encoder
    require("torch", "train", "fitting a photo")
    from facefactor.fit.engine import RefiningEngine

    return RefiningEngine(encoder)


def _open_learned_model(path: Path, model: FaceModel, num_threads: int | None) -> EncoderEngine:
    """Make the engine ready that answers the codes of a corrected face model."""
    correctives = load_correctives(path)
    if not correctives.encoder_graph:
        raise IncompatibleCode(f"{path}: holds corrections without an encoder that answers them")
    corrected = corrected_model(model, correctives)
    return EncoderEngine(MULTILEVEL, corrected, path, num_threads, correctives.encoder_graph)


def open_face_model(model_hash: str, learned: Path | None = None) -> FaceModel:
    """Make the face model of a hash ready: the base model, or that with learned corrections.

    Args:
        model_hash: as a face's record names it.
        learned: file of a model that was learned; by default the one that ships.

    Raises:
        AssetMissing: the learned file is not there.
        IncompatibleCode: neither has this hash.
    """
    base = load_face_model()
    if model_hash == base.model_hash:
        return base
    corrected = _load_learned_model(learned or SHIPPED_MODEL)
    if model_hash == corrected.model_hash:
        return corrected
    raise IncompatibleCode(
        f"the face is of the face model {model_hash}, here are {base.model_hash} and {corrected.model_hash}"
    )


def face_model_of(record: FaceRecord, learned: Path | None = None) -> FaceModel:
    """Make a record's face model ready, of which it must hold all corrections; arguments as in `open_face_model`.

    Raises:
        AssetMissing: the learned file is not there.
        IncompatibleCode: the record is of another face model, or has another number of corrections.
    """
    model = open_face_model(record.model_hash, learned)
    for name, wanted in (
        ("geometry_corrective", len(model.shape_basis) - SHAPE_SIZE),
        ("reflectance_corrective", len(model.reflectance_basis) - REFLECTANCE_SIZE),
    ):
        held = len(getattr(record, name))
        if held != wanted:
            raise IncompatibleCode(f"{name}: the face model has {wanted} of these numbers, the face holds {held}")
    return model


@functools.lru_cache(maxsize=2)
def _load_learned_model(path: Path) -> FaceModel:
    """The base model with the corrections of a file."""
    return corrected_model(load_face_model(), load_correctives(path))


def open_landmark_detector(name: str = "network") -> LandmarkDetector:
    """Make a landmark detector ready.

    Args:
        name: "network", ours; or "mediapipe", its teacher.

    Raises:
        MissingExtra: MediaPipe is wanted and not installed.
    """
    if name == "network":
        return NetworkLandmarks()
    from facefactor.photo.mediapipe_landmarks import MediaPipeLandmarks

    return MediaPipeLandmarks()

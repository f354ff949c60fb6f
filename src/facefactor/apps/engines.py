# SPDX-License-Identifier: Apache-2.0
"""The engines and the landmark detectors by their names on the command line; each needs only what it uses."""

from pathlib import Path

from facefactor.errors import IncompatibleCode, require
from facefactor.face.correctives import corrected_model, load_correctives
from facefactor.face.model import FaceModel
from facefactor.infer.engine import EncoderEngine, Engine
from facefactor.infer.predictor import ENCODER_FILE
from facefactor.photo.landmarks import LandmarkDetector
from facefactor.photo.network_landmarks import NetworkLandmarks

MULTILEVEL = "multilevel"
"""What an engine of a learned model is called."""


def open_engine(name: str, model: FaceModel, refine: bool = False, graphs: Path | None = None) -> Engine:
    """Make the engine ready.

    Args:
        name: one of ENGINES.
        model: the face model.
        refine: search on from its answers; the engine "fit" searches anyway.
        graphs: folder of `export-weights` whose encoder answers under that name, in place of the shipped one.

    Raises:
        MissingExtra: it needs torch, which is not installed.
        AssetMissing: its weights are not there.
        IncompatibleCode: its weights are of another version, or for another face model.
    """
    weights = graphs and graphs / ENCODER_FILE
    if name != "fit":
        return _refined(EncoderEngine(name, model, weights), model, refine)
    require("torch", "train", "fitting a photo")
    from facefactor.fit.engine import FitEngine

    return FitEngine(model)


def open_learned_model(path: Path, model: FaceModel, refine: bool = False) -> tuple[FaceModel, Engine]:
    """Read a face model that was learnt from photos, and make the engine ready that answers its codes.

    Args:
        path: written by `export-weights` of a multi-level run.
        model: the face model that it corrects.
        refine: see `open_engine`.

    Returns:
        The corrected face model, and the engine.

    Raises:
        MissingExtra, AssetMissing, IncompatibleCode: see `open_engine`.
    """
    correctives = load_correctives(path)
    if not correctives.encoder_graph:
        raise IncompatibleCode(f"{path}: holds corrections without an encoder that answers them")
    corrected = corrected_model(model, correctives)
    encoder = EncoderEngine(MULTILEVEL, corrected, path, graph=correctives.encoder_graph)
    return corrected, _refined(encoder, corrected, refine)


def _refined(encoder: EncoderEngine, model: FaceModel, refine: bool) -> Engine:
    """Let an encoder's answers be searched on from, if so wanted."""
    if not refine:
        return encoder
    require("torch", "train", "fitting a photo")
    from facefactor.fit.engine import RefiningEngine

    return RefiningEngine(encoder, model)


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

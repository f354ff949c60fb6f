# SPDX-License-Identifier: Apache-2.0
"""The engines and the landmark detectors by their names on the command line; each needs only what it uses."""

from pathlib import Path

from facefactor.errors import require
from facefactor.face.model import FaceModel
from facefactor.infer.engine import EncoderEngine, Engine
from facefactor.infer.predictor import ENCODER_FILE
from facefactor.photo.landmarks import LandmarkDetector
from facefactor.photo.network_landmarks import NetworkLandmarks


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
    encoder = EncoderEngine(name, model, weights) if name != "fit" else None
    if encoder is not None and not refine:
        return encoder
    require("torch", "train", "fitting a photo")
    from facefactor.fit.engine import FitEngine, RefiningEngine

    return FitEngine(model) if encoder is None else RefiningEngine(encoder, model)


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

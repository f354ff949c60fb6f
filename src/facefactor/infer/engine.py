# SPDX-License-Identifier: Apache-2.0
"""Engines: what turns a found face into a face code. Those here look once, by a trained encoder, without torch.

Everything after the code is the same for all engines (`apps/reconstruction.py`). `fit/engine.py` holds the one that
searches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.model import FaceModel
from facefactor.infer.predictor import EncoderGraph
from facefactor.photo.cropped_face import CroppedFace

ASSETS = Path(__file__).resolve().parents[1] / "assets"


class Engine(Protocol):
    """Anything that describes a face by a code."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    @property
    def model(self) -> FaceModel:
        """What its codes are codes of; longer than the face model it was given where it corrects that."""
        ...

    @property
    def weights_hash(self) -> str | None:
        """Of its trained weights; None for an engine without any."""
        ...

    def describe(self, face: CroppedFace) -> FaceCode[np.ndarray]:
        """Give the code of one face in the crop's camera, float32, without batch dimension."""
        ...


def shipped_weights(name: str) -> Path:
    """Where the weights of a training regime are, if they are shipped."""
    return ASSETS / f"{name}.onnx"


class EncoderEngine:
    """Answers from one look by the weights of its name.

    Args:
        name: of the training regime, such as "inverse"; the weights are shipped as NAME.onnx.
        model: the face model.
        weights: another file of weights.
        num_threads: of the encoder, per call; None for as many as there are cores.
        graph: the encoder, when it is within another file, which `weights` names.

    Raises:
        AssetMissing: the weights are not there.
        IncompatibleCode: they are of another version, or for another face model.
    """

    def __init__(
        self,
        name: str,
        model: FaceModel,
        weights: Path | None = None,
        num_threads: int | None = None,
        graph: bytes | None = None,
    ) -> None:
        self.name, self.model = name, model
        self.encoder = EncoderGraph(weights or shipped_weights(name), model, num_threads, graph)
        self.weights_hash = self.encoder.facts.get("weights_hash")

    def describe(self, face: CroppedFace) -> FaceCode[np.ndarray]:
        """Encode the crop."""
        return self.encoder.encode(face.srgb_at(ENCODER_CROP_PX)[None])[0]

# SPDX-License-Identifier: Apache-2.0
"""Crops to face codes to faces, without torch.

Place in the flow: `photo.crop` cuts the crops; a `Predictor` answers with FaceCodes, by the encoder's graph and
onnxruntime, and with what they decode to, by the face model and numpy; `export` writes that down. `export.py` makes the
graph of a trained encoder.
"""

from pathlib import Path

import numpy as np

from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.errors import IncompatibleCode
from facefactor.face.model import FaceModel, load_face_model
from facefactor.graph_file import graph_facts, open_graph
from facefactor.infer.decoder import DecodedFaces, Decoder
from facefactor.infer.parallel_decoder import ParallelDecoder

ENCODER_FILE, ENCODER_FORMAT = "encoder.onnx", "facefactor.encoder/1"
NUM_GEOMETRY = "num_geometry_corrective"
"""The fact that says how many corrections of geometry an encoder answers; left out for none."""
LARGEST_BATCH = 32
"""Crops that are encoded at a time, whatever the number given: more are no faster and only take memory."""


class EncoderGraph:
    """A trained encoder as a graph; safe to call from several threads.

    Args:
        path: of the graph's file.
        model: the face model it was trained for.
        num_threads: per call; None for as many as there are cores.
        content: of the graph, when it is within another file, which `path` names.

    Raises:
        AssetMissing: the file is not there.
        IncompatibleCode: the file is no encoder of this version, or one for another face model.
    """

    def __init__(
        self, path: Path, model: FaceModel, num_threads: int | None = None, content: bytes | None = None
    ) -> None:
        self._session = open_graph(path, ENCODER_FORMAT, num_threads, content)
        self.facts = graph_facts(self._session)
        """What the file says about itself, such as the weights' hash and the arithmetic of one face."""
        if self.facts["model_hash"] != model.model_hash:
            raise IncompatibleCode(
                f"{path}: is for the face model {self.facts['model_hash']}, the one here is {model.model_hash}"
            )

    def encode(self, crops_srgb: np.ndarray) -> FaceCode[np.ndarray]:
        """Describe the faces in crops.

        Args:
            crops_srgb: (batch, 128, 128, 3) RGB; float in [0, 1], or uint8.

        Returns:
            Their codes, float32, in the crops' camera.

        Raises:
            ValueError: the crops have another shape.
        """
        if crops_srgb.ndim != 4 or crops_srgb.shape[1:] != (ENCODER_CROP_PX, ENCODER_CROP_PX, 3):
            raise ValueError(f"crops must be (batch, {ENCODER_CROP_PX}, {ENCODER_CROP_PX}, 3), got {crops_srgb.shape}")
        starts = range(0, max(1, len(crops_srgb)), LARGEST_BATCH)
        packed = [self._encode_batch(crops_srgb[start : start + LARGEST_BATCH]) for start in starts]
        return FaceCode.unpack(np.concatenate(packed), int(self.facts.get(NUM_GEOMETRY, 0)))

    def _encode_batch(self, crops_srgb: np.ndarray) -> np.ndarray:
        planes = np.ascontiguousarray(crops_srgb.transpose(0, 3, 1, 2), dtype=np.float32)
        if crops_srgb.dtype == np.uint8:
            planes /= 255.0
        (packed,) = self._session.run(None, {"crops": planes})
        return packed


class Predictor:
    """An encoder with the decoder of its face model: crops in, faces out; safe to call from several threads.

    Args:
        path: of the encoder's graph.
        model: the face model it was trained for; the shipped one by default.
        num_threads: per call; None for as many as there are cores.

    Raises:
        AssetMissing: the file is not there.
        IncompatibleCode: the file is no encoder of this version, or one for another face model.
    """

    def __init__(self, path: Path, model: FaceModel | None = None, num_threads: int | None = None) -> None:
        model = load_face_model() if model is None else model
        self._encoder = EncoderGraph(path, model, num_threads)
        self._decoder = ParallelDecoder(Decoder.of(model), num_threads)

    @property
    def facts(self) -> dict[str, str]:
        """What the encoder's file says about itself."""
        return self._encoder.facts

    def encode(self, crops_srgb: np.ndarray) -> FaceCode[np.ndarray]:
        """Describe the faces in crops; see `EncoderGraph.encode`."""
        return self._encoder.encode(crops_srgb)

    def decode(self, code: FaceCode[np.ndarray]) -> DecodedFaces[np.ndarray]:
        """Make the faces that codes describe; see `Decoder.decode`."""
        return self._decoder.decode(code)

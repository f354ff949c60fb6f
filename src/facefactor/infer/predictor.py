# SPDX-License-Identifier: Apache-2.0
"""Crops to face codes to faces by onnxruntime, without torch.

Place in the flow: `photo.crop` cuts the crops; a `Predictor` answers with FaceCodes and what they decode to; `export`
writes that down. The graphs are made by `export.py` from the networks and formulas of the torch side.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.errors import IncompatibleCode
from facefactor.graph_file import graph_facts, open_graph

ENCODER_FILE, DECODER_FILE = "encoder.onnx", "decoder.onnx"
ENCODER_FORMAT, DECODER_FORMAT = "facefactor.encoder/1", "facefactor.decoder/1"
LARGEST_BATCH = 32
"""Crops that are encoded at a time, whatever the number given: more are no faster and only take memory."""


@dataclass(frozen=True, eq=False)
class DecodedFaces:
    """What codes decode to, for a batch of faces, float32."""

    vertices_mm: np.ndarray
    """(batch, V, 3) native vertices, head frame, millimetres."""
    albedo_linear: np.ndarray
    """(batch, V, 3) linear RGB."""
    landmarks68_px: np.ndarray
    """(batch, 68, 2) iBUG points, pixels of the encoder's crop."""
    landmarks478_px: np.ndarray
    """(batch, 478, 2) MediaPipe points, pixels of the encoder's crop."""


class Predictor:
    """Holds the two graphs; its methods are safe to call from several threads.

    Args:
        folder: that holds encoder.onnx and decoder.onnx.
        num_threads: per call; None for as many as there are cores.

    Raises:
        AssetMissing: a graph is not there.
        IncompatibleCode: a file is no graph of this version, or the graphs are for different face models.
    """

    def __init__(self, folder: Path, num_threads: int | None = None) -> None:
        self._encoder = open_graph(folder / ENCODER_FILE, ENCODER_FORMAT, num_threads)
        self._decoder = open_graph(folder / DECODER_FILE, DECODER_FORMAT, num_threads)
        self.encoder_facts, self.decoder_facts = graph_facts(self._encoder), graph_facts(self._decoder)
        """What the files say about themselves, such as the face model's hash and the arithmetic of one face."""
        if self.encoder_facts["model_hash"] != self.decoder_facts["model_hash"]:
            hashes = f"{self.encoder_facts['model_hash']} and {self.decoder_facts['model_hash']}"
            raise IncompatibleCode(f"{folder}: encoder and decoder are for different face models, {hashes}")

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
        return FaceCode.unpack(np.concatenate(packed))

    def decode(self, code: FaceCode[np.ndarray]) -> DecodedFaces:
        """Make the faces that codes describe; 140 kB a face.

        Args:
            code: with one batch dimension.

        Raises:
            ValueError: the code holds one face without a batch dimension, or several.
        """
        if len(code.batch_shape) != 1:
            raise ValueError(f"a code to decode must have one batch dimension, got {code.batch_shape}")
        packed = code.pack().astype(np.float32, copy=False)
        return DecodedFaces(*self._decoder.run(None, {"code": packed}))

    def _encode_batch(self, crops_srgb: np.ndarray) -> np.ndarray:
        planes = np.ascontiguousarray(crops_srgb.transpose(0, 3, 1, 2), dtype=np.float32)
        if crops_srgb.dtype == np.uint8:
            planes /= 255.0
        (packed,) = self._encoder.run(None, {"crops": planes})
        return packed

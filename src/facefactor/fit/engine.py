# SPDX-License-Identifier: Apache-2.0
"""The engine `fit`, and refining: a face's code by searching for the face that renders as the photo (torch)."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from facefactor.code.face_code import FaceCode
from facefactor.face.model import FaceModel
from facefactor.fit.fit import REFINING, FaceFitter
from facefactor.fit.objective import FitSettings
from facefactor.infer.engine import Engine
from facefactor.photo.cropped_face import CroppedFace


class FitEngine:
    """Answers by a fit; the same photo gives the same code, whatever ran before and however many threads torch has.

    Args:
        model: the face model.
        settings: of the fit; the tuned ones by default.
    """

    name = "fit"
    weights_hash = None

    def __init__(self, model: FaceModel, settings: FitSettings | None = None) -> None:
        self.model, self._fitter = model, FaceFitter(model, settings)

    def describe(self, face: CroppedFace) -> FaceCode[np.ndarray]:
        """Fit one face: its code in the crop's camera."""
        with _one_thread():
            return self._fitter.fit(*_as_tensors(face)).to_numpy()


class RefiningEngine:
    """Searches on from another engine's answers, with its face model; the same photo gives the same code.

    Args:
        engine: to start from.
        settings: of the search; the tuned ones by default.
    """

    def __init__(self, engine: Engine, settings: FitSettings | None = None) -> None:
        self.model, self._engine = engine.model, engine
        self._fitter = FaceFitter(engine.model, settings or REFINING)
        self.name, self.weights_hash = f"{engine.name}, refined", engine.weights_hash

    def describe(self, face: CroppedFace) -> FaceCode[np.ndarray]:
        """Refine the other engine's code of one face."""
        start = self._engine.describe(face).to_torch()
        with _one_thread():
            return self._fitter.refine(start, *_as_tensors(face)).to_numpy()


def _as_tensors(face: CroppedFace) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Crop, landmarks, their visibility, and coverage."""
    return (
        torch.from_numpy(face.srgb),
        torch.from_numpy(face.landmarks_px).float(),
        torch.from_numpy(face.found.landmarks.visibility).float(),
        torch.from_numpy(face.coverage),
    )


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Hold torch to one thread: sums over several are not the same from run to run, and the work is too small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

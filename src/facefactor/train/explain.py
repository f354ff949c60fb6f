# SPDX-License-Identifier: Apache-2.0
"""Explain real photos by face codes: what the network answers, brought nearer to each photo by closed-form steps.

    photo crops ─encoder─► codes ─┬─ pose, shape, expression from the photo's landmarks (fit/batch_geometry.py)
                                  └─ light, reflectance from the photo's colours (fit/batch_colours.py) ─► explanation

The first step of a round of breeding (`breed.py`). The paper breeds from the network's answers as they are; a network
that has seen rendered faces only closes eyes and opens mouths too rarely, and its errors would be bred. Landmarks and
colours of the photo itself are at hand, so they are used, in thirty milliseconds a photo. Photos that are explained
badly even so (a wrong detection, a hand over the face) are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor, nn

from facefactor.code.face_code import FaceCode
from facefactor.data.batch import CropBatch
from facefactor.data.photographs import PhotoCorpus, exact_batch
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.evaluate.landmark_error import face_box_side_px, landmark_percent
from facefactor.export.atomic import write_bytes
from facefactor.face.model import FaceModel
from facefactor.fit.batch_colours import BatchColours, FaceViews
from facefactor.fit.batch_geometry import BatchGeometry
from facefactor.fit.expression_prior import expressions_of_random_faces
from facefactor.losses.landmark import CropLandmarks, landmark_weights

BATCH_SIZE = 32
OUTLIER = 2.5
"""A photo is left out whose landmark or colour error is more than this many times the median."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Photos of a corpus as face codes in the encoder crop's camera; numpy, float32, N photos."""

    numbers: np.ndarray
    """(N,) of the photos in the corpus."""
    answered: FaceCode[np.ndarray]
    """What the network said."""
    explained: FaceCode[np.ndarray]
    """The same after the steps on landmarks and colours."""
    landmark_percent: np.ndarray
    """(N,) error of the explanation, per cent of the side of the face."""
    photometric: np.ndarray
    """(N,) its mean colour distance over the visible skin, sRGB units of [0, 1]."""

    def __len__(self) -> int:
        return len(self.numbers)

    def is_good(self) -> np.ndarray:
        """(N,) which photos are explained about as well as the others."""
        errors = (self.landmark_percent, self.photometric)
        return np.all([error <= OUTLIER * np.median(error) for error in errors], axis=0)

    def take(self, chosen: np.ndarray) -> "Explanation":
        """Only these photos, by mask or place."""
        return Explanation(
            self.numbers[chosen],
            self.answered[chosen],
            self.explained[chosen],
            self.landmark_percent[chosen],
            self.photometric[chosen],
        )

    def write(self, path: Path) -> None:
        """Write a safetensors file.

        Raises:
            OutputUnwritable: it cannot be written.
        """
        arrays = {
            "numbers": self.numbers,
            "answered": self.answered.pack(),
            "explained": self.explained.pack(),
            "landmark_percent": self.landmark_percent,
            "photometric": self.photometric,
        }
        write_bytes(path, save(arrays))

    @classmethod
    def read(cls, path: Path) -> "Explanation":
        """Read what `write` wrote.

        Raises:
            AssetMissing: no such file.
            IncompatibleCode: it is something else.
        """
        try:
            arrays = load(path.read_bytes())
            return cls(
                arrays["numbers"],
                FaceCode.unpack(arrays["answered"]),
                FaceCode.unpack(arrays["explained"]),
                arrays["landmark_percent"],
                arrays["photometric"],
            )
        except FileNotFoundError:
            raise AssetMissing(f"{path}: no such file") from None
        except (SafetensorError, KeyError, ValueError) as error:
            raise IncompatibleCode(f"{path}: holds no explained photos: {error}") from None


class PhotoExplainer:
    """Explains photos with one face model.

    Args:
        model: the face model.
        polish: take the steps on landmarks and colours; without, the network's answers are the explanation.
    """

    def __init__(self, model: FaceModel, polish: bool = True) -> None:
        self._landmarks = CropLandmarks(model)
        self._geometry = BatchGeometry(
            self._landmarks.points,
            self._landmarks.K,
            2 * float(self._landmarks.K[0, 2]),
            expression=expressions_of_random_faces(),
        )
        self._colours = BatchColours(model, self._landmarks.K)
        self._weights, self._polish = landmark_weights(), polish

    @torch.no_grad()
    def explain(self, encoder: nn.Module, photos: PhotoCorpus, numbers: Sequence[int]) -> Iterator[Explanation]:
        """Explain photos of a corpus, some at a time.

        Args:
            encoder: in evaluation mode, on any device.
            photos: the corpus.
            numbers: of the photos in it.
        """
        device = next(encoder.parameters()).device
        for start in range(0, len(numbers), BATCH_SIZE):
            chosen = numbers[start : start + BATCH_SIZE]
            samples = [photos[number] for number in chosen]
            batch = exact_batch(samples)
            answered = encoder(batch.crops_srgb.to(device)).map(lambda part: part.cpu())
            explained, views = self._explain(answered, batch)
            yield Explanation(
                np.array(chosen, dtype=np.int64),
                answered.to_numpy(),
                explained.to_numpy(),
                landmark_percent(
                    self._landmarks.project(explained), batch.landmarks_px, face_box_side_px(samples)
                ).numpy(),
                self._colours.photometric_error(
                    views, self._colours.albedo(explained.reflectance), explained.illumination
                ).numpy(),
            )

    def _explain(self, code: FaceCode[Tensor], batch: CropBatch) -> tuple[FaceCode[Tensor], FaceViews]:
        """Bring codes nearer to the landmarks and colours of their photos, and see the photos' skin through them."""
        if not self._polish:
            return code, self._colours.look(code, batch.crops_srgb, batch.coverage)
        posed = self._geometry.fit(code, batch.landmarks_px, self._weights * batch.visibility)
        views = self._colours.look(posed, batch.crops_srgb, batch.coverage)
        reflectance, light = self._colours.explain(views)
        return posed.with_reflectance(reflectance).with_light(light), views


def join_explanations(parts: Sequence[Explanation]) -> Explanation:
    """Lay explanations end to end, at least one."""
    return Explanation(
        np.concatenate([part.numbers for part in parts]),
        FaceCode.unpack(np.concatenate([part.answered.pack() for part in parts])),
        FaceCode.unpack(np.concatenate([part.explained.pack() for part in parts])),
        np.concatenate([part.landmark_percent for part in parts]),
        np.concatenate([part.photometric for part in parts]),
    )

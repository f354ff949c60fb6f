# SPDX-License-Identifier: Apache-2.0
"""What a run keeps for validation, and what an encoder is measured by on photos."""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facefactor.code.face_code import FaceCode
from facefactor.data.photographs import PhotoCorpus, exact_batch
from facefactor.evaluate.encoders import answer_in_batches, look_in_batches
from facefactor.evaluate.landmark_error import face_box_side_px, landmark_percent
from facefactor.face.model import FaceModel
from facefactor.fit.batch_colours import BatchColours
from facefactor.losses.landmark import CropLandmarks


def split_numbers(count: int, num_held_out: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of the faces to learn from and of those to hold out: evenly spread, at most a quarter of all."""
    kept = min(num_held_out, max(1, count // 4))
    held_out = np.unique(np.linspace(0, count - 1, kept).round().astype(int))
    learnt = np.setdiff1d(np.arange(count), held_out)
    return tuple(learnt.tolist()), tuple(held_out.tolist())


class HeldOutPhotos:
    """Measures an encoder on photos that no training sees, by their landmarks and their colours.

    Args:
        photos: the corpus.
        numbers: of the photos in it.
        model: the face model.
    """

    def __init__(self, photos: PhotoCorpus, numbers: Sequence[int], model: FaceModel) -> None:
        samples = [photos[number] for number in numbers]
        self._batch, self._side_px = exact_batch(samples), face_box_side_px(samples)
        self._use(model)

    def with_model(self, model: FaceModel) -> "HeldOutPhotos":
        """The same photos, measured with another face model."""
        other = copy.copy(self)
        other._use(model)
        return other

    def _use(self, model: FaceModel) -> None:
        self._landmarks = CropLandmarks(model)
        self._colours = BatchColours(model, self._landmarks.K)

    @torch.no_grad()
    def __call__(self, encoder: nn.Module) -> Mapping[str, float]:
        """Measure the one-pass answers.

        Returns:
            Landmark error (% of the side of the face box): median, mean and what nine of ten are below, and the median
            mean colour distance over the visible skin, sRGB units of [0, 1].
        """
        answer = answer_in_batches(encoder, self._batch.crops_srgb)
        errors = landmark_percent(self._landmarks.project(answer), self._batch.landmarks_px, self._side_px)
        return {
            "photo_landmark_percent": float(errors.median()),
            "photo_landmark_percent_mean": float(errors.mean()),
            "photo_landmark_percent_90": float(errors.quantile(0.9)),
            "photo_landmark_percent_most": float(errors.max()),
            "photo_photometric": float(self._photometric(answer).median()),
        }

    def _photometric(self, answer: FaceCode[Tensor]) -> Tensor:
        """Mean colour distance of each face."""
        looks = look_in_batches(self._colours, answer, self._batch.crops_srgb, self._batch.coverage)
        errors = [
            self._colours.photometric_error(views, self._colours.albedo(some.full_reflectance), some.illumination)
            for some, views in looks
        ]
        return torch.cat(errors)

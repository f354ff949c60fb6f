# SPDX-License-Identifier: Apache-2.0
"""Batches of real faces, out of a corpus that `facefactor prepare` made (torch).

    step, rank ─► numbers of the samples ─read─► stored crops ─cut (jitter)─► CropBatch

Which samples a step sees is said in `epochs.py`; the jitter of a sample is drawn from (seed, epoch, place in it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facefactor.data.batch import CropBatch
from facefactor.data.crops import JitterLimits, cut_crop, cut_landmarks, draw_crop, exact_crop
from facefactor.data.epochs import EpochOrder, StepBatches
from facefactor.data.photo_sample import PhotoSample, decode_photo_sample, landmarks_of, photo_name_of
from facefactor.data.shards import PHOTOGRAPHS, JoinedCorpora
from facefactor.encode import ENCODER_CROP_PX
from facefactor.photo.crop import covered_pixels

DEFAULT_LIMITS = JitterLimits()


class PhotoCorpus:
    """The photo samples of one corpus or of several laid end to end, by number.

    Args:
        folders: of the corpora, at least one.

    Raises:
        AssetMissing: one of them is no corpus, is damaged, or is empty.
        IncompatibleCode: one is of another version, or holds no photos.
    """

    def __init__(self, *folders: Path) -> None:
        self._samples = JoinedCorpora(folders, PHOTOGRAPHS)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> PhotoSample:
        """Read one sample, 0 to len - 1."""
        return decode_photo_sample(self._samples[index])

    def landmarks_px(self, index: int) -> NDArray[np.float32]:
        """Read one sample's landmarks alone, (478, 2) pixels of its stored crop: half the work."""
        return landmarks_of(self._samples[index])

    def name(self, index: int) -> str:
        """Read the path of one sample's photo, from the folder that was prepared."""
        return photo_name_of(self._samples[index])

    def digest(self) -> str:
        """See `JoinedCorpora.digest`."""
        return self._samples.digest()

    def read_jittered(
        self, numbers: Sequence[int], seeds: Sequence[tuple[int, ...]], limits: JitterLimits
    ) -> CropBatch:
        """Read samples in crops of their own.

        Args:
            numbers: of the samples.
            seeds: of the jitter of each.
            limits: of the jitter.
        """
        crops = [draw_crop(np.random.default_rng(seed), limits) for seed in seeds]
        return _cut_batch([self[number] for number in numbers], crops)


@dataclass(frozen=True)
class PhotoBatches(StepBatches):
    """The endless stream of training batches of one process.

    Args:
        corpus: where the samples are.
        batch_size: samples per step and process.
        seed: of the order and the jitter, at least 0.
        rank: this process among those of the run.
        world_size: how many processes the run has.
        numbers: of the samples that are drawn, one that is there twice twice as often; all by default.
        limits: of the jitter.

    Raises:
        ValueError: a size is below one, or the rank is none of the run's.
    """

    corpus: PhotoCorpus
    batch_size: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    numbers: tuple[int, ...] | None = None
    limits: JitterLimits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        _ = self.order  # refuses sizes that make no sense

    @property
    def order(self) -> EpochOrder:
        """Which samples each step sees."""
        count = len(self.corpus) if self.numbers is None else len(self.numbers)
        return EpochOrder(count, self.batch_size, self.seed, self.rank, self.world_size)

    def __getitem__(self, step: int) -> CropBatch:
        """Make the batch of a step, 0 and up."""
        draws = self.order.draws(step)
        numbers = [place if self.numbers is None else self.numbers[place] for _, place in draws]
        return self.corpus.read_jittered(numbers, [(self.seed, *draw) for draw in draws], self.limits)


def exact_batch(samples: Sequence[PhotoSample]) -> CropBatch:
    """Show samples as the encoder would see them at run time, without jitter."""
    return _cut_batch(samples, [exact_crop()] * len(samples))


def _cut_batch(samples: Sequence[PhotoSample], crops: Sequence[NDArray[np.float64]]) -> CropBatch:
    """Cut each sample by its T_stored_crop."""
    pictures = [cut_crop(sample.crop_srgb, crop) for sample, crop in zip(samples, crops, strict=True)]
    marks = [
        cut_landmarks(sample.landmarks_px, sample.visibility, crop) for sample, crop in zip(samples, crops, strict=True)
    ]
    covered = [
        covered_pixels(sample.photo_size_px, sample.T_photo_crop @ crop, ENCODER_CROP_PX)
        for sample, crop in zip(samples, crops, strict=True)
    ]
    return CropBatch(
        crops_srgb=torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255.0,
        landmarks_px=torch.from_numpy(np.stack([points for points, _ in marks])).float(),
        visibility=torch.from_numpy(np.stack([visibility for _, visibility in marks])).float(),
        coverage=torch.from_numpy(np.stack(covered)),
    )

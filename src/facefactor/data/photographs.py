# SPDX-License-Identifier: Apache-2.0
"""Batches of real faces, out of a corpus that `facefactor prepare` made (torch).

    step, rank ─► numbers of the samples ─read─► stored crops ─cut (jitter)─► CropBatch

A batch is a function of the seed, the step and the rank alone: a resumed run sees the batches that an unbroken one
would, whatever the number of loader processes, and the devices of a run share each epoch without overlap. Position p of
the endless stream is sample permutation_e(p mod n) of epoch e = p div n; its jitter is drawn from (seed, e, sample).
"""

import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from facefactor.data.batch import CropBatch
from facefactor.data.crops import JitterLimits, cut_crop, cut_landmarks, draw_crop, exact_crop
from facefactor.data.photo_sample import PhotoSample, decode_photo_sample
from facefactor.data.shards import PHOTOGRAPHS, Corpus
from facefactor.errors import AssetMissing, IncompatibleCode

DEFAULT_LIMITS = JitterLimits()


class PhotoCorpus:
    """The photo samples of a corpus, by number.

    Args:
        folder: of the corpus.

    Raises:
        AssetMissing: there is no corpus, it is damaged, or it is empty.
        IncompatibleCode: it is of another version, or holds no photos.
    """

    def __init__(self, folder: Path) -> None:
        self._corpus = Corpus(folder)
        if self._corpus.record.kind != PHOTOGRAPHS:
            raise IncompatibleCode(f"{folder}: is a corpus of {self._corpus.record.kind}, expected {PHOTOGRAPHS}")
        if not len(self._corpus):
            raise AssetMissing(f"{folder}: the corpus holds no samples")

    def __len__(self) -> int:
        return len(self._corpus)

    def __getitem__(self, index: int) -> PhotoSample:
        """Read one sample, 0 to len - 1."""
        return decode_photo_sample(self._corpus[index])

    def read_exact(self, indices: Sequence[int]) -> CropBatch:
        """Read samples as the encoder would see them at run time, without jitter: for validation."""
        return _cut_batch([self[index] for index in indices], [exact_crop()] * len(indices))

    def read_jittered(self, draws: Sequence[tuple[int, int]], seed: int, limits: JitterLimits) -> CropBatch:
        """Read samples in crops of their own.

        Args:
            draws: epoch and sample number of each.
            seed: of the jitter.
            limits: of the jitter.
        """
        crops = [draw_crop(np.random.default_rng((seed, epoch, index)), limits) for epoch, index in draws]
        return _cut_batch([self[index] for _, index in draws], crops)


@dataclass(frozen=True)
class PhotoBatches(Dataset[CropBatch]):
    """The endless stream of training batches of one process: `batches[step]`.

    Args:
        corpus: where the samples are.
        batch_size: samples per step and process.
        seed: of the order and the jitter, at least 0.
        limits: of the jitter.
        rank: this process among those of the run.
        world_size: how many processes the run has.

    Raises:
        ValueError: a size is below one, or the rank is none of the run's.
    """

    corpus: PhotoCorpus
    batch_size: int
    seed: int = 0
    limits: JitterLimits = DEFAULT_LIMITS
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.seed < 0 or not 0 <= self.rank < self.world_size:
            raise ValueError(
                "batch_size must be at least 1, seed at least 0 and rank below world_size, got "
                f"{self.batch_size}, {self.seed}, {self.rank} of {self.world_size}"
            )

    def __getitem__(self, step: int) -> CropBatch:
        """Make the batch of a step, 0 and up."""
        first = (step * self.world_size + self.rank) * self.batch_size
        positions = range(first, first + self.batch_size)
        return self.corpus.read_jittered([self._draw(position) for position in positions], self.seed, self.limits)

    def from_step(self, first: int, num_workers: int = 0) -> Iterator[CropBatch]:
        """Yield the batches of step `first` and all after it.

        Args:
            first: step, 0 and up.
            num_workers: processes that make batches ahead; 0 makes them when they are asked for.
        """
        context = "spawn" if num_workers else None
        steps = range(first, sys.maxsize)
        loader = DataLoader(
            self, batch_size=None, sampler=steps, num_workers=num_workers, multiprocessing_context=context
        )
        return iter(loader)

    def _draw(self, position: int) -> tuple[int, int]:
        """Epoch and sample number at a position of the endless stream."""
        epoch, place = divmod(position, len(self.corpus))
        return epoch, int(_permutation(self.seed, epoch, len(self.corpus))[place])


@functools.lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.intp]:
    """The order of an epoch; a batch may reach into the next."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def _cut_batch(samples: Sequence[PhotoSample], crops: Sequence[NDArray[np.float64]]) -> CropBatch:
    """Cut each sample by its T_stored_crop."""
    pictures = [cut_crop(sample.crop_srgb, crop) for sample, crop in zip(samples, crops, strict=True)]
    marks = [
        cut_landmarks(sample.landmarks_px, sample.visibility, crop) for sample, crop in zip(samples, crops, strict=True)
    ]
    return CropBatch(
        crops_srgb=torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255.0,
        landmarks_px=torch.from_numpy(np.stack([points for points, _ in marks])).float(),
        visibility=torch.from_numpy(np.stack([visibility for _, visibility in marks])).float(),
    )

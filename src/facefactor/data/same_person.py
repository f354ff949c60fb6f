# SPDX-License-Identifier: Apache-2.0
"""Pairs of photos of one person, such as frames of a video, out of corpora whose photos are named PERSON_… (torch)."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np

from facefactor.data.batch import CropBatch
from facefactor.data.crops import JitterLimits
from facefactor.data.epochs import EpochOrder, StepBatches
from facefactor.data.photo_names import PERSON_NAME
from facefactor.data.photographs import DEFAULT_LIMITS, PhotoCorpus
from facefactor.errors import AssetMissing


def persons_of(photos: PhotoCorpus) -> dict[str, tuple[int, ...]]:
    """The numbers of each person's photos, persons with two or more; reads all records.

    Raises:
        AssetMissing: there is no such person.
    """
    numbers: dict[str, list[int]] = {}
    for number in range(len(photos)):
        if found := PERSON_NAME.match(PurePosixPath(photos.name(number)).name):
            numbers.setdefault(found["person"], []).append(number)
    persons = {person: tuple(found) for person, found in numbers.items() if len(found) > 1}
    if not persons:
        raise AssetMissing("no two photos are named as of one person, PERSON_….jpg")
    return persons


@dataclass(frozen=True)
class PairBatches(StepBatches[CropBatch]):
    """The endless stream of pairs of one process: photos 2 k and 2 k + 1 of a batch show one person.

    Args:
        corpus: where the photos are.
        persons: see `persons_of`.
        num_pairs: of a step and process, each of another person as far as there are so many.
        seed: of order, choice and jitter, at least 0.
        rank: this process among those of the run.
        world_size: how many processes the run has.
        limits: of the jitter; nothing is mirrored, since a mirrored face is another person's.

    Raises:
        ValueError: a size is below one, or the rank is none of the run's.
    """

    corpus: PhotoCorpus
    persons: dict[str, tuple[int, ...]]
    num_pairs: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    limits: JitterLimits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        _ = self._order  # refuses sizes that make no sense

    def __getitem__(self, step: int) -> CropBatch:
        """Make the batch of a step, 0 and up."""
        names, numbers, seeds = sorted(self.persons), [], []
        for draw in self._order.draws(step):
            seed = self.seed, *draw
            pair = np.random.default_rng(seed).choice(self.persons[names[draw[1]]], size=2, replace=False)
            numbers += pair.tolist()
            seeds += [(*seed, 0), (*seed, 1)]
        return self.corpus.read_jittered(numbers, seeds, replace(self.limits, mirror_probability=0.0))

    @cached_property
    def _order(self) -> EpochOrder:
        return EpochOrder(len(self.persons), self.num_pairs, self.seed, self.rank, self.world_size)

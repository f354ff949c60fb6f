# SPDX-License-Identifier: Apache-2.0
"""Which samples each training step sees: endless epochs in random order, shared by the processes of a run (torch).

    step, rank ─► positions of the endless stream ─► (epoch, sample number) each ─► a batch that its corpus reads

A batch is a function of the seed, the step and the rank alone: a resumed run sees the batches that an unbroken one
would, whatever the number of loader processes, and the devices of a run share each epoch without overlap. Position p of
the endless stream is sample permutation_e(p mod n) of epoch e = p div n.
"""

import functools
import multiprocessing
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

BatchT = TypeVar("BatchT")


@dataclass(frozen=True)
class EpochOrder:
    """The order in which one process sees the samples of a corpus.

    Args:
        count: samples of the corpus.
        batch_size: samples per step and process.
        seed: of the order, at least 0.
        rank: this process among those of the run.
        world_size: how many processes the run has.

    Raises:
        ValueError: a size is below one, or the rank is none of the run's.
    """

    count: int
    batch_size: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        sizes_fit = min(self.count, self.batch_size) >= 1 and self.seed >= 0
        if not (sizes_fit and 0 <= self.rank < self.world_size):
            raise ValueError(
                "count and batch_size must be at least 1, seed at least 0 and rank below world_size, got "
                f"{self.count}, {self.batch_size}, {self.seed}, {self.rank} of {self.world_size}"
            )

    def draws(self, step: int) -> list[tuple[int, int]]:
        """Epoch and number of each sample of a step, 0 and up."""
        first = (step * self.world_size + self.rank) * self.batch_size
        return [self.draw(position) for position in range(first, first + self.batch_size)]

    def draw(self, position: int) -> tuple[int, int]:
        """Epoch and sample number at a position of the endless stream."""
        epoch, place = divmod(position, self.count)
        return epoch, int(_permutation(self.seed, epoch, self.count)[place])


class StepBatches(Dataset[BatchT]):
    """The endless stream of training batches of one process: `batches[step]`, always the same for the same step."""

    def __getitem__(self, step: int) -> BatchT:
        """Make the batch of a step, 0 and up."""
        raise NotImplementedError

    def from_step(self, first: int, num_workers: int = 0) -> Iterator[BatchT]:
        """Yield the batches of step `first` and all after it.

        Args:
            first: step, 0 and up.
            num_workers: processes that make batches ahead; 0 makes them when they are asked for.
        """
        context = fresh_processes() if num_workers else None
        steps = range(first, sys.maxsize)
        loader = DataLoader(
            self, batch_size=None, sampler=steps, num_workers=num_workers, multiprocessing_context=context
        )
        return iter(loader)


def fresh_processes() -> str:
    """How processes are started that share no thread with this one.

    A spawned process that is stopped while it hands a batch over may abort in the interpreter's clean-up, with a line
    on stderr that nobody can use; what a fork server started leaves without that clean-up. Windows only spawns.
    """
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


@functools.lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.intp]:
    """The order of an epoch; a batch may reach into the next."""
    return np.random.default_rng((seed, epoch)).permutation(count)

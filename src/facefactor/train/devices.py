# SPDX-License-Identifier: Apache-2.0
"""The devices of a training run: one, or several that torchrun launched with the same command.

    facefactor train …                                            one device
    torchrun --nproc-per-node 4 -m facefactor.apps.cli train …    four

Each device runs its own process with its own share of the batches; gradients are averaged over all of them.
"""

import contextlib
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Devices:
    """This process among those of the run."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where this process computes."""
    rank: int = 0
    """Its number; 0 writes the run's files."""
    count: int = 1
    """How many there are."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def replicate(self, model: nn.Module) -> nn.Module:
        """Let the model's gradients be averaged over the processes; on one device it is the model itself."""
        return DistributedDataParallel(model) if self.count > 1 else model

    def average(self, numbers: Tensor) -> Tensor:
        """Mean of each process' numbers."""
        if self.count > 1:
            torch.distributed.all_reduce(numbers)
        return numbers / self.count

    def wait(self) -> None:
        """Let every process come here before any goes on."""
        if self.count > 1:
            torch.distributed.barrier()


@contextlib.contextmanager
def launched_devices() -> Iterator[Devices]:
    """Join the processes that torchrun launched; without torchrun, one GPU if there is one, else the CPU."""
    has_gpu = torch.cuda.is_available()
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if has_gpu else torch.device("cpu")
    if count == 1:
        yield Devices(device)
        return
    torch.distributed.init_process_group("nccl" if has_gpu else "gloo")
    try:
        yield Devices(device, rank, count)
    finally:
        gc.collect()  # replicas are freed in cycles; one that outlives the group can abort the process as it ends
        torch.distributed.destroy_process_group()

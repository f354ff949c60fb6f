# SPDX-License-Identifier: Apache-2.0
"""A training problem small enough to watch: points on a curve, a network of two layers with normalisation.

And the rendered photos once more as a corpus of faces.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facefactor.data.shards import SYNTHETIC, CorpusRecord, write_corpus_record, write_shard
from facefactor.data.synthetic_corpus import SyntheticCorpus
from facefactor.data.synthetic_sample import encode_synthetic_sample
from facefactor.train.loop import LoopSettings, train

SETTINGS = LoopSettings(
    num_steps=24, learning_rate=0.02, warmup_steps=4, log_interval=2, checkpoint_interval=4, validation_interval=8
)


def make_model() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(1, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))


def batches(first_step: int) -> Iterator[Tensor]:
    step = first_step
    while True:
        yield torch.rand(32, 1, generator=torch.Generator().manual_seed(step))
        step += 1


def objective(model: nn.Module, points: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
    error = model(points) - torch.sin(3.0 * points)
    return error.square().mean(), {"error_mm": error.abs().mean()}


class Problem:
    """Trains into a folder; each call is a new process' worth of objects."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    make_model = staticmethod(make_model)
    batches = staticmethod(batches)

    def train(self, kill_at: int | None = None, resume: bool = False, **changes) -> nn.Module:
        """Train; changes replace arguments of `train` or fields of its settings."""

        def killed_objective(model: nn.Module, points: Tensor, step: int):
            if step == kill_at:
                raise KeyboardInterrupt
            return objective(model, points, step)

        arguments = {
            "batches": batches,
            "objective": killed_objective,
            "config": {"regime": "test"},
            "data_hash": "0",
            "validate": validate,
        }
        arguments |= {name: changes.pop(name) for name in arguments if name in changes}
        settings = dataclasses.replace(SETTINGS, **changes)
        return train(make_model(), settings=settings, folder=self.folder, resume=resume, **arguments)


def validate(model: nn.Module) -> dict[str, float]:
    points = torch.linspace(0, 1, 50)[:, None]
    return {"error_mm": (model(points) - torch.sin(3.0 * points)).abs().mean().item()}


@pytest.fixture
def problem(tmp_path: Path) -> Problem:
    return Problem(tmp_path / "run")


@pytest.fixture(scope="session")
def faces(rendered_photos, tmp_path_factory) -> SyntheticCorpus:
    """The same faces as the photos', with their codes."""
    folder = tmp_path_factory.mktemp("faces")
    samples = [encode_synthetic_sample(face, f"{number:08d}") for number, face in enumerate(rendered_photos[1])]
    write_corpus_record(folder, CorpusRecord(SYNTHETIC, (write_shard(folder / "a.tar", samples),)))
    return SyntheticCorpus(folder)

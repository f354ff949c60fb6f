# SPDX-License-Identifier: Apache-2.0
"""The training loop that all regimes share: they differ in their batches and their objective.

One step: batch → objective → gradient → clip → AdamW → moving average. The learning rate rises linearly over the
warm-up and falls along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983) to a small share of its peak.

A run can be killed at any moment and resumed: on one device of the same kind it continues its loss curve exactly.
Nothing random outlives a step: torch's generator is seeded anew from (seed, rank, step), and batches are asked for by
the step they start at.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facefactor.errors import OutputUnwritable
from facefactor.train.averaging import AveragedModel
from facefactor.train.checkpoint import (
    CHECKPOINTS,
    Progress,
    list_checkpoints,
    load_checkpoint,
    remove_old_checkpoints,
    save_checkpoint,
    save_weights,
)
from facefactor.train.devices import Devices
from facefactor.train.log import TrainingLog
from facefactor.train.run_record import require_same_run, write_run_record

Batches = Callable[[int], Iterable[Any]]
"""Gives this process' batches from a step on (the first step is 0), always the same ones for the same step."""
Objective = Callable[[nn.Module, Any, int], tuple[Tensor, Mapping[str, float | Tensor]]]
"""Model, batch and step to the loss, and numbers to log with their units in their names, the same ones each step."""
Validation = Callable[[nn.Module], Mapping[str, float]]
"""Model with averaged weights, in evaluation mode, to numbers; the first one is what the best weights have least of."""


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to train, and what to keep."""

    num_steps: int
    """Optimiser steps of the whole run."""
    learning_rate: float = 1e-3
    """At its peak."""
    warmup_steps: int = 300
    """Steps over which the learning rate rises."""
    final_rate_share: float = 0.01
    """Last learning rate over its peak."""
    weight_decay: float = 0.02
    """AdamW's, on matrices and kernels; not on biases and normalisations."""
    gradient_limit: float = 5.0
    """Norm to which longer gradients are cut."""
    average_decay: float = 0.999
    """Of the weights' moving average, per step."""
    log_interval: int = 50
    """Steps over which logged numbers are averaged."""
    validation_interval: int = 1000
    """Steps between validations, a multiple of log_interval; the last step has one as well."""
    checkpoint_interval: int = 500
    """Steps between checkpoints, a multiple of log_interval."""
    kept_checkpoints: int = 2
    """Latest checkpoints that stay on the disk."""
    seed: int = 0
    """Of what is random in the objective and the model."""

    def __post_init__(self) -> None:
        for name in ("num_steps", "log_interval", "validation_interval", "checkpoint_interval", "kept_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("validation_interval", "checkpoint_interval"):
            if getattr(self, name) % self.log_interval:
                got = f"{getattr(self, name)} and {self.log_interval}"
                raise ValueError(f"{name} must be a multiple of log_interval, got {got}")


def train(
    model: nn.Module,
    batches: Batches,
    objective: Objective,
    settings: LoopSettings,
    folder: Path,
    *,
    config: Mapping[str, Any],
    data_hash: str,
    rates: Mapping[str, float] | None = None,
    validate: Validation | None = None,
    devices: Devices | None = None,
    resume: bool = False,
) -> nn.Module:
    """Train a model and write its weights, log and checkpoints into the run's folder.

    Args:
        model: changed in place.
        batches: of this process; the objective moves them to the model's device.
        objective: what to minimise; it calls the model it is given, which may be a replica over several devices.
        settings: of the loop.
        folder: of the run; made if needed.
        config: of the regime, JSON-able; kept in `run.json` with the loop's settings.
        data_hash: of what the run learns from; kept as well.
        rates: learning rates relative to the settings', of the parameters whose names begin so; 1 for all others.
        validate: called on the first process only.
        devices: of `launched_devices`; None for the CPU.
        resume: go on from the folder's last checkpoint, or start if there is none yet.

    Returns:
        The model with the averaged weights, as written to `weights.safetensors`.

    Raises:
        OutputUnwritable: the folder holds a run and none is to be resumed, or it cannot be written to.
        FaceError: the run to resume had other settings or data.
        ValueError: the batches end early.
        FloatingPointError: the loss is no longer a finite number.
    """
    devices = devices or Devices()
    torch.set_flush_denormal(True)  # Adam squares small gradients into denormals, with which a CPU is ten times slower
    config = {**config, **dataclasses.asdict(settings)}
    _require_right_folder(folder, config, data_hash, resume)
    run = _Run(model, objective, settings, folder, rates or {}, validate, devices)
    if devices.is_first:
        write_run_record(folder, config, data_hash, devices.count)
    try:
        run.train(batches)
    finally:
        run.close()
    return run.averaged.model


def learning_rate_at(step: int, settings: LoopSettings) -> float:
    """The learning rate of a step, counted from 0."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, settings.num_steps - settings.warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return settings.learning_rate * (settings.final_rate_share + (1.0 - settings.final_rate_share) * cosine)


class _Run:
    """The parts of a run and what one step does to them."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        settings: LoopSettings,
        folder: Path,
        rates: Mapping[str, float],
        validate: Validation | None,
        devices: Devices,
    ) -> None:
        self.objective, self.settings, self.folder = objective, settings, folder
        self.validate, self.devices = validate, devices
        self.model = model.to(devices.device)
        self.averaged = AveragedModel(self.model, settings.average_decay)
        self.optimiser = torch.optim.AdamW(_parameter_groups(self.model, settings.weight_decay, rates))
        checkpoints = list_checkpoints(self.checkpoints)
        parts = self.model, self.averaged, self.optimiser
        self.progress = load_checkpoint(checkpoints[-1], *parts) if checkpoints else Progress()
        devices.wait()  # or the first might write a checkpoint before the others have looked
        self.replica = devices.replicate(self.model)
        self.log = TrainingLog(folder, self.progress.step) if devices.is_first else None
        self.means = _RunningMeans()

    @property
    def checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS

    def train(self, batches: Batches) -> None:
        """Do the steps that are left, and what is due after each."""
        settings, first = self.settings, self.progress.step
        remaining = iter(batches(first))
        for step in range(first, settings.num_steps):
            self._step(_next_batch(remaining, step, settings.num_steps), step)
            done = step + 1
            self.progress = dataclasses.replace(self.progress, step=done)
            is_last = done == settings.num_steps
            if is_last or done % settings.log_interval == 0:
                self._write_numbers()
            if is_last or done % settings.validation_interval == 0:
                self._validate()
            if is_last or done % settings.checkpoint_interval == 0:
                self._save_checkpoint()
        if self.devices.is_first:
            self._save_weights("weights.safetensors")
        self.devices.wait()

    def close(self) -> None:
        if self.log is not None:
            self.log.close()

    def _step(self, batch: Any, step: int) -> None:
        _seed(self.settings.seed, self.devices.rank, step)
        self.replica.train()
        loss, numbers = self.objective(self.replica, batch, step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        gradient_norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_limit)
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * learning_rate_at(step, self.settings)
        self.optimiser.step()
        self.averaged.update(self.model, step)
        self.means.add({"loss": loss, **numbers, "gradient_norm": gradient_norm})

    def _write_numbers(self) -> None:
        """Log the means since the last time, over all processes.

        Raises:
            FloatingPointError: the loss is not finite, so nothing of this run is worth a checkpoint.
        """
        step, seconds = self.progress.step, self.means.seconds_per_step()
        numbers = self.means.take(self.devices)
        if not math.isfinite(numbers["loss"]):
            raise FloatingPointError(f"the loss became {numbers['loss']} by step {step}; try a lower learning rate")
        if self.log is not None:
            rate = learning_rate_at(step - 1, self.settings)
            self.log.write(step, "train", {**numbers, "learning_rate": rate, "seconds_per_step": seconds})

    def _validate(self) -> None:
        if self.validate is None or self.log is None:
            return
        with torch.no_grad():
            numbers = dict(self.validate(self.averaged.model))
        self.log.write(self.progress.step, "validation", numbers)
        value = next(iter(numbers.values()))
        if self.progress.best is None or value < self.progress.best:
            self.progress = dataclasses.replace(self.progress, best=value)
            self._save_weights("best.safetensors")

    def _save_checkpoint(self) -> None:
        if self.devices.is_first:
            save_checkpoint(self.checkpoints, self.model, self.averaged, self.optimiser, self.progress)
            remove_old_checkpoints(self.checkpoints, self.settings.kept_checkpoints)

    def _save_weights(self, name: str) -> None:
        save_weights(self.averaged.model, self.folder / name, {"step": str(self.progress.step)})


class _RunningMeans:
    """Means of named numbers over some steps; nothing waits for the device before they are taken."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps, self._started = 0, time.perf_counter()

    def add(self, numbers: Mapping[str, float | Tensor]) -> None:
        for name, number in numbers.items():
            value = torch.as_tensor(number).detach().double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._steps += 1

    def seconds_per_step(self) -> float:
        return (time.perf_counter() - self._started) / self._steps

    def take(self, devices: Devices) -> dict[str, float]:
        """The means over all processes; then start anew."""
        stacked = torch.stack([value.to(devices.device) for value in self._sums.values()]) / self._steps
        names, means = list(self._sums), devices.average(stacked).tolist()
        self._sums, self._steps, self._started = {}, 0, time.perf_counter()
        return dict(zip(names, means, strict=True))


def _require_right_folder(folder: Path, config: Mapping[str, Any], data_hash: str, resume: bool) -> None:
    if resume:
        require_same_run(folder, config, data_hash)
    elif list_checkpoints(folder / CHECKPOINTS):
        raise OutputUnwritable(f"{folder}: holds a run already; resume it, or choose another folder")


def _parameter_groups(model: nn.Module, weight_decay: float, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Those that share a relative learning rate; matrices and kernels decay towards zero, and nothing else does."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = next((rate for start, rate in rates.items() if name.startswith(start)), 1.0)
            groups.setdefault((rate, weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [{"params": found, "rate": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]


def _next_batch(remaining: Any, step: int, num_steps: int) -> Any:
    try:
        return next(remaining)
    except StopIteration:
        raise ValueError(f"the batches ended after {step} of {num_steps} steps") from None


def _seed(seed: int, rank: int, step: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence((seed, rank, step)).generate_state(1)[0]))

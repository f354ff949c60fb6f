# SPDX-License-Identifier: Apache-2.0
"""Weights and checkpoints as safetensors files: never pickle, never half a file.

    RUN/weights.safetensors                        averaged weights at the end of the run
    RUN/best.safetensors                           averaged weights of the best validation
    RUN/checkpoints/step-00001000.safetensors      all that a resumed run needs

A checkpoint holds the tensors `model.NAME`, `averaged.NAME` and `optimiser.NAME.KEY` for each parameter's KEYs of
optimiser state, and the progress as JSON in its metadata.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from facefactor.errors import IncompatibleCode
from facefactor.export.atomic import write_bytes
from facefactor.tensor_file import read_tensor_file
from facefactor.train.averaging import AveragedModel

CHECKPOINT_FORMAT = "facefactor.checkpoint/1"
CHECKPOINTS = "checkpoints"
"""The folder of a run's checkpoints."""
WEIGHTS_FORMAT = "facefactor.weights/1"


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    step: int = 0
    """Optimiser steps done."""
    best: float | None = None
    """The best validation number so far; lower is better."""


def save_weights(model: nn.Module, path: Path, facts: Mapping[str, str]) -> None:
    """Write a model's weights.

    Args:
        model: its state, buffers included.
        path: file to write.
        facts: kept as the file's metadata, such as the step and the face model's hash.
    """
    _write(path, _prefixed("", model.state_dict()), {**facts, "format": WEIGHTS_FORMAT})


def load_weights(model: nn.Module, path: Path) -> dict[str, str]:
    """Read weights into a model of the same architecture, and return the facts saved with them.

    Raises:
        AssetMissing: no such file.
        IncompatibleCode: not weights, or those of another architecture.
    """
    tensors, metadata = read_tensor_file(path, WEIGHTS_FORMAT, "pt")
    _copy_into(model, tensors, path)
    return {name: value for name, value in metadata.items() if name != "format"}


def read_weight_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the size of each tensor of saved weights.

    Raises:
        AssetMissing, IncompatibleCode: see `load_weights`.
    """
    return {name: tuple(tensor.shape) for name, tensor in read_tensor_file(path, WEIGHTS_FORMAT, "pt")[0].items()}


def save_checkpoint(
    folder: Path, model: nn.Module, averaged: AveragedModel, optimiser: torch.optim.Optimizer, progress: Progress
) -> Path:
    """Write all that a resumed run needs, and return the file's path."""
    tensors = _prefixed("model.", model.state_dict()) | _prefixed("averaged.", averaged.model.state_dict())
    for name, parameter in model.named_parameters():
        tensors |= _prefixed(f"optimiser.{name}.", optimiser.state[parameter])
    path = folder / f"step-{progress.step:08d}.safetensors"
    _write(path, tensors, {"format": CHECKPOINT_FORMAT, "progress": json.dumps(dataclasses.asdict(progress))})
    return path


def load_checkpoint(
    path: Path, model: nn.Module, averaged: AveragedModel, optimiser: torch.optim.Optimizer
) -> Progress:
    """Read a checkpoint into the parts of a run.

    Raises:
        AssetMissing: no such file.
        IncompatibleCode: not a checkpoint, or one of another model.
    """
    tensors, metadata = read_tensor_file(path, CHECKPOINT_FORMAT, "pt")
    _copy_into(model, _with_prefix("model.", tensors), path)
    _copy_into(averaged.model, _with_prefix("averaged.", tensors), path)
    for name, parameter in model.named_parameters():
        state = _with_prefix(f"optimiser.{name}.", tensors)
        # torch keeps the count of steps on the CPU, whatever device the parameter is on.
        optimiser.state[parameter] = {key: v if key == "step" else v.to(parameter.device) for key, v in state.items()}
    return Progress(**json.loads(metadata["progress"]))


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))


def remove_old_checkpoints(folder: Path, keep: int) -> None:
    """Delete all but the last few checkpoints."""
    for path in list_checkpoints(folder)[:-keep]:
        path.unlink(missing_ok=True)


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    write_bytes(path, save(tensors, metadata=metadata))


def _copy_into(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy values, so that each parameter keeps its memory format, precision and device."""
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise IncompatibleCode(f"{path}: holds the weights of another network: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return lines[1] if len(lines) > 1 else lines[0]


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

# SPDX-License-Identifier: Apache-2.0
"""The numbers of a training run, as one line of JSON each and, where it is installed, for TensorBoard.

    {"step": 50, "part": "train", "loss": 0.71, "rotation_deg": 9.3, "learning_rate": 0.0004}

A resumed run drops the lines that came after the checkpoint it starts from, so each step stands in the file once.
"""

import importlib
import importlib.util
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facefactor.export.atomic import write_bytes

_logger = logging.getLogger(__name__)


class TrainingLog:
    """Writes the numbers of a run.

    Args:
        folder: of the run; `log.jsonl` and TensorBoard's event files are put there.
        first_step: later steps of an earlier try are dropped.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self.path = folder / "log.jsonl"
        earlier = read_log(self.path) if self.path.is_file() else []
        kept = [json.dumps(entry) + "\n" for entry in earlier if entry["step"] <= first_step]
        write_bytes(self.path, "".join(kept).encode())
        self._board = _open_tensorboard(folder, first_step)

    def write(self, step: int, part: str, numbers: Mapping[str, float]) -> None:
        """Add one line.

        Args:
            step: optimiser steps done.
            part: "train" or "validation".
            numbers: by name, with the unit in the name.
        """
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "part": part, **numbers}) + "\n")
        _logger.info("step %d, %s: %s", step, part, ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()))
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(f"{part}/{name}", value, step)

    def close(self) -> None:
        """Write what TensorBoard still holds back."""
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a log's lines; a last line cut off by a kill is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def _open_tensorboard(folder: Path, first_step: int) -> Any:
    """TensorBoard's writer, of whichever package is installed; None, with a word about it, where neither is."""
    for module, needed in (("torch.utils.tensorboard", "tensorboard"), ("tensorboardX", "tensorboardX")):
        if importlib.util.find_spec(needed) is not None:
            return importlib.import_module(module).SummaryWriter(str(folder), purge_step=first_step + 1)
    _logger.warning("neither tensorboard nor tensorboardX is installed: numbers go to %s only", folder / "log.jsonl")
    return None

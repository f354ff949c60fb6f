# SPDX-License-Identifier: Apache-2.0
import importlib.util
import json
import sys
from types import ModuleType

import pytest

from facefactor.train.log import TrainingLog, read_log


@pytest.fixture
def no_tensorboard(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if "tensorboard" in name else find_spec(name, *rest)
    )


class Board(ModuleType):
    """Stands for tensorboardX."""

    def __init__(self) -> None:
        super().__init__("tensorboardX")
        self.scalars: list[tuple[str, float, int]] = []
        self.SummaryWriter = self.open

    def open(self, folder: str, purge_step: int) -> "Board":
        self.purge_step = purge_step
        return self

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def close(self) -> None:
        self.is_closed = True


def test_lines_are_json(tmp_path, no_tensorboard):
    log = TrainingLog(tmp_path, 0)
    log.write(5, "train", {"loss": 0.25, "rotation_deg": 3.0})
    (line,) = log.path.read_text().splitlines()
    assert json.loads(line) == {"step": 5, "part": "train", "loss": 0.25, "rotation_deg": 3.0}


def test_a_resumed_log_drops_what_came_after_its_checkpoint(tmp_path, no_tensorboard):
    log = TrainingLog(tmp_path, 0)
    for step in (5, 10, 15):
        log.write(step, "train", {"loss": 1.0 / step})
    TrainingLog(tmp_path, 10).write(15, "train", {"loss": 7.0})
    assert [(entry["step"], entry["loss"]) for entry in read_log(log.path)] == [(5, 0.2), (10, 0.1), (15, 7.0)]


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path, no_tensorboard):
    log = TrainingLog(tmp_path, 0)
    log.write(5, "train", {"loss": 0.2})
    with log.path.open("a") as file:
        file.write('{"step": 10, "par')
    assert [entry["step"] for entry in read_log(log.path)] == [5]


def test_without_tensorboard_it_says_so_once(tmp_path, no_tensorboard, caplog):
    log = TrainingLog(tmp_path, 0)
    log.write(5, "train", {"loss": 0.2})
    log.write(10, "train", {"loss": 0.2})
    log.close()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"neither tensorboard nor tensorboardX is installed: numbers go to {log.path} only"
    ]


def test_tensorboard_gets_the_same_numbers(tmp_path, no_tensorboard, monkeypatch):
    board = Board()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: board if name == "tensorboardX" else None)
    monkeypatch.setitem(sys.modules, "tensorboardX", board)
    log = TrainingLog(tmp_path, 20)
    log.write(25, "validation", {"error_px": 2.5})
    log.close()
    assert board.scalars == [("validation/error_px", 2.5, 25)]
    assert board.purge_step == 21
    assert board.is_closed

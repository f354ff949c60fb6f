# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import torch

from facefactor.train.devices import Devices, launched_devices
from facefactor.train.log import read_log

SCRIPT = """\
# Trains a line on one batch; several devices share it among them.
import pathlib, sys
import torch
from facefactor.train.devices import launched_devices
from facefactor.train.loop import LoopSettings, train

torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Linear(2, 1)
points = torch.rand(8, 2, generator=torch.Generator().manual_seed(1))

def objective(model, batch, step):
    return (model(batch) - batch.sum(dim=1, keepdim=True)).square().mean(), {"first_x": batch[0, 0]}

with launched_devices() as devices:
    share = points[devices.rank :: devices.count]
    settings = LoopSettings(num_steps=6, learning_rate=0.1, warmup_steps=1, log_interval=2, checkpoint_interval=2,
                            validation_interval=2)
    train(model, lambda first: iter([share] * 6), objective, settings, pathlib.Path(sys.argv[1]), config={},
          data_hash="0", devices=devices)
"""


def test_two_devices_learn_what_one_learns_from_their_batches_together(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, words in (("one", []), ("two", launcher)):
        command = [sys.executable, *words, str(script), str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
    one, two = (read_log(tmp_path / name / "log.jsonl") for name in ("one", "two"))
    assert [entry["step"] for entry in two] == [2, 4, 6]
    for entry, other in zip(one, two, strict=True):
        torch.testing.assert_close(entry["loss"], other["loss"], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(entry["gradient_norm"], other["gradient_norm"], rtol=1e-5, atol=1e-7)


def test_without_torchrun_there_is_one_device(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with launched_devices() as devices:
        assert (devices.rank, devices.count, devices.is_first) == (0, 1, True)


def test_one_device_changes_nothing():
    model = torch.nn.Linear(1, 1)
    assert Devices().replicate(model) is model
    assert Devices().average(torch.tensor([2.0, 3.0])).tolist() == [2.0, 3.0]

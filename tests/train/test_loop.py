# SPDX-License-Identifier: Apache-2.0
import json
import math
import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch

from facefactor.errors import FaceError, OutputUnwritable
from facefactor.train.checkpoint import list_checkpoints, load_weights
from facefactor.train.log import read_log
from facefactor.train.loop import LoopSettings, learning_rate_at

TIMING = "seconds_per_step"


def curve(folder: Path) -> list[dict]:
    """The log without what a clock says."""
    return [
        {name: value for name, value in entry.items() if name != TIMING} for entry in read_log(folder / "log.jsonl")
    ]


def checkpoint_steps(folder: Path) -> list[int]:
    return [int(path.stem.removeprefix("step-")) for path in list_checkpoints(folder / "checkpoints")]


def same_weights(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_training_lowers_the_loss_and_writes_the_averaged_weights(problem):
    averaged = problem.train(num_steps=60)
    losses = [entry["loss"] for entry in curve(problem.folder) if entry["part"] == "train"]
    assert losses[-1] < 0.2 * losses[0]
    read = problem.make_model()
    assert load_weights(read, problem.folder / "weights.safetensors") == {"step": "60"}
    assert same_weights(read, averaged)


@pytest.mark.parametrize("killed_at", [2, 7, 21])
def test_a_killed_and_resumed_run_continues_its_curve_exactly(problem, tmp_path, killed_at):
    whole = type(problem)(tmp_path / "whole")
    uninterrupted = whole.train()
    with pytest.raises(KeyboardInterrupt):
        problem.train(kill_at=killed_at)
    resumed = problem.train(resume=True)
    assert same_weights(resumed, uninterrupted)
    assert curve(problem.folder) == curve(whole.folder)


def test_a_run_that_the_system_kills_leaves_whole_files(problem, tmp_path):
    script = (
        "import os, pathlib, signal, sys; sys.path.insert(0, sys.argv[1]); import conftest\n"
        "def objective(model, points, step):\n"
        "    if step == 13: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return conftest.objective(model, points, step)\n"
        "import torch; torch.set_num_threads(1)\n"
        "conftest.Problem(pathlib.Path(sys.argv[2])).train(objective=objective)\n"
    )
    arguments = [sys.executable, "-c", script, str(Path(__file__).parent), str(problem.folder)]
    done = subprocess.run(arguments, capture_output=True, timeout=60, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert checkpoint_steps(problem.folder) == [8, 12]
    whole = type(problem)(tmp_path / "whole")
    assert same_weights(problem.train(resume=True), whole.train())
    assert curve(problem.folder) == curve(whole.folder)


def test_the_best_weights_are_those_of_the_least_validation_number(problem):
    values = iter([3.0, 1.0, 2.0])
    problem.train(validate=lambda model: {"error_mm": next(values)})
    facts = load_weights(problem.make_model(), problem.folder / "best.safetensors")
    assert facts == {"step": "16"}


def test_only_the_last_checkpoints_stay(problem):
    problem.train()
    assert checkpoint_steps(problem.folder) == [20, 24]


def test_the_run_record_says_what_made_the_weights(problem):
    problem.train(config={"regime": "test", "batch_size": 32}, data_hash="abc")
    record = json.loads((problem.folder / "run.json").read_text())
    assert record["config"]["batch_size"] == 32
    assert record["config"]["learning_rate"] == 0.02
    assert record["config"]["seed"] == 0
    assert record["data_hash"] == "abc"
    assert record["packages"]["torch"] == torch.__version__
    assert record["commit"] is None or len(record["commit"].split("+")[0]) == 40


def test_the_learning_rate_rises_and_falls():
    settings = LoopSettings(num_steps=100, learning_rate=1.0, warmup_steps=10, final_rate_share=0.1)
    assert learning_rate_at(0, settings) == pytest.approx(0.1)
    assert learning_rate_at(9, settings) == pytest.approx(1.0)
    assert learning_rate_at(10, settings) == pytest.approx(1.0)
    assert learning_rate_at(55, settings) == pytest.approx(0.55)
    assert learning_rate_at(100, settings) == pytest.approx(0.1)


def test_long_gradients_are_cut(problem):
    def steep(model, points, step):
        return 1e4 * model(points).square().mean(), {}

    problem.train(objective=steep, num_steps=1, learning_rate=1e-3, weight_decay=0.0)
    assert curve(problem.folder)[0]["gradient_norm"] > 5.0  # what is logged is the norm before the cut


def test_a_folder_with_a_run_is_not_overwritten(problem):
    problem.train()
    with pytest.raises(OutputUnwritable, match="holds a run already"):
        problem.train()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learning_rate": 0.5}, "learning_rate was 0.02 and is 0.5"),
        ({"data_hash": "1"}, "data_hash was '0' and is '1'"),
    ],
)
def test_a_run_is_resumed_with_its_own_settings(problem, changes, said):
    problem.train(num_steps=8)
    with pytest.raises(FaceError, match=said):
        problem.train(resume=True, num_steps=8, **changes)


def test_batches_that_end_early_are_an_error(problem):
    with pytest.raises(ValueError, match="the batches ended after 5 of 24 steps"):
        problem.train(batches=lambda first: islice(problem.batches(first), 5))


def test_a_loss_that_is_no_number_stops_the_run_before_a_checkpoint(problem):
    def broken(model, points, step):
        return model(points).mean() * (math.nan if step == 5 else 1.0), {}

    with pytest.raises(FloatingPointError, match="the loss became nan by step 6"):
        problem.train(objective=broken)
    assert checkpoint_steps(problem.folder) == [4]


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("num_steps", 0, "num_steps must be at least 1"),
        ("checkpoint_interval", 75, "must be a multiple of log_interval"),
    ],
)
def test_settings_that_contradict_are_refused(setting, value, said):
    with pytest.raises(ValueError, match=said):
        LoopSettings(**{"num_steps": 10, setting: value})

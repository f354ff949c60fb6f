# SPDX-License-Identifier: Apache-2.0
"""Several processes, one order."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facefactor.apps.parallel import count_cores, map_in_order
from facefactor.errors import FaceError

HELPERS = """
import os, sys, time
from contextlib import closing
from facefactor.apps.parallel import map_in_order
def start(): print("worker", os.getpid(), flush=True)
def slow(item): time.sleep(0.05); return item
if __name__ == "__main__":
    with closing(map_in_order(slow, range(100000), 2, start)) as answers:
        for answer in answers: print("answer", answer, flush=True)
"""


def start() -> None:
    os.environ["FACEFACTOR_TEST_STARTED"] = str(int(os.environ.get("FACEFACTOR_TEST_STARTED", "0")) + 1)


def square(item: int) -> int:
    time.sleep(0.02 if item % 3 == 0 else 0)
    return item * item


def describe_process(_: int) -> tuple[str, str | None, bool]:
    ignores_interrupt = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    return os.environ["FACEFACTOR_TEST_STARTED"], os.environ.get("OMP_NUM_THREADS"), ignores_interrupt


def die(item: int) -> int:
    if item == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def fail(item: int) -> int:
    raise LookupError(f"item {item}")


def test_answers_come_in_the_items_order() -> None:
    assert list(map_in_order(square, range(40), 2, start)) == [item * item for item in range(40)]


def test_no_items_give_no_answers() -> None:
    assert list(map_in_order(square, [], 2, start)) == []


def test_a_process_is_started_once_has_one_thread_and_leaves_ctrl_c_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    assert set(map_in_order(describe_process, range(9), 1, start)) == {("1", "1", True)}
    assert dict(os.environ) == before
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_only_a_few_items_are_taken_ahead() -> None:
    taken = []
    items = (taken.append(item) or item for item in range(1000))
    answers = map_in_order(square, items, 1, start)
    assert next(answers) == 0
    assert len(taken) < 20
    answers.close()


def test_an_error_of_the_function_is_raised() -> None:
    with pytest.raises(LookupError, match="item 0"):
        list(map_in_order(fail, range(3), 1, start))


def test_a_process_that_dies_is_said_in_one_sentence() -> None:
    with pytest.raises(FaceError, match=r"a worker process died.*fewer --jobs"):
        list(map_in_order(die, range(20), 1, start))


def test_there_is_a_core() -> None:
    assert count_cores() >= 1


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "helpers.py"
    script.write_text(HELPERS)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = []
        for line in process.stdout:
            word, number = line.split()
            if word == "worker":
                workers.append(int(number))
            elif len(workers) == 2:
                break
        process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(_is_alive(worker) for worker in workers):
            assert time.monotonic() < deadline, "a worker outlives its parent"
            time.sleep(0.05)


def _is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # nobody may be there to collect an orphan

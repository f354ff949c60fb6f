# SPDX-License-Identifier: Apache-2.0
"""What a long run shows of itself."""

import io

import pytest

from facefactor.apps import progress
from facefactor.apps.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, to be set by the test."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_terminal_gets_one_line_that_changes(clock: list[float]) -> None:
    terminal = Terminal()
    shown = Progress("prepare", "photos", 400, stream=terminal)
    for done in (0, 100, 200):
        clock[0] = 100 + done / 10
        shown.show(done, "3 rejected")
    shown.clear()
    assert terminal.getvalue() == (
        "\r\x1b[Kprepare: 100 of 400 photos, 3 rejected, 10.0 photos/s, 30 s left"
        "\r\x1b[Kprepare: 200 of 400 photos, 3 rejected, 10.0 photos/s, 20 s left"
        "\r\x1b[K"
    )


def test_a_file_gets_a_line_now_and_then(clock: list[float]) -> None:
    file = io.StringIO()
    shown = Progress("prepare", "photos", 10000, stream=file)
    for second in range(61):
        clock[0] = 100.0 + second
        shown.show(second, "0 rejected")
    shown.clear()
    assert file.getvalue() == (
        "prepare: 30 of 10000 photos, 0 rejected, 1.0 photos/s, 2 h 46 min left\n"
        "prepare: 60 of 10000 photos, 0 rejected, 1.0 photos/s, 2 h 45 min left\n"
    )


def test_the_pace_counts_only_this_run(clock: list[float]) -> None:
    file = io.StringIO()
    shown = Progress("prepare", "photos", 1000, done=900, stream=file)
    clock[0] += 40
    shown.show(900, "0 rejected")
    clock[0] += 40
    shown.show(940, "0 rejected")
    first, second = file.getvalue().splitlines()
    assert first == "prepare: 900 of 1000 photos, 0 rejected"
    assert second.endswith("0.5 photos/s, 2 min left")

# SPDX-License-Identifier: Apache-2.0
"""Say on standard error how far a long run is: one line that changes on a terminal, a line now and then in a file."""

import sys
import time
from typing import TextIO

TERMINAL_SECONDS = 0.2
FILE_SECONDS = 30.0


class Progress:
    """Counts what is done and shows it.

    Args:
        name: of the command, at the front of the line.
        unit: what is counted, plural.
        total: how many there are.
        done: how many were done before this run.
        stream: where to show it; standard error by default.
    """

    def __init__(self, name: str, unit: str, total: int, done: int = 0, stream: TextIO | None = None) -> None:
        self._name, self._unit, self._total = name, unit, total
        self._done_before = done
        self._stream = sys.stderr if stream is None else stream
        self._on_terminal = self._stream.isatty()
        self._start = self._shown = time.monotonic()

    def show(self, done: int, remark: str) -> None:
        """Show the state when it is time to; `remark` follows the numbers."""
        now = time.monotonic()
        if now - self._shown < (TERMINAL_SECONDS if self._on_terminal else FILE_SECONDS):
            return
        self._shown = now
        line = f"{self._name}: {done} of {self._total} {self._unit}, {remark}{self._pace(done, now)}"
        self._stream.write(f"\r\x1b[K{line}" if self._on_terminal else f"{line}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line off the terminal, so that what follows starts on a clean one."""
        if self._on_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _pace(self, done: int, now: float) -> str:
        per_second = (done - self._done_before) / (now - self._start)
        if per_second <= 0:
            return ""
        return f", {per_second:.1f} {self._unit}/s, {_duration((self._total - done) / per_second)} left"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds} s"

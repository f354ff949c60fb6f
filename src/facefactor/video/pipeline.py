# SPDX-License-Identifier: Apache-2.0
"""Stages of work that run beside each other, and the processor time that each part takes.

A stage is an iterator; `read_ahead` runs it in a thread of its own, a few items ahead of whoever takes them. Decoding,
networks and compiled loops hold no interpreter lock, so stages share the cores; the queue between two is short, so
memory does not grow with the length of a video.
"""

import contextlib
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")

ITEMS_AHEAD = 8
WAIT_SECONDS = 0.1
"""How often a waiting stage looks whether anybody still wants its items."""


class PartSeconds:
    """Seconds of processor time by the name of the part that took them; each part belongs to one thread at a time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def count(self, part: str) -> Iterator[None]:
        """Count what this thread does inside the block."""
        start = time.thread_time()
        try:
            yield
        finally:
            self.seconds[part] += time.thread_time() - start

    def count_each(self, part: str, items: Iterator[Item]) -> Iterator[Item]:
        """Count the making of each item."""
        while True:
            with self.count(part):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item


def read_ahead(items: Iterator[Item], ahead: int = ITEMS_AHEAD) -> Iterator[Item]:
    """Make the items in a thread of its own, at most `ahead` before they are taken.

    What goes wrong there is raised here, after the items before it. The thread ends when the iterator is closed.
    """
    waiting: queue.Queue[tuple[str, Item | BaseException | None]] = queue.Queue(ahead)
    is_unwanted = threading.Event()
    thread = threading.Thread(target=_make, args=(items, waiting, is_unwanted), daemon=True)
    thread.start()
    try:
        while True:
            kind, item = waiting.get()
            if kind == "error":
                raise item  # type: ignore[misc]
            if kind == "end":
                return
            yield item  # type: ignore[misc]
    finally:
        is_unwanted.set()
        thread.join()


def _make(items: Iterator[Item], waiting: queue.Queue, is_unwanted: threading.Event) -> None:
    try:
        for item in items:
            if not _put(("item", item), waiting, is_unwanted):
                break
        else:
            _put(("end", None), waiting, is_unwanted)
    except BaseException as error:
        _put(("error", error), waiting, is_unwanted)
    finally:
        if hasattr(items, "close"):
            items.close()


def _put(entry: tuple, waiting: queue.Queue, is_unwanted: threading.Event) -> bool:
    """Wait for a place in the queue; False when nobody takes from it any more."""
    while not is_unwanted.is_set():
        with contextlib.suppress(queue.Full):
            waiting.put(entry, timeout=WAIT_SECONDS)
            return True
    return False

# SPDX-License-Identifier: Apache-2.0
"""Work on many items in several processes, and get the answers in the items' order.

Processes are started afresh (spawn) and keep to one thread each: what one item gives depends neither on the items
before it nor on the number of processes. They leave Ctrl-C to the process that started them and end with it, even when
it is killed. Only a few items are on their way at any time, so memory does not grow with their number.
"""

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from facefactor.errors import FaceError

ITEMS_AHEAD = 8
"""Items per process that are handed out or wait for an earlier one to be taken."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Environment that holds numerical libraries to one thread; they read it when they are loaded."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def count_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(
    function: Callable[[Item], Answer], items: Iterable[Item], jobs: int, start: Callable[[], None]
) -> Generator[Answer, None, None]:
    """Yield `function(item)` for every item, in order. Close the iterator when not all of it is taken.

    Args:
        function: of a module, so that another process can import it.
        items: small things that can be pickled; taken a few ahead.
        jobs: number of processes.
        start: called once in each process, before its first item.

    Raises:
        FaceError: a process ended by itself or was killed, most often for want of memory.
    """
    executor = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start_process, (start,))
    remaining = iter(items)
    try:
        with _inherited_by_processes():
            ahead = deque(executor.submit(function, item) for item in itertools.islice(remaining, jobs * ITEMS_AHEAD))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(executor.submit(function, item) for item in itertools.islice(remaining, 1))
    except BrokenProcessPool:  # raised by the answer that was lost, or by the next item handed out
        raise FaceError(
            "a worker process died, most often for want of memory: run again with fewer --jobs; what is done is kept"
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _inherited_by_processes() -> Iterator[None]:
    """Ignore Ctrl-C and keep numerical libraries to one thread while processes are started."""
    previous = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    handler = _set_interrupt(signal.SIG_IGN)
    try:
        yield
    finally:
        _set_interrupt(handler)
        for name, value in previous.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _set_interrupt(handler: Any) -> Any:
    """Set what Ctrl-C does, where that may be set: in the main thread. Returns what it did before."""
    if threading.current_thread() is threading.main_thread():
        return signal.signal(signal.SIGINT, handler)
    return handler


def _start_process(start: Callable[[], None]) -> None:
    """Prepare a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start()


def _end_with_parent() -> None:
    """Wait for the parent's end, however it ends; an idle worker would wait for its next item for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

# SPDX-License-Identifier: Apache-2.0
import threading
import time
from collections.abc import Iterator

import pytest

from facefactor.video.pipeline import PartSeconds, read_ahead


def test_items_come_in_order_and_are_made_elsewhere():
    threads = []

    def count() -> Iterator[int]:
        for number in range(50):
            threads.append(threading.current_thread())
            yield number

    assert list(read_ahead(count(), ahead=3)) == list(range(50))
    assert threading.main_thread() not in threads


def test_no_more_is_made_ahead_than_allowed():
    made = []
    items = read_ahead((made.append(number) or number for number in range(100)), ahead=4)
    next(items)
    deadline = time.monotonic() + 5
    while len(made) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(made) == 6  # one taken, four waiting, one in hand
    items.close()


def test_an_error_comes_after_the_items_before_it():
    def fail() -> Iterator[int]:
        yield 1
        raise ValueError("the second cannot be made")

    items = read_ahead(fail())
    assert next(items) == 1
    with pytest.raises(ValueError, match="the second cannot be made"):
        next(items)


def test_closing_ends_the_thread_and_the_source():
    ended = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            ended.append(True)

    before = threading.active_count()
    items = read_ahead(endless(), ahead=2)
    next(items)
    items.close()
    assert ended == [True]
    assert threading.active_count() == before


def test_seconds_are_those_of_work_and_not_of_waiting():
    seconds = PartSeconds()

    def make() -> Iterator[int]:
        time.sleep(0.2)
        yield 1
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    assert list(seconds.count_each("part", make())) == [1]
    assert 0.05 <= seconds.seconds["part"] < 0.15

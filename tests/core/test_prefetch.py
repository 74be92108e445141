from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.core.prefetch import batches, prefetch


@given(st.lists(st.integers(), max_size=40), st.integers(1, 4), st.integers(1, 9))
def test_results_come_in_order(items, workers, ahead):
    doubled = prefetch(lambda n: 2 * n, items, workers=workers, ahead=ahead)
    assert list(doubled) == [2 * n for n in items]


def test_slow_items_do_not_change_the_order():
    def slow(n):
        time.sleep(0.01 * (n % 3))
        return n

    assert list(prefetch(slow, range(12), workers=4, ahead=6)) == list(range(12))


def test_no_more_than_ahead_are_started_untaken():
    started = []
    results = prefetch(started.append, range(1000), workers=2, ahead=5)
    for taken in range(1, 20):
        next(results)
        assert len(started) <= taken + 5


def test_stopping_early_starts_nothing_more():
    started = []
    go = threading.Event()

    def work(n):
        started.append(n)
        go.wait(5)

    results = prefetch(work, range(100), workers=1, ahead=10)
    go.set()
    next(results)
    results.close()
    time.sleep(0.05)
    count = len(started)
    time.sleep(0.05)
    assert len(started) == count <= 11


def test_an_error_is_raised_in_its_turn():
    results = prefetch(lambda n: 1 // (n - 2), range(5), workers=2, ahead=4)
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@given(st.lists(st.integers()), st.integers(1, 7))
def test_batches_lose_nothing(items, size):
    found = list(batches(items, size))
    assert [n for batch in found for n in batch] == items
    assert all(len(batch) == size for batch in found[:-1])

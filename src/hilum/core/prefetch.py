"""Prefetch: work ahead in threads, hand over in order, hold few results, say how far it is."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int
) -> Iterator[R]:
    """Yield ``function(item)`` for each item, in order, computed by ``workers`` threads.

    At most ``ahead`` results exist that the caller has not taken, whatever the number of items.
    When the caller stops early, nothing further is started. An error is raised in its turn.

    >>> list(prefetch(str.upper, ["a", "b", "c"], workers=2, ahead=2))
    ['A', 'B', 'C']
    """
    source = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="hilum-open")
    try:
        waiting: deque[Future[R]] = deque(
            pool.submit(function, item) for item in islice(source, ahead)
        )
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(source, 1))
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of ``size`` items; the last may be shorter.

    >>> list(batches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def watched(
    items: Iterable[T], total: int, what: str | None = None, *, shown: bool, unit: str = "film"
) -> Iterator[T]:
    """Hand items on; in a run over two seconds a bar on stderr says how many of ``total`` came.

    Every half second where a person looks on, every ten in a log. ``what`` stands before the bar.
    """
    if not shown:
        return iter(items)
    from tqdm import tqdm

    every_s = 0.5 if sys.stderr.isatty() else 10
    return iter(tqdm(items, what, total, unit=unit, delay=2, mininterval=every_s))

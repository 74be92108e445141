"""Pool: work side by side, each piece in a process with one thread.

Small networks on few cores gain little from a second thread; two runs of one thread each are done
sooner than two runs one after another of two threads. Nothing here loads torch: a process that
does finds the number of threads in its environment.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import TypeVar

from hilum.core.errors import HilumError, TrainingError

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

Task = TypeVar("Task")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Task], Result], tasks: list[Task], *, jobs: int
) -> Iterator[tuple[Task, Result | HilumError]]:
    """Do ``work`` on each task and yield it as it ends, with its result or its error.

    Args:
        work: a function that a process can import; likewise what it takes and returns.
        tasks: done in about this order.
        jobs: processes; 1 works in this process, with all threads. However this ends, no process
            outlives it.

    Raises:
        TrainingError: a process was killed, as for lack of memory.
    """
    if jobs == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, _attempt(work, task)
        return
    with _workers(min(jobs, len(tasks))) as pool:
        futures = {pool.submit(_attempt, work, task): task for task in tasks}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                raise TrainingError(
                    "a training process was killed",
                    hint="most often for lack of memory: fewer --jobs; the same command goes on",
                ) from None


def _attempt(work: Callable[[Task], Result], task: Task) -> Result | HilumError:
    try:
        return work(task)
    except HilumError as error:
        return error


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes that end when the block does, however it ends."""
    others = set(multiprocessing.active_children())
    with _environment(_ONE_THREAD):
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin)
        try:
            yield pool
        except BaseException:
            for child in set(multiprocessing.active_children()) - others:
                child.kill()  # what they write is whole or not there
            raise
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, which new processes inherit, and put the old ones back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin() -> None:
    """Make this process a worker: deaf to Ctrl-C, gone when its parent is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

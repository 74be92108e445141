"""Pool: runs side by side, each in a process of its own with one thread.

Small networks on few cores gain little from a second thread; two runs of one thread each are done
sooner than two runs one after another of two threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing.connection import wait

from hilum.core.errors import HilumError, TrainingError
from hilum.learn.compare.run import Run, RunMetrics, perform

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def perform_all(
    runs: list[Run], *, jobs: int, device: str = "auto"
) -> Iterator[tuple[Run, RunMetrics | HilumError]]:
    """Perform runs and yield each as it ends, with its metrics or its error.

    Args:
        jobs: processes side by side; 1 runs in this process, with all threads.
        device: "auto", "cpu" or "gpu".

    Raises:
        TrainingError: a process was killed, as for lack of memory.
    """
    if jobs == 1 or len(runs) < 2:
        for run in runs:
            yield run, _attempt(run, device)
        return
    with _workers(min(jobs, len(runs))) as pool:
        futures: dict[Future[RunMetrics | HilumError], Run] = {
            pool.submit(_attempt, run, device): run for run in runs
        }
        for future in as_completed(futures):
            yield futures[future], _result(future, futures[future])


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _attempt(run: Run, device: str) -> RunMetrics | HilumError:
    try:
        return perform(run, device=device)
    except HilumError as error:
        return error


def _result(future: Future[RunMetrics | HilumError], run: Run) -> RunMetrics | HilumError:
    try:
        return future.result()
    except multiprocessing.ProcessError as error:
        raise TrainingError(f"{run.title}: {error}") from None
    except RuntimeError as error:  # BrokenProcessPool is one
        raise TrainingError(
            f"a training process ended: {error}",
            hint="most often memory: fewer --jobs; the same command goes on",
        ) from error


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes that end when the block does, however it ends."""
    others = set(multiprocessing.active_children())
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)  # read when torch is loaded
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin)
    try:
        yield pool
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.kill()  # checkpoints are whole or not there
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin() -> None:
    """Make this process a worker: one thread, deaf to Ctrl-C, gone when its parent is."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

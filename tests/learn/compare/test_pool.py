from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hilum.core.errors import CohortError, TrainingError

# workers import the functions that they do, so they live in a module beside the test
WORK = """
import os, sys, time
from pathlib import Path
from hilum.core.errors import CohortError
from hilum.learn.compare.pool import side_by_side

def square(number):
    if number == 3:
        raise CohortError("three", hint="not three")
    return number * number, os.getpid(), os.environ["OMP_NUM_THREADS"], "torch" in sys.modules

def die(number):
    os.kill(os.getpid(), 9)

def sleep(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    try:
        list(side_by_side(sleep, [sys.argv[1]] * 3, jobs=2))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    (tmp_path / "work_of_a_test.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "work_of_a_test", raising=False)
    import work_of_a_test

    return work_of_a_test


def test_each_task_has_its_result_or_its_error(work, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = dict(work.side_by_side(work.square, [1, 2, 3, 4], jobs=2))
    error = found.pop(3)
    assert isinstance(error, CohortError)
    assert error.hint == "not three"
    assert {task: result[0] for task, result in found.items()} == {1: 1, 2: 4, 4: 16}
    assert os.getpid() not in {result[1] for result in found.values()}
    assert {result[2:] for result in found.values()} == {("1", False)}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_one_job_works_in_this_process(work, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = dict(work.side_by_side(work.square, [1, 3], jobs=1))
    assert found[1][:3] == (1, os.getpid(), "7")
    assert isinstance(found[3], CohortError)


def test_a_process_that_is_killed_is_said(work) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TrainingError, match="was killed") as caught:
        list(work.side_by_side(work.die, [1, 2], jobs=2))
    assert "memory" in caught.value.hint


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_parent(work, tmp_path: Path, way: signal.Signals) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "begun").mkdir()
    process = subprocess.Popen(
        [sys.executable, work.__file__, tmp_path / "begun"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _until(lambda: len(list((tmp_path / "begun").iterdir())) == 2)
    os.kill(process.pid, way)
    assert "Traceback" not in process.communicate()[1]
    assert process.returncode == (130 if way == signal.SIGINT else -way)
    _until(lambda: _empty(process.pid))


def _until(condition) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _empty(session: int) -> bool:
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return True
    return False

"""``hilum read``, as a process, of films that do their worst to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

HILUM = [sys.executable, "-m", "hilum"]


def _wait(until):
    for _ in range(600):
        if until():
            return
        time.sleep(0.1)
    pytest.fail("waited a minute for nothing")


def _gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_that_crashes_is_one_row(dangerous, films, small_bundle, tmp_path):
    crash, panic = (dangerous(tmp_path / f"{what}.dcm", what) for what in ("CRASH", "PANIC"))
    paths = [films / "a.png", crash, films / "b.jpg", panic, films / "sub" / "c.png"]
    page = tmp_path / "page.html"
    done = subprocess.run(
        [*HILUM, "read", "-b", small_bundle, "--json", "--html", page, *paths],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert [row["status"] for row in rows] == ["read", "error", "read", "error", "read"]
    assert done.stderr == f"wrote {page}\n"
    assert "ended its decoder (SIGSEGV)" in page.read_text()


@pytest.mark.parametrize("to_group", [False, True])
def test_an_interruption_ends_decoders_too(dangerous, films, small_bundle, tmp_path, to_group):
    """On one core, where a second film waits until the decoder of the first one ends."""
    hang = dangerous(tmp_path / "hang.dcm", "HANG")
    command = [*HILUM, "read", "-b", small_bundle, "--json", films / "a.png", hang, hang]
    core = min(os.sched_getaffinity(0))
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: os.sched_setaffinity(0, [core]),
        env=os.environ | {"HILUM_TEST_PATIENCE": "1000"},
    ) as process:
        hanging = tmp_path / "planted" / "hanging"
        _wait(lambda: hanging.exists() and hanging.read_text())
        (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
        try:
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()  # else a run that is not interrupted is waited for
    assert process.returncode == 130
    assert err == "error: interrupted\n  hint: what was finished is kept\n"
    _wait(lambda: _gone(int(hanging.read_text())))

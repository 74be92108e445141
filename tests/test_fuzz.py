"""Damaged films are each one row with a reason: tools/fuzz.py, of two seeds."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "fuzz.py"


@pytest.fixture
def maker(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    from fuzzing.work import Maker

    return Maker


def fuzz(*options: str, into: Path) -> None:
    command = [sys.executable, str(TOOL), "--quiet", "--into", str(into), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HOME": str(into.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_films_of_a_fixed_seed(tmp_path):
    fuzz("--seed", "20261128", "-n", "600", into=tmp_path / "findings")


def test_films_of_the_seed_of_the_day(tmp_path):
    """The summary, which a failure prints, names the seed."""
    seed = datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%d")
    fuzz("--seed", seed, "-n", "300", into=tmp_path / "findings")


def test_a_file_is_made_again_from_seed_and_number(maker):
    first, again, other = maker(5), maker(5), maker(6)
    for number in range(200):
        row, data = first.make(number)
        assert again.make(number)[1] == data
        assert row.damage
    assert any(other.make(number)[1] != first.make(number)[1] for number in range(3))


def test_sound_films_of_every_kind_open(maker):
    from hilum.image.open import open_bytes

    small = maker(0)._small
    assert len(small) > 40
    for name, data in small:
        assert np.ptp(open_bytes(data, name).pixels) > 0.03, name


def test_a_broken_promise_ends_with_code_1_and_can_be_repeated(tmp_path, monkeypatch, capsys):
    """The tool must be able to fail: here every row breaks a promise."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    import fuzz as tool

    row = {"number": 3, "status": "error", "reason": "why: x", "seconds": 30.0, "megabytes": 9.0}
    monkeypatch.setattr(tool, "_watched", lambda *_: iter([row | {"wrong": ["crash: -11"]}]))
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--quiet", "-n", "1", "--into", str(tmp_path)])
    assert tool.main() == 1
    assert "crashes 1, untyped 0" in capsys.readouterr().out
    assert (tmp_path / "1-3.film").read_bytes()
    assert "--seed 1 --only 3" in (tmp_path / "1-3.json").read_text()

"""``hilum compare`` as it is typed, killed, and typed again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.apps.cli.main import run
from hilum.core.case import COLUMNS

RECIPE = """
[data]
cases = "{cases}"
[split]
fractions = [0.6, 0.4, 0]
[preprocess]
size = 32
channels = 1
[network]
name = "tiny"
[fit]
epochs = 6
batch_size = 8
learning_rate = 0.02
"""
GRID = """
recipe = "base.toml"
leave_out = ["north", "south"]
[[variant]]
name = "plain"
"""


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """Two collections of 20 films, a disc for the label."""
    random = np.random.default_rng(3)
    rows = []
    for number in range(40):
        film = cv2.resize(random.random((5, 5)), (64, 64), interpolation=cv2.INTER_CUBIC)
        film = 120 * np.clip(film, 0, 1) + 5 * random.standard_normal((64, 64))
        if number % 2:
            cv2.circle(film, (22, 38), 10, 230, -1)
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.clip(film, 0, 255).astype(np.uint8))
        cohort = "north" if number < 20 else "south"
        known = {"case_id": f"{cohort}/{number}", "path": str(path), "cohort": cohort}
        more = {"source": cohort, "patient_id": f"{cohort}/{number}", "covid-19": number % 2}
        rows.append(known | more)
    table = pd.DataFrame(rows).reindex(columns=[*COLUMNS, "covid-19"])
    table.to_csv(tmp_path / "cases.csv", index=False)
    (tmp_path / "base.toml").write_text(RECIPE.format(cases=tmp_path / "cases.csv"))
    (tmp_path / "grid.toml").write_text(GRID)
    return tmp_path / "grid.toml"


@pytest.mark.slow
def test_a_comparison_that_was_killed_goes_on(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["compare", str(grid), "-o", str(out), "--jobs", "2"]
    command = [sys.executable, "-m", "hilum.apps.cli.main", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(out.glob("runs/plain/*/seed-0/last.ckpt")) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in process.communicate()[1]
    assert run([*arguments[:-1], "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["unfinished"] == []
    rows = [row for row in result["rows"] if row["variant"] == "plain"]
    assert [row["left_out"] for row in rows] == ["north", "south", "all left out"]
    assert rows[-1]["n"] == 40
    assert len(pd.read_csv(out / "out-of-source" / "plain.csv")) == 40
    assert len(pd.read_csv(out / "runs/plain/north/seed-0/curves.csv")) == 6


def test_the_table_is_shown(grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--set", "fit.epochs=1", "--bootstrap", "50", "--jobs", "1"]
    assert run(["compare", str(grid), "-o", str(tmp_path / "out"), *few]) == 0
    printed = capsys.readouterr()
    assert "all left out" in printed.out
    assert "nuisance numbers" in printed.out
    assert re.search(r"\[[01]\.\d+,", printed.out)  # an interval, with nothing of its style
    assert "[dim]" not in printed.out
    assert "\\" not in printed.out
    assert "Research use only" in printed.out
    assert "2/2 plain, without south, seed 0: AUROC covid-19" in printed.err
    assert run(["compare", str(grid), "-o", str(tmp_path / "out"), *few, "--only", "plane"]) == 6
    assert "did you mean 'plain'" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "--help"]) == 0
    assert "leave-one-source-out.toml" in capsys.readouterr().out

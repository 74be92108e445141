"""No byte to anybody: real processes, an empty home, and a name server that counts questions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.core.silence import SWITCHES
from hilum.serve.samples import ROOT

HILUM = [sys.executable, "-m", "hilum"]
UNSHARE = ["unshare", "--mount", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]

SERVE = """
import signal, sqlite3, subprocess, sys, time
from pathlib import Path
data, hold_s = Path(sys.argv[1]), float(sys.argv[2])
command = [sys.executable, "-m", "hilum", "serve", "--demo", "--port", "0", "--home", str(data)]
server = subprocess.Popen(command)
def read():
    try:
        with sqlite3.connect(data / "store.db") as store:
            return store.execute("SELECT count(*) FROM readings").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
while server.poll() is None and not read():
    time.sleep(0.1)
time.sleep(hold_s)
server.send_signal(signal.SIGINT)
sys.exit(server.wait())
"""
UPLOADED_AFTER_S = 15
"""ONNX Runtime asks for its vendor's host about ten seconds after its import."""

RECIPE = """
data.cases = "{cases}"
preprocess = {{ size = 32, channels = 1 }}
network.name = "tiny"
fit = {{ epochs = 1, batch_size = 8 }}
bundle.gate = false
"""


@pytest.fixture
def alone(tmp_path):
    """``alone(command)`` runs it with an empty home: (exit code, names asked for, new files)."""
    if shutil.which("unshare") is None or subprocess.run([*UNSHARE, "true"]).returncode:
        pytest.skip("no namespace to be had here")
    home, log = tmp_path / "home", tmp_path / "log"
    for each in (home, log):
        each.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
    environment |= {"OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}

    def run(command, **changed):
        script = [sys.executable, str(Path(__file__).parent / "lonely.py"), str(log)]
        done = subprocess.run(
            [*UNSHARE, *script, *map(str, command)], cwd=home, env=environment | changed
        )
        questions = log / "questions"
        asked = questions.read_text().split() if questions.exists() else []
        files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
        return done.returncode, asked, files

    run.log = log
    return run


def test_a_reading_asks_nobody_and_leaves_nothing_at_home(alone):
    """Also where the environment says otherwise: the vow wins."""
    wrong = dict.fromkeys(SWITCHES, "0")
    assert alone([*HILUM, "read", ROOT / "frontal.png"], **wrong) == (0, [], set())


def test_the_workstation_asks_nobody_and_leaves_nothing_at_home(alone, tmp_path):
    command = [sys.executable, "-c", SERVE, tmp_path / "data", UPLOADED_AFTER_S]
    assert alone(command) == (0, [], set())


@pytest.mark.slow
def test_training_asks_nobody_and_leaves_only_the_list_of_fonts(alone, tmp_path):
    random = np.random.default_rng(7)
    rows = []
    for number in range(24):
        path = tmp_path / f"{number}.png"
        film = 90 + 12 * random.standard_normal((80, 80)) + 60 * (number % 2)
        cv2.imwrite(str(path), np.clip(film, 0, 255).astype(np.uint8))
        split = ("train", "val", "test")[number // 2 % 3]
        rows.append({"case_id": number, "path": path, "source": "made", "patient_id": number})
        rows[-1] |= {"cohort": "made", "view": "PA", "covid-19": number % 2, "split": split}
    pd.DataFrame(rows).to_csv(tmp_path / "cases.csv", index=False)
    (tmp_path / "recipe.toml").write_text(RECIPE.format(cases=tmp_path / "cases.csv"))
    code, asked, files = alone([*HILUM, "train", tmp_path / "recipe.toml", "-o", tmp_path / "run"])
    assert (code, asked) == (0, [])
    assert all(file.startswith(".cache/matplotlib/") for file in files), files


def test_without_the_switches_the_same_reading_would_ask(alone):
    """The test can fail: ONNX Runtime as it comes asks for its maker, and keeps a queue at home."""
    code = "import os, sys, time, hilum\nfrom pathlib import Path\n"
    code += "from hilum.core.silence import SWITCHES\n"
    code += "for name in SWITCHES: del os.environ[name]\n"
    code += "hilum.load_bundle().read(sys.argv[1])\n"
    code += "for _ in range(600):\n    if Path(sys.argv[2]).exists(): break\n    time.sleep(0.1)\n"
    questions = alone.log / "questions"
    exit_code, asked, files = alone([sys.executable, "-c", code, ROOT / "frontal.png", questions])
    assert exit_code == 0
    assert asked
    assert any(file.startswith(".cache/") for file in files)

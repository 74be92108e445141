"""The examples do what they say, with the very files that a user would copy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from hilum.core.case import COLUMNS
from hilum.serve.samples import read_samples

EXAMPLES = Path(__file__).parents[1] / "examples"


def _run(name, *arguments, codes=(0,)):
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in codes, done.stderr
    return done.stdout


def _scores(random, films):
    truth = (random.random(films) < 0.4).astype(int)
    score = 1 / (1 + np.exp(-(2.5 * truth - 2 + random.normal(0, 1.2, films))))
    return truth, score


def test_a_folder_becomes_a_table(tmp_path):
    film = next(sample.path for sample in read_samples() if sample.file == "frontal.png")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.png").write_bytes(film.read_bytes())
    (tmp_path / "films" / "b.png").write_bytes(b"no film")
    _run("read_a_folder", tmp_path / "films", tmp_path / "readings.csv")
    table = pd.read_csv(tmp_path / "readings.csv")
    assert set(table["status"]) == {"read", "error"}
    assert table.loc[table["status"] == "error", "reason"].notna().all()
    assert table.loc[table["status"] == "read", "probability"].between(0, 1).all()


def test_scores_get_a_calibration_and_sets(tmp_path):
    truth, score = _scores(np.random.default_rng(1), 600)
    patients = [f"p{number // 2}" for number in range(600)]
    table = pd.DataFrame({"patient": patients, "truth": truth, "score": score})
    table.to_csv(tmp_path / "scores.csv", index=False)
    said = _run("trust_any_scores", tmp_path / "scores.csv")
    before, after = (float(word) for word in said.split("other half: ")[1].split()[:3:2])
    assert after < before
    assert said.count("sets hold the truth of 0.9") == 2


def _cases(folder, films):
    random = np.random.default_rng(7)
    folder.mkdir()
    rows = []
    for number in range(films):
        film = 90 + 12 * random.standard_normal((80, 80)) + np.linspace(0, 60, 80)[:, None]
        if number % 2:
            cv2.circle(film, (25, 50), 11, 230, -1)
        cv2.imwrite(str(folder / f"{number}.png"), np.clip(film, 0, 255).astype(np.uint8))
        row = {"case_id": f"mine/{number}", "path": str(folder / f"{number}.png"), "cohort": "mine"}
        row |= {"source": ("North", "South")[number // 2 % 2], "patient_id": f"mine/{number}"}
        rows.append(row | {"view": "PA", "covid-19": number % 2})
    table = pd.DataFrame(rows).reindex(columns=[*COLUMNS, "covid-19"])
    table.to_csv(folder.parent / "cases.csv", index=False)
    return table


def test_a_vendor_is_audited_by_its_scores(tmp_path):
    cases = _cases(tmp_path / "films", 60)
    scores = pd.DataFrame({"case_id": cases["case_id"], "score": 0.2 + 0.6 * cases["covid-19"]})
    scores.to_csv(tmp_path / "vendor.csv", index=False)
    out = tmp_path / "out"
    said = _run(
        "audit_a_vendor", tmp_path / "vendor.csv", tmp_path / "cases.csv", out, codes=(0, 10)
    )
    assert "pass" in said
    assert (out / "audit.html").is_file()


def test_each_of_two_hospitals_is_left_out_once(tmp_path):
    _cases(tmp_path / "films", 80)
    _run("train_on_two_hospitals", tmp_path / "cases.csv", tmp_path / "out")
    for source in ("North", "South"):
        split = pd.read_csv(tmp_path / "out" / source / "split.csv")
        assert set(split.loc[split["split"] == "test", "source"]) == {source}
        assert (tmp_path / "out" / source / "run" / "bundle" / "bundle.json").is_file()

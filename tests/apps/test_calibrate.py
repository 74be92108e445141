from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.apps.cli.main import run
from hilum.bundle.folder import open_bundle, seal


@pytest.fixture(scope="module")
def local_csv(tmp_path_factory):
    """A film of each of 104 patients; bright ones have covid-19, mostly."""
    folder = tmp_path_factory.mktemp("local")
    rng = np.random.default_rng(5)
    rows = []
    for i in range(104):
        gamma = np.exp(rng.normal(-0.5 if i % 2 else 0.5, 0.6))
        ramp = np.linspace(0, 1, 96)[None, :] ** gamma * np.ones((96, 1))
        pixels = 255 * np.clip(ramp + rng.normal(0, 0.03, ramp.shape), 0, 1)
        cv2.imwrite(str(folder / f"{i}.png"), pixels.astype(np.uint8))
        rows.append((f"local/{i}", f"{i}.png", "local", "local", f"local/p{i}", float(i % 2)))
    columns = ["case_id", "path", "cohort", "source", "patient_id", "covid-19"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "ward.csv", index=False)
    return folder / "ward.csv"


@pytest.fixture
def calibrate(calibrated_bundle, capsys):
    def call(*arguments):
        code = run(["calibrate", *map(str, arguments), "-b", str(calibrated_bundle)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_films_become_a_bundle_with_before_and_after(
    calibrate, local_csv, tmp_path, calibrated_bundle, capsys
):
    out = tmp_path / "new"
    code, said, _ = calibrate(local_csv, "-o", out, "--bootstrap", 20)
    said = " ".join(said.split())
    assert code == 0
    for text in ("before", "after, cross-fitted", "log loss", "52 positive and 52 negative"):
        assert text in said
    assert "Research use only" in said
    assert run(["bundle", "verify", "-b", str(out)]) == 0
    capsys.readouterr()
    assert run(["bundle", "show", "--json", "-b", str(out)]) == 0
    shown = json.loads(capsys.readouterr().out, parse_constant=lambda token: pytest.fail(token))
    assert shown["adaptations"][0]["site"] == "ward"
    assert run(["read", str(local_csv.parent / "1.png"), "-b", str(out), "--json"]) == 0
    finding = json.loads(capsys.readouterr().out)["findings"][0]
    assert finding["prevalence"] == pytest.approx(0.5)
    assert finding["prediction_set"] is not None


def test_a_score_that_does_not_rank_is_said_on_the_terminal_and_in_the_card(
    calibrate, local_csv, tmp_path
):
    said = "the score does not rank these films; the probability is the same for all"
    code, straight, _ = calibrate(local_csv, "-o", tmp_path / "new", "--bootstrap", 20)
    assert code == 0
    assert said not in " ".join(straight.split())
    assert said not in (tmp_path / "new" / "MODEL_CARD.md").read_text(encoding="utf-8")
    table, turned = pd.read_csv(local_csv), local_csv.with_name("turned.csv")
    table.assign(**{"covid-19": 1 - table["covid-19"]}).to_csv(turned, index=False)
    code, shown, _ = calibrate(turned, "-o", tmp_path / "flat", "--bootstrap", 20)
    shown = " ".join(shown.split())
    assert code == 0
    assert f"covid-19: {said}." in shown
    assert "AUROC; higher is better" in shown
    card = (tmp_path / "flat" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"covid-19: {said}." in card


def test_a_bundle_is_not_judged_on_test_films_that_it_was_calibrated_to(
    calibrated_bundle, local_csv, tmp_path, capsys
):
    root, out = tmp_path / "tested", tmp_path / "new"
    shutil.copytree(calibrated_bundle, root)
    table = pd.read_csv(local_csv)[["case_id"]].assign(split="test")
    pd.concat([table, pd.DataFrame({"case_id": ["elsewhere/1"], "split": ["train"]})]).to_csv(
        root / "splits.csv", index=False
    )
    seal(root)
    asked = [str(local_csv), "--bootstrap", "20"]
    assert run(["calibrate", *asked, "-b", str(root), "-o", str(out)]) == 0
    judge = ["evaluate", *asked, "--split", "all"]
    assert run([*judge, "-b", str(root), "-o", str(tmp_path / "before")]) == 0
    capsys.readouterr()
    assert run([*judge, "-b", str(out), "-o", str(tmp_path / "after")]) == 5
    said = capsys.readouterr().err
    assert "104 of 104 films were seen by" in said
    assert "104 of the site that the bundle was calibrated to" in said
    assert not (tmp_path / "after").exists()


def test_json_is_one_valid_object_and_nothing_else(calibrate, local_csv, tmp_path):
    code, said, _ = calibrate(local_csv, "-o", tmp_path / "new", "--bootstrap", 0, "--json")
    found = json.loads(said, parse_constant=lambda token: pytest.fail(token))
    assert code == 0
    assert found["labels"][0]["label"] == "covid-19"
    assert found["labels"][0]["after"]["log_loss"]["low"] is None
    new = open_bundle(tmp_path / "new")
    made = {"folder": str(new.root), "bundle": new.identity, "checksum": new.checksum}
    assert found["made"] == made


def test_too_few_cases_have_an_exit_code_and_a_hint(calibrate, local_csv, tmp_path):
    few = local_csv.with_name("few.csv")
    pd.read_csv(local_csv).head(60).to_csv(few, index=False)
    code, _, said = calibrate(few, "-o", tmp_path / "new")
    assert code == 4
    assert "30 positive and 30 negative patients; expected at least 50 of each" in said
    assert "--prevalence" in said
    code, _, said = calibrate(local_csv, "-o", tmp_path / "new", "--calibrator", "plat")
    assert (code, "did you mean 'platt'?" in said) == (6, True)

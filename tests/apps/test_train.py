from __future__ import annotations

import json
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
from hilum.bundle.attach import earlier_checksums
from hilum.bundle.datasheet import Datasheet
from hilum.bundle.folder import open_bundle
from hilum.core.case import COLUMNS
from hilum.core.reading import Status
from hilum.judge.schema import Evaluation
from hilum.serve.reader import load_bundle

RECIPE = """
[data]
cases = "{cases}"
[preprocess]
size = 32
channels = 1
[network]
name = "tiny"
[fit]
epochs = 4
batch_size = 8
learning_rate = 0.01
loggers = ["csv"]
[bundle]
gate = false  # drawn discs are no films
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe over 60 synthetic films: a bright disc stands for the label."""
    random = np.random.default_rng(7)
    (tmp_path / "films").mkdir()
    rows = []
    for number in range(60):
        path = tmp_path / "films" / f"{number}.png"
        film = 90 + 12 * random.standard_normal((80, 80))
        film += np.linspace(0, 60, 80)[:, None]
        if number % 2:
            cv2.circle(film, (25, 50), 11, 230, -1)
        cv2.imwrite(str(path), np.clip(film, 0, 255).astype(np.uint8))
        rows.append(
            {
                "case_id": f"made/{number}",
                "path": str(path),
                "cohort": "made",
                "source": f"site-{number % 4 // 2}",
                "patient_id": f"made/{number}",
                "view": "PA",
                "covid-19": number % 2,
                "split": ("train", "val", "train", "test", "train")[number // 2 % 5],
            }
        )
    pd.DataFrame(rows).reindex(columns=[*COLUMNS, "covid-19", "split"]).to_csv(
        tmp_path / "cases.csv", index=False
    )
    (tmp_path / "quick.toml").write_text(RECIPE.format(cases=tmp_path / "cases.csv"))
    return tmp_path / "quick.toml"


def test_train_ends_in_an_evaluated_bundle_that_reads(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(["train", str(recipe), "-o", str(out), "--set", "fit.epochs=8", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    bundle = open_bundle(out / "bundle")
    assert printed["bundle"] == bundle.identity
    assert printed["films"] == {"train": 36, "val": 12, "test": 12}
    assert printed["epochs"] == 8
    evaluation = Evaluation.load(out / "bundle" / "evaluation.json")
    assert evaluation["covid-19"].films == 12
    assert earlier_checksums(bundle.root) == (evaluation.about.checksum,)
    assert printed["test"]["covid-19"]["auroc"]["value"] == pytest.approx(
        evaluation["covid-19"].metrics["auroc"].value
    )
    assert printed["test_films"] == {"covid-19": {"positives": 6, "negatives": 6}}
    assert printed["appearance"] is None
    card = (out / "bundle" / "MODEL_CARD.md").read_text()
    assert str(evaluation["covid-19"].metrics["auroc"]) in card
    data = Datasheet.read(out / "bundle" / "data.json")
    assert {side.name: side.films for side in data.sides} == printed["films"]
    assert (out / "evaluation" / "report.html").is_file()
    assert not (out / "films").exists()
    for path in (out / "bundle").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path.name
    reader = load_bundle(out / "bundle")
    cases = pd.read_csv(tmp_path / "cases.csv").query("split == 'test'")
    readings = [reader.read(path) for path in cases["path"]]
    assert {(each.status, each.bundle) for each in readings} == {(Status.READ, bundle.identity)}
    called = np.array([each.findings[0].present for each in readings])
    assert np.mean(called == (cases["covid-19"] == 1)) > 0.8


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--set", "fit.epocs=3"], 6, "did you mean 'epochs'?"),
        (["--set", "network.name=efficientnet-lite"], 6, "efficientnet-lite0"),
        (["--set", 'data.labels=["sars"]'], 4, "label sars"),
        (["--set", "data.cases=nowhere.csv"], 4, "nowhere.csv"),
        (["--set", 'fit.loggers=["tape"]'], 6, "loggers"),
        (["--set", "preprocess.size=0"], 6, "size"),
        (["--set", "preprocess.size=16"], 6, "a size of at least 32"),
        (["--set", "preprocess.std=0"], 6, "std"),
        (["--set", "preprocess.low_percentile=99.9"], 6, "is not below high_percentile"),
        (["--set", "preprocess.low_percentile=-5"], 6, "expected 0 to 100"),
    ],
)
def test_a_mistake_is_one_message_and_a_code(
    recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    assert run(["train", str(recipe), "-o", str(tmp_path / "run"), *arguments]) == code
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "run" / "recipe.toml").exists()  # the same folder is free
    assert not (tmp_path / "run" / "films").exists()


def test_a_film_that_is_not_there_is_a_note(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = pd.read_csv(tmp_path / "cases.csv").query("split == 'train'")["path"].iloc[0]
    (tmp_path / gone).unlink()
    assert run(["train", str(recipe), "-o", str(tmp_path / "run"), "--set", "fit.epochs=1"]) == 0
    said = capsys.readouterr()
    assert "note: " in said.err
    assert "UserWarning" not in said.err
    assert "1 films of train and val did not open; see refused.csv" in said.out


def test_a_second_run_into_the_same_folder_needs_resume(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "cases.csv"
    pd.read_csv(table).query("split != 'test'").to_csv(table, index=False)
    arguments = ["train", str(recipe), "-o", str(tmp_path / "run"), "--set", "fit.epochs=1"]
    assert run(arguments) == 0
    before = (tmp_path / "run" / "metrics.json").read_bytes()
    assert run(arguments) == 6
    assert "--resume" in capsys.readouterr().err
    assert run([*arguments, "--resume"]) == 0
    assert (tmp_path / "run" / "metrics.json").read_bytes() == before
    assert "Not evaluated yet" in (tmp_path / "run" / "bundle" / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_two_devices_train_one_network(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "hilum.apps.cli.main", "train", str(recipe), "-o", str(out)]
    options = ["--device", "cpu", "--devices", "2"]
    process = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("Research use only") == 1
    assert pd.read_csv(out / "curves.csv")["epoch"].tolist() == [1, 2, 3, 4]
    open_bundle(out / "bundle")


def test_ctrl_c_keeps_what_was_trained(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "hilum.apps.cli.main", "train", str(recipe), "-o", str(out)]
    process = subprocess.Popen(
        [*command, "--set", "fit.epochs=100000"], stderr=subprocess.PIPE, text=True
    )
    while not (out / "last.ckpt").is_file() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate()
    assert process.returncode == 130, printed
    assert "interrupted" in printed
    assert "Traceback" not in printed
    assert (out / "last.ckpt").is_file()
    assert len(pd.read_csv(out / "curves.csv")) >= 1


@pytest.mark.slow
@pytest.mark.real_data
def test_the_quick_recipe_runs_from_collections_to_bundle(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILUM_DATA", str(data_root))
    quick = Path(__file__).parents[2] / "recipes" / "quick.toml"
    few = ["--set", "data.films_per_cohort=40", "--set", "fit.epochs=1"]
    assert run(["train", str(quick), "-o", str(tmp_path / "run"), *few]) == 0
    environment = json.loads((tmp_path / "run" / "bundle" / "environment.json").read_text())
    assert sum(environment["films"].values()) == 80
    assert environment["onnx_parity"]["score"] <= 1e-4
    assert len(pd.read_csv(tmp_path / "run" / "bundle" / "splits.csv")) == 80


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--help"]) == 0
    assert "hilum train recipes/quick.toml" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--device", "--devices", "--cases"])
def test_an_option_that_a_gate_has_no_use_for_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (tmp_path / "gate.toml").write_text('task = "gate"\n')
    value = {"--device": "cpu", "--devices": "1"}.get(option, "x.csv")
    assert run(["train", str(tmp_path / "gate.toml"), option, value]) == 2
    assert f'{option} has no meaning for task = "gate"' in " ".join(capsys.readouterr().err.split())

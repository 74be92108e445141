"""``hilum reproduce``: from a folder of collections to a page, and again after a break."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.apps.cli.main import run
from hilum.core.reading import RESEARCH_USE
from hilum.learn.papers import experiment as experiments

SMALL: dict[str, list[str]] = {
    "abdelhady-2020": ["size=32", "epochs=2", "train_films=16", "test_films=6", "folds=2"],
    "usatov-kosik-2021": ["size=32", "epochs=1", "train_films=12", "test_false=2", "test_true=4"],
}

every_paper = pytest.mark.parametrize("paper", list(SMALL))


def film(path: Path, bright: bool, chance: np.random.Generator) -> None:
    pixels = 90 + 60 * bright * (np.arange(48) > 24)[:, None] + 20 * chance.random((48, 40))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels.astype(np.uint8))


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A covid-chestxray-dataset of 24 COVID-19 and 12 other films, and 8 normal of Kermany."""
    chance, root = np.random.default_rng(2), tmp_path_factory.mktemp("data")
    rows = []
    for number in range(36):
        covid = number % 3 > 0
        film(root / "covid-chestxray-dataset" / "images" / f"{number}.png", covid, chance)
        rows.append(
            {
                "patientid": str(number // 2),
                "offset": "",
                "sex": "F",
                "age": "50",
                "finding": "COVID-19" if covid else "Streptococcus",
                "view": "PA",
                "modality": "X-ray",
                "date": "2020",
                "location": "nowhere",
                "folder": "images",
                "filename": f"{number}.png",
                "url": "https://example.org/film",
                "license": "CC BY",
            }
        )
    table = root / "covid-chestxray-dataset" / "metadata.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    for number in range(8):
        name = f"IM-{number:04d}-0001.png"
        film(root / "chest_xray" / "train" / "NORMAL" / name, bright=False, chance=chance)
    return root


def arguments(paper: str, data: Path, out: Path, *more: str) -> list[str]:
    settings = [part for value in SMALL[paper] for part in ("--set", value)]
    base = ["reproduce", paper, "--data", str(data), "-o", str(out), "--threads", "1"]
    return [*base, *settings, *more]


@pytest.fixture(scope="module")
def outputs(collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of both papers, run once; a test that changes it takes a copy."""
    out = tmp_path_factory.mktemp("out")
    for paper in SMALL:
        assert run(arguments(paper, collections, out)) == 0
    return out


def result_of(paper: str, out: Path) -> Any:
    text = (out / paper / "result.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=refuse)


def check_page(page: Path) -> str:
    """The page needs no other file and no network, and shows the notice."""
    text = page.read_text(encoding="utf-8")
    assert RESEARCH_USE in text
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "nan" not in re.sub(r'"data:[^"]*"', "", text).lower().split()
    return text


@every_paper
def test_a_page_comes_out(paper: str, outputs: Path) -> None:
    check_page(outputs / f"{paper}.html")
    assert result_of(paper, outputs)["notice"] == RESEARCH_USE


def refuse(word: str) -> Any:
    raise AssertionError(f"{word} is not JSON")


def test_abdelhadys_rows_are_all_there(outputs: Path) -> None:
    printed = result_of("abdelhady-2020", outputs)
    paper, own, ours, *others = printed["rows"]
    assert (paper["accuracy"]["value"], paper["loss"]["value"]) == (0.98, 0.04)
    assert ours["accuracy"]["n"] == 6
    assert own["accuracy"]["n"] == 16
    assert [row["accuracy"]["n"] for row in others] == [22, 22, 22, 22, 22]
    assert all(row["accuracy"]["low"] is not None for row in [ours, *others])
    assert [example["truth"] for example in printed["examples"]] == [True, False]
    for example in printed["examples"]:
        assert cv2.imread(str(outputs / example["picture"])) is not None
    assert len(pd.read_csv(outputs / "abdelhady-2020" / "curve.csv")) == 2


def test_usatov_kosiks_comparisons_are_all_there(outputs: Path) -> None:
    printed = result_of("usatov-kosik-2021", outputs)
    variants = [row["variant"] for row in printed["variants"]]
    assert {(v["activation"], v["channels"], v["augmented"]) for v in variants} == {
        *[("elu", 3, True), ("relu", 3, True), ("elu", 1, True), ("elu", 3, False)]
    }
    assert np.sum(printed["confusion"]) == 6
    assert [row["support"] for row in printed["classes"]] == [2, 4]
    assert printed["timing"]["one_s"] > 0
    folder = outputs / "usatov-kosik-2021"
    for name in ("brightness-map", "weighted-map", "grad-cam"):
        assert (folder / f"{name}.png").is_file() == bool(printed["map_case_id"])
    assert cv2.imread(str(folder / "confusion.png")) is not None


@every_paper
def test_a_second_call_trains_nothing_and_prints_valid_json(
    paper: str,
    collections: Path,
    outputs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    shutil.copytree(outputs, out)
    (out / f"{paper}.html").unlink()

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr(experiments, "train", never)
    assert run(arguments(paper, collections, out, "--json")) == 0
    printed = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert printed == result_of(paper, outputs)
    assert (out / f"{paper}.html").read_text() == (outputs / f"{paper}.html").read_text()


@every_paper
def test_a_missing_collection_or_setting_is_one_line(
    paper: str, collections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(paper, tmp_path / "nothing", tmp_path / "out")) == 4
    assert "no covid-chestxray-dataset here" in capsys.readouterr().err
    assert run(arguments(paper, collections, tmp_path / "out", "--set", "epoch=3")) == 6
    assert "did you mean 'epochs'?" in capsys.readouterr().err
    assert run(arguments(paper, collections, tmp_path / "out", "--set", "train_films=900")) == 4
    assert "expected at least" in capsys.readouterr().err
    assert not (tmp_path / "out" / f"{paper}.html").exists()


@every_paper
def test_help_has_a_worked_example(paper: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", paper, "--help"]) == 0
    assert f"hilum reproduce {paper} --data ../shared/data -o out/" in capsys.readouterr().out


@pytest.mark.real_data
@every_paper
def test_real_films_go_through(paper: str, data_root: Path, tmp_path: Path) -> None:
    assert run(arguments(paper, data_root, tmp_path / "out")) == 0
    text = check_page(tmp_path / "out" / f"{paper}.html")
    assert "covid-chestxray-dataset" in text

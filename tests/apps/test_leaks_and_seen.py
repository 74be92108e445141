"""Contract: no verb that trains or judges takes a leaking table.

A new verb stands in one of the three lists below, or the first test fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer

from hilum.apps.cli.main import command_line, run
from hilum.core.case import COLUMNS
from hilum.core.errors import LeakageError
from hilum.data import split as split_module
from hilum.data.split import SplitSpec, make_split
from hilum.learn.detect.run import train_detector
from hilum.serve.audit import audit
from hilum.serve.calibrate import calibrate
from hilum.serve.evaluate import evaluate
from hilum.serve.featuremap.run import make_map
from hilum.serve.reader import load_bundle

RECIPE = '[data]\ncases = "{cases}"\n'
GRID = 'recipe = "base.toml"\nleave_out = ["north", "south"]\n[[variant]]\nname = "plain"\n'

JUDGES = {
    "evaluate": ["{bundle}", "{cases}", "--split", "all"],
    "audit model": ["{bundle}", "{cases}", "--lungs", "none"],
    "calibrate": ["{bundle}", "{cases}", "-o", "{out}/new"],
    "map": ["{bundle}", "{cases}", "--split", "all", "--json"],
    "score-maps": ["{bundle}", "{cases}", "--split", "all"],
    "fit-severity": ["{bundle}", "{cases}", "-o", "{out}/severity"],
}
"""Verb that judges a bundle on a cases table -> how it is called."""

TRAINS = {
    "train": ["{base}", "-o", "{out}/run"],
    "compare": ["{grid}", "-o", "{out}/compare", "--jobs", "1"],
    "train-opacities": ["--recipe", "{base}", "-o", "{out}/opacities"],
    "train-detector": ["--recipe", "{detector}", "--cases", "{cases}", "-o", "{out}/detector"],
    "similar": ["{bundle}", "--fit", "{cases}", "-o", "{out}/similar.npz"],
    "boxes score": ["{coco}", "{cases}"],
    "evaluate": ["--predictions", "{predictions}"],
}
"""Verb that learns from a table, or judges what is no bundle -> how it is called."""

OTHERS = {
    *("demo", "show", "read", "lungs", "explain"),
    *("cohort list", "cohort fetch", "cohort read", "cohort merge", "cohort check", "split"),
    *("boxes export", "boxes import", "audit lists"),
    *("bundle show", "bundle verify", "bundle card", "bundle add"),
    *("reproduce abdelhady-2020", "reproduce usatov-kosik-2021"),
}
"""Verbs that take no table to learn or judge by; papers leak on purpose and count it."""


def verbs() -> set[str]:
    def walk(command: Any, name: str) -> set[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            return {name}
        return set().union(*(walk(one, f"{name} {key}".strip()) for key, one in inner.items()))

    return walk(typer.main.get_command(command_line([])), "")


def test_every_verb_is_known_here() -> None:
    workstation = {"serve", "user", "log", "doctor"}
    found = {verb for verb in verbs() if verb.split()[0] not in workstation}
    assert found == OTHERS | JUDGES.keys() | TRAINS.keys()


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """Twelve films of six patients; one patient is on train and on test, and in two folds."""
    rows = [
        {
            "case_id": f"north/{n}",
            "path": f"{n}.png",
            "cohort": ("north", "south")[n % 2],
            "source": "north",
            "patient_id": f"north/p{n // 2}",
            "view": "PA",
            "covid-19": n % 2,
            "lung-opacity": n % 2,
            "no-finding": 1 - n % 2,
            "scores": '{"opacity": 1}',
            "split": "train" if n < 3 else "test",
            "fold": 1 if n < 3 else 2,
        }
        for n in range(12)
    ]
    table = pd.DataFrame(rows)
    names = [*COLUMNS, "covid-19", "lung-opacity", "no-finding", "split", "fold"]
    table.reindex(columns=names).to_csv(tmp_path / "cases.csv", index=False)
    table.assign(label="covid-19", truth=table["covid-19"], score=0.5)[
        ["case_id", "patient_id", "cohort", "split", "label", "truth", "score"]
    ].to_csv(tmp_path / "predictions.csv", index=False)
    (tmp_path / "base.toml").write_text(RECIPE.format(cases=tmp_path / "cases.csv"))
    (tmp_path / "grid.toml").write_text(GRID)
    (tmp_path / "detector.toml").write_text('[[data.cohorts]]\nname = "x"\nfolder = "x"\n')
    (tmp_path / "coco.json").write_text("[]")
    return tmp_path / "cases.csv"


def call(verb: str, arguments: list[str], bundle: Path, cases: Path, out: Path) -> int:
    folder = cases.parent
    named = {name: folder / f"{name}.toml" for name in ("base", "grid", "detector")}
    named |= {"coco": folder / "coco.json", "predictions": folder / "predictions.csv"}
    named |= {"bundle": bundle, "cases": cases, "out": out}
    return run([*verb.split(), *(each.format(**named) for each in arguments)])


@pytest.mark.parametrize(("verb", "arguments"), [*JUDGES.items(), *TRAINS.items()])
def test_a_table_with_one_patient_on_two_sides_is_refused(
    verb: str,
    arguments: list[str],
    leaky: Path,
    small_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = set(tmp_path.rglob("*.ckpt"))
    assert call(verb, arguments, small_bundle, leaky, tmp_path / "out") == 5
    said = capsys.readouterr().err
    assert "patient north/p1 on both sides of" in said
    assert "north/2 (" in said
    assert "north/3 (" in said
    assert set(tmp_path.rglob("*.ckpt")) == before
    assert not list((tmp_path / "out").rglob("*.onnx"))


def test_python_refuses_it_too(leaky: Path, small_bundle: Path, tmp_path: Path) -> None:
    from hilum.data.table import read_cases
    from hilum.learn.detect.recipe import DetectorRecipe

    recipe = DetectorRecipe.load(leaky.with_name("detector.toml"))
    cases, reader = read_cases(leaky), load_bundle(small_bundle)
    for judge in (
        lambda: evaluate(reader, cases, split="test"),
        lambda: audit(lambda films: [0.5] * len(films), cases, split="test"),
        lambda: calibrate(reader, cases, tmp_path / "new", site="here"),
        lambda: make_map(reader, cases),
        lambda: train_detector(recipe, tmp_path / "run", cases=cases),
    ):
        with pytest.raises(LeakageError, match="north/p1"):
            judge()


def test_a_split_that_leaks_is_never_returned(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the roads that divide collections (lungs, gate, opacities, detector) end here too."""
    table = pd.read_csv(leaky).drop(columns=["split", "fold"])
    broken = ["train"] * 3 + ["test"] * 9
    monkeypatch.setattr(split_module, "_divided", lambda cases, _: cases.assign(split=broken))
    with pytest.raises(LeakageError, match="north/p1"):
        make_split(table, SplitSpec())

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from hilum.bundle.outofsource import from_comparison
from hilum.core.errors import BundleError, ConfigError, TrainingError
from hilum.judge.predictions import read_predictions
from hilum.learn.compare import comparison as module
from hilum.learn.compare.comparison import Plan, plan, summarize, train
from hilum.learn.compare.run import PREDICTIONS, read_table
from hilum.learn.compare.write import write_comparison, write_out_of_source
from hilum.learn.recipe import Recipe

pytestmark = pytest.mark.usefixtures("known_copies")


def planned(grid: Path, out: Path, **changes: list[str]) -> Plan:
    return plan(grid, out, root=None, **{"changes": [], "only": []} | changes)


def test_a_grid_from_films_to_the_table(write_grid: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = planned(write_grid(), out)
    assert len(made.all_runs) == 4
    told: list[str] = []
    assert train(made, jobs=1, tell=told.append) == {}
    assert sum("AUROC" in line for line in told) == 4
    comparison, answers = summarize(made, folds=100)
    write_comparison(comparison, out)
    variants = list(dict.fromkeys(row.variant for row in comparison.rows))
    assert variants == ["nuisance numbers", "plain", "As it is", "both"]
    assert comparison.unfinished == ()

    for name in variants[1:]:
        path = out / f"{name}.csv"
        write_out_of_source(answers[name], path)
        table = read_predictions(path)
        assert sorted(table["case_id"]) == sorted(made.prepared["plain"].cases["case_id"])
        truth = made.prepared["plain"].cases.set_index("case_id")["covid-19"]
        assert (table["truth"].to_numpy() == truth[table["case_id"]].to_numpy()).all()

    members = [
        read_table(out / f"runs/{slug}/north/seed-0" / PREDICTIONS)
        for slug in ("plain", "as-it-is")
    ]
    tests = [one[one["split"] == "test"].sort_values("case_id") for one in members]
    mean = (tests[0]["logit"].to_numpy() + tests[1]["logit"].to_numpy()) / 2
    row = next(row for row in comparison.rows if (row.variant, row.left_out) == ("both", "north"))
    assert row.auroc.value == pytest.approx(roc_auc_score(tests[0]["truth"], mean))
    assert (row.n, row.positives, row.runs) == (24, 12, 2)

    csv = pd.read_csv(out / "table.csv")
    assert len(csv) == len(comparison.rows)
    assert {"auroc", "auroc_low", "auroc_high", "false_positive_rate_high"} <= set(csv.columns)
    assert "## covid-19" in (out / "table.md").read_text()
    stored = json.loads((out / "table.json").read_text(), parse_constant=pytest.fail)
    assert stored["rows"][0]["difference"]["value"] is None
    assert set(stored["recipes"]) == {"plain", "As it is"}  # an ensemble has none of its own
    recipe = made.all_runs[0].recipe
    assert Recipe.model_validate(stored["recipes"]["plain"]) == recipe
    ours = tomllib.loads(recipe.to_toml())
    assert from_comparison(out / "table.json", "plain", ours)[1] == ""
    ours["fit"]["batch_size"] += 1
    with pytest.raises(BundleError, match=r"of another recipe .* fit\.batch_size"):
        from_comparison(out / "table.json", "plain", ours)
    assert not list(out.glob("runs/*/*/*/last.ckpt"))


def test_a_finished_run_is_neither_done_again_nor_taken_for_another(
    write_grid: Callable[..., Path], tmp_path: Path
) -> None:
    grid, out = write_grid(), tmp_path / "out"
    made = planned(grid, out, only=["plain"])
    train(made, jobs=1)
    files = {run.folder / PREDICTIONS for run in made.all_runs}
    before = {path: path.stat().st_mtime_ns for path in files}
    again = planned(grid, out, only=["plain"])
    told: list[str] = []
    train(again, jobs=1, tell=told.append)
    assert told == []
    assert {path: path.stat().st_mtime_ns for path in files} == before
    partial, _ = summarize(planned(grid, out), folds=0)
    assert len(partial.unfinished) == 2
    assert {row.variant for row in partial.rows} == {"nuisance numbers", "plain"}
    with pytest.raises(ConfigError, match=r"fit\.epochs: 2 and 3"):
        planned(grid, out, changes=["fit.epochs=3"])


def test_a_label_without_both_classes_is_said_before_anything_is_trained(
    write_grid: Callable[..., Path], tmp_path: Path
) -> None:
    grid = write_grid()
    changes = ['data.labels=["covid-19", "pneumonia"]']  # pneumonia is unknown in west
    text = grid.read_text().replace('"north", ["east", "west"]', '["north", "east"]')
    with pytest.raises(ConfigError, match=r"plain, without north \+ east, seed 0: .*pneumonia = 1"):
        planned(write_grid(text), tmp_path / "out", changes=changes)
    assert not (tmp_path / "out" / "runs").exists()


def test_a_run_that_fails_stops_no_other(
    write_grid: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = planned(write_grid(), tmp_path / "out", only=["plain"])
    real = module.perform

    def fails_on_north(run, **options):  # type: ignore[no-untyped-def]
        if run.entry.names == ("north",):
            raise TrainingError("the loss is not a number")
        return real(run, **options)

    monkeypatch.setattr(module, "perform", fails_on_north)
    failed = train(made, jobs=1)
    assert failed == {"plain, without north, seed 0": "the loss is not a number"}
    comparison, _ = summarize(made, folds=0, failed=failed)
    assert comparison.unfinished == tuple(failed)
    assert {row.left_out for row in comparison.rows if row.variant == "plain"} == {"east + west"}


def test_seeds_and_folds(write_grid: Callable[..., Path], tmp_path: Path) -> None:
    text = """
recipe = "base.toml"
leave_out = ["north"]
pooled_folds = 2
seeds = [0, 1]
[[variant]]
name = "plain"
set = ["fit.epochs=1"]
"""
    made = planned(write_grid(text), tmp_path / "out")
    assert len(made.all_runs) == 6
    train(made, jobs=1)
    comparison, _ = summarize(made, folds=50)
    rows = {row.left_out: row for row in comparison.rows if row.variant == "plain"}
    assert set(rows) == {"north", "2-fold cross-validation"}
    assert rows["2-fold cross-validation"].n == 72
    assert rows["north"].runs == 2
    gap = next(gap for gap in comparison.gaps if gap.variant == "plain")
    assert gap.gap.value == pytest.approx(gap.pooled.value - gap.left_out.value)
    assert gap.gap.n == 24
    one, other = (
        read_table(tmp_path / f"out/runs/plain/north/seed-{seed}" / PREDICTIONS) for seed in (0, 1)
    )
    assert not np.allclose(one["logit"], other["logit"])

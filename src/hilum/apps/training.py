"""Training from end to end: gather, fit, pack, evaluate once on test, write the card, seal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hilum.bundle.attach import remember
from hilum.bundle.card import write_card
from hilum.bundle.datasheet import DATA, describe_data
from hilum.bundle.folder import Bundle, open_bundle, seal
from hilum.bundle.manifest import EVALUATION
from hilum.core.files import write_text
from hilum.data.leaks import refuse_leaks
from hilum.data.table import read_cases, write_cases
from hilum.judge.schema import Evaluation
from hilum.learn.fit import (
    FitResult,
    check_recipe,
    claimed,
    films_to_learn,
    fit,
    is_secondary,
)
from hilum.learn.gather import Gathered, gather_cases
from hilum.learn.pack import pack_bundle
from hilum.learn.recipe import Recipe
from hilum.serve.evaluate import evaluate
from hilum.serve.reader import load_bundle

CASES = "cases.csv"
GATHERED = "gathered.json"
BUNDLE = "bundle"
REPORT = "evaluation"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """What a run left in its folder.

    Attributes:
        bundle: sealed, with evaluation and card where there is a test split.
        evaluation: on the test split; None without one.
        result: of the fit.
        gathered: the cases, and what was left out.
    """

    bundle: Bundle
    evaluation: Evaluation | None
    result: FitResult
    gathered: Gathered


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to train: device "auto", "cpu" or "gpu", and how many of them."""

    device: str = "auto"
    devices: int = 1


def train(
    recipe: Recipe,
    out: Path,
    *,
    root: Path | None,
    command: str,
    resume: bool = False,
    machine: Machine = Machine(),
    out_of_source: pd.DataFrame | None = None,
    tell: Tell = lambda _: None,
) -> TrainedRun:
    """Run a recipe.

    Args:
        recipe: the whole run.
        out: the run folder; the bundle is ``out/bundle``.
        root: where the collections of the recipe lie; None if it names a cases table.
        command: stored in the bundle; must name no folder.
        resume: go on with a run that was broken off.
        machine: where to train.
        out_of_source: as in ``pack_bundle``: what probability and sets are fitted on
            instead of val.
        tell: gets one line for each stage.

    Raises:
        HilumError: as ``gather_cases``, ``fit``, ``pack_bundle`` and ``evaluate`` say.
    """
    check_recipe(recipe, machine.device)
    with claimed(out, recipe, resume=resume):
        gathered = _gather(recipe, out, root, resume=resume, tell=tell)
        films_to_learn(gathered.cases, recipe)
    result = fit(
        recipe,
        gathered.cases,
        out,
        resume=True,  # claimed above
        device=machine.device,
        devices=machine.devices,
    )
    tell(f"best epoch {result.best_epoch} of {len(result.rows)}; packing the bundle")
    folder = out / BUNDLE
    pack_bundle(
        result,
        recipe,
        gathered.cases,
        folder,
        command=command,
        out_of_source=out_of_source,
    )
    _describe(folder, recipe, gathered, result)
    evaluation = _evaluate(folder, gathered.cases, out / REPORT, command, tell)
    _drop_cache(out / "films")
    return TrainedRun(open_bundle(folder), evaluation, result, gathered)


def _gather(recipe: Recipe, out: Path, root: Path | None, *, resume: bool, tell: Tell) -> Gathered:
    """Gather the cases, or take those that the run began with."""
    stored, facts = out / CASES, out / GATHERED
    if (resume or is_secondary()) and stored.is_file() and facts.is_file():
        return Gathered(
            refuse_leaks(read_cases(stored)), **json.loads(facts.read_text(encoding="utf-8"))
        )
    tell("reading the collections")
    gathered = gather_cases(recipe.data, recipe.split, root)
    write_cases(gathered.cases, stored)
    counts = {
        "left_out": gathered.left_out,
        "duplicates": gathered.duplicates,
        "notes": gathered.notes,
    }
    write_text(facts, json.dumps(counts, indent=2) + "\n")
    tell(_in_words(gathered))
    return gathered


def _describe(folder: Path, recipe: Recipe, gathered: Gathered, result: FitResult) -> None:
    """Put the datasheet into the bundle, write its card anew, and seal it."""
    describe_data(
        gathered.cases,
        [label.value for label in recipe.data.labels],
        left_out=gathered.left_out,
        duplicates=gathered.duplicates,
        notes=gathered.notes,
        not_opened=len(result.train.refused),
    ).write(folder / DATA)
    write_card(folder)
    seal(folder)


def _in_words(gathered: Gathered) -> str:
    splits = gathered.cases["split"].value_counts()
    parts = [f"{name} {splits[name]}" for name in ("train", "val", "test") if name in splits]
    left_out = [f"{reason} {count}" for reason, count in gathered.left_out.items()]
    tail = f"; left out: {', '.join(left_out)}" if left_out else ""
    return f"{len(gathered.cases)} films: {', '.join(parts)}{tail}"


def _evaluate(
    folder: Path, cases: pd.DataFrame, report: Path, command: str, tell: Tell
) -> Evaluation | None:
    """Evaluate on test, once; put the result and a new card into the bundle, and seal it."""
    films = int((cases["split"] == "test").sum())
    if films == 0:
        return None
    tell(f"evaluating on {films} films of test")
    evaluation = evaluate(
        load_bundle(folder), cases, split="test", out=report, name=CASES, command=command
    )
    evaluation.write(folder / EVALUATION)
    remember(folder, evaluation.about.checksum)
    write_card(folder)
    seal(folder)
    return evaluation


def _drop_cache(folder: Path) -> None:
    """Remove the opened films; they are as large as the collection."""
    for path in folder.glob("*"):
        path.unlink()
    if folder.is_dir():
        folder.rmdir()


def data_root(named: Path | None) -> Path | None:
    """Return the folder of the collections: as named, else HILUM_DATA, else None."""
    stated = os.environ.get("HILUM_DATA")
    return named or (Path(stated) if stated else None)

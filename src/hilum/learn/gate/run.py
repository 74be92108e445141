"""From collections to gate.json, with what it is worth, in one go."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hilum.bundle.gate import GATE, GateSpec
from hilum.bundle.lungs import LungSegmenter
from hilum.core.csvtable import numbers_in, read_table
from hilum.core.errors import CohortError, ConfigError
from hilum.core.files import write_text
from hilum.data.cohorts import read_cohort
from hilum.data.duplicates import find_duplicates, link_groups
from hilum.data.leaks import refuse_leaks
from hilum.data.split import SplitSpec, make_split
from hilum.data.table import merge_cases
from hilum.learn.environment import describe_environment
from hilum.learn.films import fingerprint
from hilum.learn.fit import claimed
from hilum.learn.gate.judge import (
    Judged,
    fit_and_judge,
    table_of_ages,
    table_of_cohorts,
    table_of_kinds,
)
from hilum.learn.gate.material import FRONTAL, MADE, Picture, draw, draw_made, kinds_of, plan
from hilum.learn.gate.measure import Measured, keep, kept, measure
from hilum.learn.gate.recipe import GateRecipe

MEASURED = "measured.npz"
FILMS = "films.csv"
TABLES = "tables.md"
KINDS_TABLE, COHORTS_TABLE, AGES_TABLE = "kinds.csv", "cohorts.csv", "ages.csv"


@dataclass(frozen=True, slots=True)
class FittedGate:
    """What a run left in its folder.

    Attributes:
        folder: holds gate.json; kinds.csv, cohorts.csv and ages.csv, and all three in tables.md.
        spec: what ``gate.json`` holds.
        kinds, cohorts, ages: the tables, of pictures held out.
    """

    folder: Path
    spec: GateSpec
    kinds: pd.DataFrame
    cohorts: pd.DataFrame
    ages: pd.DataFrame


def fit_recipe(
    recipe: GateRecipe,
    out: Path,
    *,
    root: Path | None,
    command: str,
    resume: bool = False,
    lungs: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    progress: bool = True,
) -> FittedGate:
    """Gather, make, measure, fit, choose limits, judge.

    Args:
        recipe: the whole run.
        out: the run folder.
        root: where the collections of the recipe lie.
        command: stored in ``gate.json``; must name no folder.
        resume: take the pictures as the run folder has them measured already.
        lungs: bundle whose gate it will be; None for the one inside the package.
        tell: gets one line for each stage.
        progress: show bars on a terminal.

    Raises:
        ConfigError: ``out`` holds another run, or measurements of another lung network.
        CohortError: a collection is not there.
        BundleError: no lung network.
    """
    if root is None:
        raise CohortError(
            "where the collections lie is not known",
            hint="name their folder with --data or HILUM_DATA",
        )
    with claimed(out, recipe, resume=resume):
        segmenter = LungSegmenter(lungs, threads=1)
        tell("reading the collections")
        cases = _gather(recipe, root, out, resume, progress)
    measured = _measure(recipe, cases, segmenter, out, resume, tell, progress)
    tell("fitting, and judging on what was held out")
    judged = fit_and_judge(
        measured, folds_of(measured, cases, recipe), recipe.fit, segmenter.checksum
    )
    return _written(recipe, out, cases, judged, command)


def _gather(
    recipe: GateRecipe, root: Path, out: Path, resume: bool, progress: bool
) -> pd.DataFrame:
    """Read the collections and divide them by patient and duplicate; once a run folder."""
    cohorts = [read_cohort(each.name, root / each.folder) for each in recipe.data.cohorts]
    cases = merge_cases(
        [each.cases for each in cohorts], [each.folder for each in recipe.data.cohorts]
    )
    stored = out / FILMS
    if resume and stored.is_file():
        known = read_table(stored, ("case_id", "group", "fold")).set_index("case_id")
        known["fold"] = numbers_in(known, "fold", str(stored)).astype("int64")
        return refuse_leaks(cases.drop(columns="group").join(known, on="case_id", how="inner"))
    cases = _some(cases, recipe)
    linked = link_groups(cases, find_duplicates(cases, progress=progress))
    spec = SplitSpec(kind="folds", folds=recipe.fit.folds, label=None, seed=recipe.data.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # films without a patient stand alone
        divided = make_split(linked, spec).sort_values("case_id", ignore_index=True)
    write_text(stored, divided[["case_id", "group", "fold"]].to_csv(index=False))
    return divided


def _some(cases: pd.DataFrame, recipe: GateRecipe) -> pd.DataFrame:
    """Draw from the frontal films of collections that have more of them than the recipe takes."""
    most = recipe.data.films_per_cohort
    if most is None:
        return cases
    frontal = cases[kinds_of(cases, recipe.data) == FRONTAL]
    beyond = [
        films.sample(len(films) - most, random_state=recipe.data.seed).index
        for _, films in frontal.groupby("cohort")
        if len(films) > most
    ]
    return cases.drop(index=[row for rows in beyond for row in rows]).reset_index(drop=True)


def _measure(
    recipe: GateRecipe,
    cases: pd.DataFrame,
    segmenter: LungSegmenter,
    out: Path,
    resume: bool,
    tell: Callable[[str], None],
    progress: bool,
) -> Measured:
    stored, note = out / MEASURED, out / "lungs.sha256"
    if resume and stored.is_file():
        if not note.is_file() or note.read_text(encoding="utf-8") != segmenter.checksum:
            raise ConfigError(
                f"{stored}: measured with another lung network",
                hint="start again in another folder with --out",
            )
        return kept(stored)
    kinds = kinds_of(cases, recipe.data)
    wanted = plan(cases, kinds, recipe.data)
    total = len(cases) + sum(map(len, wanted.values())) + len(MADE) * recipe.data.made
    tell(f"{len(cases)} films, {total - len(cases)} pictures made: running the lung network")

    def pictures() -> Iterator[Picture]:
        yield from draw(cases, wanted, kinds, segmenter.segment, recipe.data.seed)
        yield from draw_made(recipe.data.made, recipe.data.seed)

    measured = measure(pictures(), segmenter, total=total, progress=progress)
    keep(measured, stored)
    write_text(note, segmenter.checksum)
    return measured


def folds_of(measured: Measured, cases: pd.DataFrame, recipe: GateRecipe) -> np.ndarray[Any, Any]:
    """Return the fold of each picture: that of its film; those made of nothing take turns."""
    of_film = cases.set_index("case_id")["fold"]
    fold = measured.pictures["case_id"].map(of_film)
    turns = np.arange(len(fold)) % recipe.fit.folds + 1.0
    return fold.fillna(pd.Series(turns)).to_numpy(np.float64)


def _written(
    recipe: GateRecipe, out: Path, cases: pd.DataFrame, judged: Judged, command: str
) -> FittedGate:
    kinds, cohorts = table_of_kinds(judged.outcomes), table_of_cohorts(judged.outcomes)
    kinds["refused_unforeseen"] = kinds["kind"].map(judged.unforeseen)
    ages = table_of_ages(judged.outcomes, cases.set_index("case_id")["age_years"])
    for table, name in ((kinds, KINDS_TABLE), (cohorts, COHORTS_TABLE), (ages, AGES_TABLE)):
        write_text(out / name, table.round(4).to_csv(index=False, lineterminator="\n"))
    parts = [as_markdown(table) for table in (kinds, cohorts, ages)]
    write_text(out / TABLES, "\n".join(parts))
    spec = judged.gate.spec.model_copy(
        update={"made": _made(recipe, cases, command), "measured": _measured(kinds, cohorts)}
    )
    text = json.dumps(spec.model_dump(mode="json"), allow_nan=False)
    write_text(out / GATE, text + "\n")
    return FittedGate(out, spec, kinds, cohorts, ages)


def as_markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown: shares in percent, counts whole, nothing for NaN and 0.

    >>> print(as_markdown(pd.DataFrame({"kind": ["a"], "films": [54], "refused": [0.981]})))
    | kind | films | refused |
    |---|---|---|
    | a | 54 | 98.1 % |
    <BLANKLINE>
    """
    lines = [list(map(str, table.columns)), ["---"] * len(table.columns)]
    lines += [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    text = [f"| {' | '.join(line)} |" for line in lines]
    text[1] = text[1].replace(" ", "")
    return "\n".join(text) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.1%}".replace("%", " %")
    return "" if value == 0 else str(value)


def _made(recipe: GateRecipe, cases: pd.DataFrame, command: str) -> dict[str, Any]:
    return {
        "recipe": recipe.model_dump(mode="json"),
        "command": command,
        "environment": describe_environment(),
        "data_fingerprint": fingerprint(cases, ["view", "age_years"], {}),
        "films": {str(name): int(n) for name, n in cases["cohort"].value_counts().items()},
    }


def _measured(kinds: pd.DataFrame, cohorts: pd.DataFrame) -> dict[str, Any]:
    """Return the shares as JSON has them; NaN is null."""
    columns = ["kind", "pictures", "right_reason", "refused", "certain", "refused_unforeseen"]
    return {
        "kinds": json.loads(kinds[columns].round(4).to_json(orient="records")),
        "good_films": json.loads(cohorts.round(4).to_json(orient="records")),
    }

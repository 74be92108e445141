"""Prepare: gather the films once for a whole grid, link copies once, and split for each entry."""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hilum.core.errors import CohortError
from hilum.core.files import atomic_path, sha256_of
from hilum.data.duplicates import find_duplicates, link_groups
from hilum.data.leaks import refuse_leaks
from hilum.data.split import make_split, read_pairs
from hilum.data.table import read_cases, write_cases
from hilum.learn.compare.grid import Entry
from hilum.learn.gather import choose_films
from hilum.learn.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Prepared:
    """The films of one ``[data]``.

    Attributes:
        cases: with ``group``, not split.
        path: the same as CSV, for the workers.
        left_out: reason -> films; notes: sentences for the user.
    """

    cases: pd.DataFrame
    path: Path
    left_out: dict[str, int]
    notes: list[str]


def prepare(recipe: Recipe, root: Path | None, out: Path) -> Prepared:
    """Gather the films of a recipe and link copies; the search is made once for the same files.

    Args:
        recipe: ``[data]`` and ``split.seed`` (which draws ``films_per_cohort``) are used.
        root: of the collections.
        out: of the comparison; the table and the pairs are kept in ``out/cases``.

    Raises:
        HilumError: as ``choose_films``.
    """
    cases, left_out, notes = choose_films(recipe.data, root, seed=recipe.split.seed)
    films = _films_key(cases)
    path = out / "cases" / f"{_key(films, cases)}.csv"
    pairs_path = out / "cases" / f"{films}.pairs.csv"
    if not pairs_path.is_file():
        with atomic_path(pairs_path) as temporary:
            found = find_duplicates(cases, progress=sys.stderr.isatty())
            found.to_csv(temporary, index=False)
    linked = link_groups(cases, read_pairs(pairs_path)).drop(
        columns=["split", "fold"], errors="ignore"
    )
    write_cases(linked, path)
    return Prepared(read_cases(path), path, left_out, notes)


def divide(cases: pd.DataFrame, recipe: Recipe, entry: Entry) -> pd.DataFrame:
    """Split for one entry: what is left out is test, the rest train and val.

    Args:
        cases: with ``group``.
        recipe: of the run (``recipe_of_run``).

    Returns:
        The cases with ``split``; films on no side are not among them.

    Raises:
        HilumError: as ``make_split``.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*have no patient_id")
        split = _fold(cases, recipe, entry) if entry.fold else make_split(cases, recipe.split)
    return refuse_leaks(split[split["split"] != ""].reset_index(drop=True))


def _fold(cases: pd.DataFrame, recipe: Recipe, entry: Entry) -> pd.DataFrame:
    folds = make_split(cases, recipe.split)
    test = folds["fold"] == entry.fold
    train, val, _ = recipe.split.fractions
    fractions = (train / (train + val), val / (train + val), 0.0)
    spec = recipe.split.model_copy(update={"kind": "holdout", "fractions": fractions})
    rest = make_split(folds[~test], spec)
    return pd.concat([rest, folds[test].drop(columns="fold").assign(split="test")])


def _films_key(cases: pd.DataFrame) -> str:
    """Name the films by their ids and contents: all that a search for copies depends on."""
    ordered = cases.sort_values("case_id")
    sums = [_sum(Path(path)) for path in ordered["path"]]
    return _short(json.dumps([ordered["case_id"].tolist(), sums]))


def _key(films: str, cases: pd.DataFrame) -> str:
    return _short(films + cases.drop(columns="path").to_csv(index=False))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sum(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise CohortError(f"{path}: {error.strerror}", hint="see the cases table") from None


def split_key(cases: pd.DataFrame, labels: list[str]) -> str:
    """Return a short hash of who is on which side with which labels."""
    rows = cases[["case_id", "split", *labels]].sort_values("case_id").astype(str)
    return _short(json.dumps(rows.to_numpy().tolist()))

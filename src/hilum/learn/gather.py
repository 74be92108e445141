"""Gather: from collections on disk to one cases table with a split, everything left out counted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.errors import CohortError, ConfigError
from hilum.data.cohorts import read_cohort
from hilum.data.duplicates import find_duplicates, link_groups
from hilum.data.leaks import refuse_leaks
from hilum.data.split import SplitSpec, check_sides, make_split
from hilum.data.table import merge_cases, read_cases
from hilum.learn.recipe import Data


@dataclass(frozen=True, slots=True)
class Gathered:
    """The films of a run.

    Attributes:
        cases: a cases table with a column ``split``.
        left_out: reason -> number of films.
        duplicates: pairs that show one film.
        notes: sentences for the user: rows whose image is missing, and the like.
    """

    cases: pd.DataFrame
    left_out: dict[str, int]
    duplicates: int = 0
    notes: list[str] = field(default_factory=list)


def gather_cases(
    data: Data, split: SplitSpec, root: Path | None, *, progress: bool = True
) -> Gathered:
    """Read, filter, link duplicates and split, as the recipe says.

    Args:
        data, split: tables of the recipe.
        root: the folder that the collections lie in; needed for ``data.cohorts``.

    Raises:
        ConfigError: collections without a root, or a split that makes folds.
        CohortError: a collection is not there, a label column is missing, nothing is left, or a
            table that was split before names another side than train, val and test.
        LeakageError: such a table has a patient, or copies of a film, on two sides.
    """
    _check_kind(split)
    cases, left_out, notes = choose_films(data, root, seed=split.seed)
    if divided := "split" in cases.columns:
        check_sides(cases)  # before the films are opened
    pairs = find_duplicates(cases, progress=progress)
    warned: list[str] = []
    if divided:
        refuse_leaks(cases, pairs)
    else:
        cases, warned = _divide(link_groups(cases, pairs), split)
    if aside := int((cases["split"] == "").sum()):
        left_out["on no side of the split"] = aside
        cases = cases[cases["split"] != ""].reset_index(drop=True)
    return Gathered(cases, left_out, len(pairs), [*notes, *warned])


def choose_films(
    data: Data, root: Path | None, *, seed: int
) -> tuple[pd.DataFrame, dict[str, int], list[str]]:
    """Read the collections (or the table) and apply the filters of ``[data]``.

    Returns:
        The cases, reason -> number of films left out, and sentences for the user.

    Raises:
        ConfigError: collections without a root.
        CohortError: a collection is not there, a label column is missing, or nothing is left.
        LeakageError: the table has a patient on two sides.
    """
    cases, notes = _read(data, root)
    refuse_leaks(cases)
    cases, left_out = select(cases, data, seed=seed)
    return cases, left_out, notes


def _check_kind(split: SplitSpec) -> None:
    if split.kind == "folds" or (split.kind == "leave-one-out" and split.held_out is None):
        raise ConfigError(
            f"split.kind '{split.kind}' makes folds; training needs train, val and test",
            hint='split.kind = "holdout", or name one split.held_out',
        )


def _divide(cases: pd.DataFrame, split: SplitSpec) -> tuple[pd.DataFrame, list[str]]:
    """Split, and return what the split warns of as sentences."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        divided = make_split(cases, split)
    return divided, [str(warning.message) for warning in caught]


def select(cases: pd.DataFrame, data: Data, *, seed: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Apply the filters of ``[data]`` one after another.

    Returns:
        The films that are left, and reason -> number of those that each filter took.

    Raises:
        CohortError: a label has no column, or nothing is left.
    """
    labels = [label.value for label in data.labels]
    if lacking := [name for name in labels if name not in cases.columns]:
        raise CohortError(
            f"no collection gives the label {', '.join(lacking)}",
            hint="'hilum cohort read NAME FOLDER' shows the labels of a collection",
        )
    left_out: dict[str, int] = {}
    for reason, wanted in _filters(data, labels):
        kept = wanted(cases)
        left_out |= {reason: int((~kept).sum())} if not kept.all() else {}
        cases = cases[kept]
    if data.films_per_cohort is not None:
        kept = _drawn(cases, data.films_per_cohort, seed)
        left_out["beyond films_per_cohort"] = int((~kept).sum())
        cases = cases[kept]
    if cases.empty:
        raise CohortError(f"no films are left; left out: {left_out}", hint="widen [data]")
    return cases.reset_index(drop=True), left_out


def _filters(data: Data, labels: Sequence[str]):  # type: ignore[no-untyped-def]
    views = {view.value for view in data.views} | ({""} if data.keep_unknown_view else set())
    yield "not an X-ray", lambda cases: cases["modality"].isin(["X-ray", ""])
    yield "view not wanted", lambda cases: cases["view"].isin(sorted(views))
    if data.min_age_years is not None:
        yield f"younger than {data.min_age_years:g} years", lambda cases: _old_enough(cases, data)
    yield "no label known", lambda cases: cases[list(labels)].notna().any(axis=1)


def _old_enough(cases: pd.DataFrame, data: Data) -> pd.Series[bool]:
    unknown = cases["age_years"].isna()
    return (cases["age_years"] >= data.min_age_years) | (unknown & data.keep_unknown_age)


def _drawn(cases: pd.DataFrame, films: int, seed: int) -> NDArray[np.bool_]:
    """Mark ``films`` of each cohort, drawn at random."""
    order = np.random.default_rng(seed).permutation(len(cases))
    place = cases.iloc[order].groupby("cohort").cumcount()
    return (place.reindex(cases.index) < films).to_numpy()


def _read(data: Data, root: Path | None) -> tuple[pd.DataFrame, list[str]]:
    if data.cases is not None:
        return read_cases(Path(data.cases)), []
    if root is None:
        raise ConfigError(
            "the recipe names collections, but not the folder that they lie in",
            hint="--data FOLDER, or set HILUM_DATA",
        )
    cohorts = [read_cohort(each.name, root / each.folder) for each in data.cohorts]
    notes = [f"{cohort.name}: {line}" for cohort in cohorts for line in cohort.report.left_out()]
    names = [each.folder for each in data.cohorts]
    return merge_cases([cohort.cases for cohort in cohorts], names), notes

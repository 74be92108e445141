"""Predictions: one row per film and label, what a reader said beside what is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from hilum.core.case import LABEL_COLUMNS, SIDES, is_side, owner_of
from hilum.core.config import did_you_mean
from hilum.core.csvtable import numbers_in, read_table, refuse_look_alikes
from hilum.core.errors import CohortError
from hilum.core.reading import PredictionSet
from hilum.judge.panel import ScoredCases

REQUIRED = ("case_id", "label", "truth", "score")
TEXT = (
    "group",
    "patient_id",
    "cohort",
    "source",
    "view",
    "sex",
    "reference_standard",
    "prediction_set",
)
NUISANCE_PREFIX = "nuisance_"
_NUMBERS = ("truth", "score", "probability", "age_years")


def read_predictions(
    path: Path, *, split: str | None = None, unscored: bool = False
) -> pd.DataFrame:
    """Read a CSV of predictions; see ``check_predictions``.

    Args:
        path: the CSV.
        split: keep only the rows whose column ``split`` says this, if there is such a column.
        unscored: keep rows without a score.

    Raises:
        CohortError: no such file, not a table, or a fault in it.
    """
    table = read_scores(path)
    if "split" in table:
        sides = f"{', '.join(SIDES)} in small letters"
        _refuse(table, ~table["split"].map(is_side), str(path), "split", sides)
    if split is not None and "split" in table:
        table = table[table["split"] == split]
    return check_predictions(table, where=str(path), unscored=unscored)


def read_scores(path: Path) -> pd.DataFrame:
    """Read any table that has scores: columns of numbers as float64, NaN where blank; else text.

    Raises:
        CohortError: as ``read_table``, or a cell that should hold a number does not.
    """
    table = read_table(path)
    refuse_look_alikes(table.columns, (*REQUIRED, *_NUMBERS, *TEXT, "split"), str(path))
    for name in table.columns:
        if name in _NUMBERS or name.startswith(NUISANCE_PREFIX):
            table[name] = numbers_in(table, name, str(path))
    return table


def check_predictions(
    predictions: pd.DataFrame, *, where: str = "predictions", unscored: bool = False
) -> pd.DataFrame:
    """Validate a table of predictions and fill what may be left out.

    Required: ``case_id``, ``label``, ``truth`` (1, 0 or blank), ``score`` in [0, 1], higher =
    more likely present. Optional: ``probability`` (else the score), ``group`` and
    ``patient_id`` (whose film it is: ``hilum.core.case.owner_of``), ``cohort``, ``source``,
    ``view``, ``sex``, ``age_years``, ``reference_standard``, ``prediction_set`` (of a reading),
    ``nuisance_*``. A blank score is a fault, unless such rows are wanted (``unscored``).

    Returns:
        A copy with every optional column but ``nuisance_*``; unknown text is "", and ``group`` is
        the owner of the film.

    Raises:
        CohortError: a column is missing, a case or label is blank, a film stands twice, a score or
            truth is out of range, or no truth is known.
    """
    _check_columns(predictions, where)
    table = predictions.copy()
    for column, named in (("case_id", "the name of a film"), ("label", "a label, e.g. covid-19")):
        _refuse(table, table[column].isna() | _is_blank(table[column]), where, column, named)
    table["case_id"], table["label"] = table["case_id"].astype(str), table["label"].astype(str)
    table["truth"] = _numbers(table, "truth", where)
    table["score"] = _numbers(table, "score", where)
    table["probability"] = _numbers(table, "probability", where, default=table["score"])
    table["age_years"] = _numbers(table, "age_years", where, default=np.nan)
    _check_values(table, where, unscored)
    for column in TEXT:
        given = table[column] if column in table else pd.Series("", index=table.index)
        table[column] = given.astype(object).where(given.notna(), "").astype(str)
    _refuse(
        table,
        ~table["prediction_set"].isin(["", *PredictionSet]),
        where,
        "prediction_set",
        ", ".join(PredictionSet),
    )
    table["group"] = owner_of(table)
    return table.reset_index(drop=True)


def scored(table: pd.DataFrame, threshold: float) -> ScoredCases:
    """Return the rows of one label whose truth is known as arrays, called at ``threshold``."""
    known = table[table["truth"].notna()]
    score = known["score"].to_numpy(np.float64)
    return ScoredCases(
        truth=known["truth"].to_numpy() == 1,
        score=score,
        probability=known["probability"].to_numpy(np.float64),
        called=score >= threshold,
        groups=known["group"].to_numpy(dtype=str),
    )


def nuisance_columns(table: pd.DataFrame) -> list[str]:
    """Name the nuisance columns of a table, in order."""
    return [column for column in table.columns if column.startswith(NUISANCE_PREFIX)]


def _check_columns(table: pd.DataFrame, where: str) -> None:
    for column in REQUIRED:
        if column not in table:
            raise CohortError(
                f"{where}: no column '{column}'; expected {', '.join(REQUIRED)}",
                hint=did_you_mean(column, [str(name) for name in table.columns]),
            )
    if table.empty:
        raise CohortError(f"{where}: no rows", hint="one row per film and label")


def _numbers(
    table: pd.DataFrame, column: str, where: str, default: pd.Series | float | None = None
) -> pd.Series:
    if column not in table:
        return pd.Series(default, index=table.index, dtype=np.float64)
    numbers = pd.to_numeric(table[column], errors="coerce")
    wrong = numbers.isna() & table[column].notna() & ~_is_blank(table[column])
    if wrong.any():
        row = table[wrong].iloc[0]
        raise CohortError(
            f"{where} row {row.name} ({row['case_id']}), column {column}: {row[column]!r}; "
            "expected a number"
        )
    return numbers.astype(np.float64)


def _is_blank(texts: pd.Series) -> pd.Series:
    return texts.astype(str).str.strip() == ""


def _check_values(table: pd.DataFrame, where: str, unscored: bool) -> None:
    truths = table["truth"].isin([0, 1]) | table["truth"].isna()
    _refuse(table, ~truths, where, "truth", "1, 0 or blank")
    unread = table["score"].isna() & unscored
    for column in ("score", "probability"):
        wrong = ~table[column].between(0, 1) & ~unread
        _refuse(table, wrong, where, column, "a number in [0, 1]")
    twice = table[table.duplicated(["case_id", "label"])]
    if len(twice):
        row = twice.iloc[0]
        raise CohortError(
            f"{where}: {row['case_id']} stands twice for label '{row['label']}'",
            hint="one row per film and label; average the scores of copies first",
        )
    labels = [str(name) for name in table["label"].unique()]
    strange = [name for name in labels if name not in LABEL_COLUMNS]  # each is judged on a part
    refuse_look_alikes(strange, [*LABEL_COLUMNS, *labels], where, what="label")
    if table["truth"].isna().all():
        raise CohortError(
            f"{where}: every truth is blank; nothing can be compared",
            hint="fill the label column, or choose another --label or --split",
        )


def _refuse(table: pd.DataFrame, wrong: pd.Series, where: str, column: str, expected: str) -> None:
    if wrong.any():
        row = table[wrong].iloc[0]
        blank = bool(pd.isna(row[column])) or not str(row[column]).strip()
        raise CohortError(
            f"{where} row {row.name} ({row['case_id']}), column {column}: "
            f"{'blank' if blank else row[column]}; expected {expected}",
            hint="leave out the rows of films that were not scored"
            if blank and column == "score"
            else "",
        )

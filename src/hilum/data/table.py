"""Table: cases in and out of CSV, validated, with the row and column in every complaint.

In memory text that is unknown is "", a number that is unknown is NaN, and paths are absolute.
In CSV both unknowns are blank, and paths beneath the CSV's folder are relative to it, so that a
folder with its table can be moved. Row 1 is the header, as in a spreadsheet.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hilum.core.case import COLUMNS, LABEL_COLUMNS, REQUIRED_COLUMNS, SIDES, is_side
from hilum.core.csvtable import numbers_in, plain, read_table, refuse_look_alikes, require
from hilum.core.errors import CohortError
from hilum.core.files import atomic_path
from hilum.core.labels import ReferenceStandard, View
from hilum.core.textfile import parse_json

NUMBERS: tuple[str, ...] = ("age_years", "offset_days", "fold", *LABEL_COLUMNS)
"""Columns that hold numbers; every other column is text."""

PATHS: tuple[str, ...] = ("path", "lung_mask")
ADDED: tuple[str, ...] = ("split", "fold")
"""Columns that a split adds."""

MODALITIES = ("X-ray", "CT")

_CHOICES: dict[str, tuple[str, ...]] = {
    "view": tuple(view.value for view in View),
    "sex": ("M", "F"),
    "modality": MODALITIES,
    "reference_standard": tuple(standard.value for standard in ReferenceStandard),
}
_FIRST_ROW = 2


def read_cases(path: str | Path) -> pd.DataFrame:
    """Read a cases table that Hilum or a person wrote.

    Args:
        path: CSV, see ``hilum.core.csvtable``, with at least ``REQUIRED_COLUMNS`` of
            ``hilum.core.case``. Columns that Hilum does not know are kept as text, unless one
            differs from a known one in case and punctuation only ("COVID-19"): that is refused.

    Returns:
        A table as ``Cohort.cases`` has it: every column of ``COLUMNS``, the label columns of the
        file, then its other columns. Whether the images exist is not checked here.

    Raises:
        CohortError: no such file, no CSV, or a value that is not allowed; the message names file,
            row and column.
    """
    path = Path(path)
    cases = read_table(path)
    require_columns(cases, str(path))
    refuse_look_alikes(cases.columns, [*COLUMNS, *LABEL_COLUMNS, *ADDED], str(path))
    for name in [name for name in cases.columns if name in NUMBERS]:
        cases[name] = numbers_in(cases, name, str(path))
    rows = cases.index.tolist()
    cases = arrange(cases)
    check_cases(cases, str(path), rows=rows)
    if cases.empty:
        raise CohortError(f"{path}: a header without rows", hint="one row a film")
    folder = path.resolve().parent
    return _map_paths(cases, lambda text: _on_disk(folder, text))


def write_cases(cases: pd.DataFrame, path: str | Path) -> None:
    """Check a cases table and write it as CSV, whole or not at all.

    Raises:
        CohortError: a value that is not allowed.
    """
    path = Path(path)
    cases = arrange(cases)
    check_cases(cases, str(path))
    folder = f"{path.resolve().parent}{os.sep}"
    table = _map_paths(cases, lambda text: _relative(text, folder))
    for name in table.select_dtypes("number").columns:
        table[name] = table[name].map(_number_text)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")


def merge_cases(tables: Sequence[pd.DataFrame], names: Sequence[str] = ()) -> pd.DataFrame:
    """Put cases tables under one another; a column that one lacks is unknown there.

    Args:
        tables: as from ``read_cases``.
        names: what to call each in an error, e.g. its file; default "table 1", ...

    Raises:
        CohortError: one ``case_id`` in two tables, or twice in one; both places are named.
    """
    if not tables:
        raise CohortError("no cases tables to merge", hint="name at least one CSV")
    names = list(names) or [f"table {number}" for number in range(1, len(tables) + 1)]
    seen: dict[str, str] = {}
    for name, table in zip(names, tables, strict=True):
        for row, case_id in enumerate(table["case_id"], start=_FIRST_ROW):
            place = f"{name} row {row}"
            if case_id in seen:
                raise _duplicate(case_id, seen[case_id], place, _OF_COHORTS)
            seen[case_id] = place
    return arrange(pd.concat([arrange(table) for table in tables], ignore_index=True))


def arrange(cases: pd.DataFrame) -> pd.DataFrame:
    """Return a copy with every column of ``COLUMNS``, in order, then labels, then the others.

    Text that is missing becomes "", numbers NaN; the types are those of ``Cohort.cases``.
    """
    labels = [name for name in LABEL_COLUMNS if name in cases.columns]
    others = [name for name in cases.columns if name not in COLUMNS and name not in labels]
    arranged = cases.reindex(columns=[*COLUMNS, *labels, *others]).reset_index(drop=True)
    for name in arranged.columns:
        if name in NUMBERS:
            arranged[name] = arranged[name].astype("float64")
        elif name in COLUMNS or not pd.api.types.is_numeric_dtype(arranged[name]):
            arranged[name] = arranged[name].astype("object").fillna("").astype("str")
        if name in COLUMNS and name not in NUMBERS and name not in PATHS:
            arranged[name] = arranged[name].map(plain).astype("str")
    return arranged


def check_cases(cases: pd.DataFrame, where: str, *, rows: Sequence[int] | None = None) -> None:
    """Check every value of a cases table.

    Args:
        cases: as ``arrange`` returns it.
        where: what to call the table in an error.
        rows: of the file that the cases stand in; default: one after another, from row 2.

    Raises:
        CohortError: the first wrong value, with its row and column.
    """
    require_columns(cases, where)
    numbers = range(_FIRST_ROW, _FIRST_ROW + len(cases)) if rows is None else rows
    cases = cases.set_axis(pd.Index(numbers), axis=0)
    for name in REQUIRED_COLUMNS:
        _check_each(cases, name, where, bool, "a value; it is blank")
    _check_unique(cases, where)
    for name, choices in _CHOICES.items():
        allowed = {"", *choices}
        _check_each(cases, name, where, allowed.__contains__, f"{', '.join(choices)} or blank")
    for name in [name for name in LABEL_COLUMNS if name in cases.columns]:
        _check_each(cases, name, where, _is_label, "1, 0 or blank")
    if "split" in cases:
        _check_each(cases, "split", where, is_side, f"{', '.join(SIDES)} in small letters")
    _check_each(cases, "age_years", where, _is_age, "0 to 120 years or blank")
    _check_each(cases, "study_date", where, _is_date, "an ISO 8601 date (2020-03-14) or blank")
    for name, good in _JSON.items():
        _check_each(cases, name, where, partial(_is_json, good), COLUMNS[name])


def require_columns(cases: pd.DataFrame, where: str) -> None:
    """Raise ``CohortError`` unless the columns that every case must have are there."""
    try:
        require(cases, REQUIRED_COLUMNS, where)
    except CohortError as error:
        hint = f"{error.hint}; `hilum cohort read csv` adapts a table of your own"
        raise CohortError(error.message, hint=hint) from None


def _check_each(
    cases: pd.DataFrame, name: str, where: str, good: Callable[..., bool], expected: str
) -> None:
    verdict = {value: good(value) for value in cases[name].unique()}
    wrong = ~cases[name].map(verdict).astype(bool)
    if wrong.any():
        place = int(wrong.to_numpy().argmax())
        row, found = cases.index[place], cases[name].iloc[place]
        found = found.item() if isinstance(found, np.generic) else found
        raise CohortError(f"{where} row {row}, column {name}: {found!r}; expected {expected}")


def _check_unique(cases: pd.DataFrame, where: str) -> None:
    again = cases["case_id"].duplicated()
    if again.any():
        second = int(again.to_numpy().argmax())
        case_id = str(cases["case_id"].iloc[second])
        first = int((cases["case_id"] == case_id).to_numpy().argmax())
        rows = cases.index
        raise _duplicate(
            case_id,
            f"{where} row {rows[first]}",
            f"row {rows[second]}",
            "every film needs a case_id of its own, and one row",
        )


_OF_COHORTS = "every film needs a case_id of its own; give each cohort its own name (--name)"


def _duplicate(case_id: str, first: str, second: str, hint: str) -> CohortError:
    return CohortError(f"case_id '{case_id}' stands twice: {first} and {second}", hint=hint)


def _is_label(value: float) -> bool:
    return value in (0.0, 1.0) or math.isnan(value)


def _is_age(value: float) -> bool:
    return math.isnan(value) or 0 <= value <= 120


def _is_date(text: str) -> bool:
    try:
        return text == "" or datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_json(good: Callable[[Any], bool], text: str) -> bool:
    try:
        return text == "" or good(parse_json(text))
    except ValueError:
        return False


def _are_masks(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, str) and each for each in value.values()
    )


def _are_boxes(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(box, dict)
        and isinstance(box.get("label"), str)
        and all(_is_finite(box.get(side)) for side in ("x", "y", "width", "height"))
        for box in value
    )


def _are_scores(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_finite(each) for each in value.values())


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


_JSON: dict[str, Callable[[Any], bool]] = {
    "lesion_masks": _are_masks,
    "boxes": _are_boxes,
    "scores": _are_scores,
}


def _map_paths(cases: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    cases = cases.copy()
    for name in PATHS:
        cases[name] = [change(text) if text else "" for text in cases[name]]
    cases["lesion_masks"] = [
        json.dumps({key: change(text) for key, text in json.loads(masks).items()}) if masks else ""
        for masks in cases["lesion_masks"]
    ]
    return cases


def _on_disk(folder: Path, text: str) -> str:
    """Return where a path of a table lies, written on Windows or with composed letters or not."""
    path = os.path.normpath(folder / text)
    if (text.isascii() and "\\" not in text) or os.path.lexists(path):
        return path
    text = text.replace("\\", "/")
    forms = [os.path.normpath(folder / form) for form in (text, unicodedata.normalize("NFD", text))]
    return next((form for form in forms if os.path.lexists(form)), forms[0])


def _relative(text: str, folder: str) -> str:
    path = str(Path(text).absolute())
    return path.removeprefix(folder).replace(os.sep, "/") if path.startswith(folder) else path


def _number_text(value: float) -> str:
    if math.isnan(value):
        return ""
    return str(int(value)) if float(value).is_integer() else repr(float(value))

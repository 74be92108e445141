"""Leaks: one patient, or one film, on both sides of a split, wherever the split was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from hilum.core.case import owner_of
from hilum.core.errors import CohortError, LeakageError
from hilum.data.duplicates import check_pairs

SIDE_COLUMNS = ("split", "fold")
"""Columns that divide a table; a blank is on no side."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One patient, group or film on two sides.

    Attributes:
        kind: "patient", "group" (patients linked by a duplicate) or "duplicate".
        key: the patient, the group, or "exact" / "near" for a duplicate.
        column: the column that puts the two cases apart: "split" or "fold".
        case_a, side_a: a case, and where it stands.
        case_b, side_b: the case that should stand there, too.
    """

    kind: str
    key: str
    column: str
    case_a: str
    side_a: str
    case_b: str
    side_b: str

    def __str__(self) -> str:
        """One line that names both cases."""
        what = f"{self.key} {self.kind}" if self.kind == "duplicate" else f"{self.kind} {self.key}"
        return (
            f"{what} on both sides of '{self.column}': "
            f"{self.case_a} ({self.side_a}) and {self.case_b} ({self.side_b})"
        )


def check_leaks(cases: pd.DataFrame, pairs: pd.DataFrame | None = None) -> list[Leak]:
    """Find every patient, group and duplicate that stands on more than one side.

    A patient on three sides is three leaks, one for each two sides, with the first case of each.
    A group is named only where no single patient of it explains the leak.

    Args:
        cases: with ``case_id``, ``patient_id``, and ``split`` or ``fold``; ``group`` where known.
        pairs: as from ``find_duplicates``, or None to look at patients and groups alone.

    Raises:
        CohortError: there is no column that divides the table, or no patients.
    """
    columns = [column for column in SIDE_COLUMNS if column in cases]
    if not columns:
        raise CohortError(
            "cases: no column split or fold, so there are no sides to compare",
            hint="make one with `hilum cohort split cases.csv -o split.csv`",
        )
    if lacking := [name for name in ("case_id", "patient_id") if name not in cases]:
        raise CohortError(f"cases: no column {', '.join(lacking)}")
    if pairs is not None:
        check_pairs(cases, pairs)
    return [leak for column in columns for leak in _in_column(cases, pairs, column)]


def refuse_leaks(cases: pd.DataFrame, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the table as it is: every road into training and judging leads through here.

    Call it with the whole table, before rows are chosen: a side that was left out cannot leak.

    Args:
        cases: with ``case_id``; without ``split`` or ``fold`` there are no sides to compare.
        pairs: copies, as from ``find_duplicates``, where they were looked for.

    Raises:
        LeakageError: one patient, group or film stands on two sides.
    """
    if "case_id" in cases and any(column in cases for column in SIDE_COLUMNS):
        known = cases if "patient_id" in cases else cases.assign(patient_id="")
        raise_on_leak(check_leaks(known, pairs))
    return cases


def raise_on_leak(leaks: Sequence[Leak]) -> None:
    """Raise ``LeakageError`` that names both cases of the first leak and counts the others."""
    if leaks:
        more = f" (and {len(leaks) - 1} more)" if len(leaks) > 1 else ""
        raise LeakageError(
            f"{leaks[0]}{more}",
            hint="split again with `hilum cohort split`, which keeps groups together",
        )


def sides(cases: pd.DataFrame, column: str) -> pd.Series[str]:
    """Return the side of each case as text; "" where it stands on none."""
    values = cases[column]
    if pd.api.types.is_numeric_dtype(values):  # a fold that a CSV made 1.0 is still fold 1
        return values.map(lambda value: "" if pd.isna(value) else f"{value:g}").astype(str)
    return values.fillna("").astype(str).str.strip()


def _in_column(cases: pd.DataFrame, pairs: pd.DataFrame | None, column: str) -> Iterator[Leak]:
    placed = pd.DataFrame(
        {
            "case_id": cases["case_id"].astype(str),
            "patient": owner_of(cases.drop(columns="group", errors="ignore")),
            "group": owner_of(cases),
            "side": sides(cases, column),
        }
    )
    placed = placed[placed["side"] != ""].sort_values("case_id")
    yield from _divided(placed, "patient", column)
    explained = {leak.case_a for leak in _divided(placed, "patient", column)}
    told = placed[placed["case_id"].isin(explained)]["group"]
    yield from _divided(placed[~placed["group"].isin(told)], "group", column)
    if pairs is not None:
        yield from _duplicates(placed, pairs, column)


def _divided(placed: pd.DataFrame, kind: str, column: str) -> Iterator[Leak]:
    first = placed.drop_duplicates([kind, "side"])
    divided = first[first.duplicated(kind, keep=False)]
    for key, rows in divided.groupby(kind):
        stands = zip(rows["case_id"], rows["side"], strict=True)
        for (case_a, side_a), (case_b, side_b) in combinations(stands, 2):
            yield Leak(kind, str(key), column, case_a, side_a, case_b, side_b)


def _duplicates(placed: pd.DataFrame, pairs: pd.DataFrame, column: str) -> Iterator[Leak]:
    side = placed.set_index("case_id")["side"]
    kinds = pairs["kind"] if "kind" in pairs else ["near"] * len(pairs)
    for case_a, case_b, kind in zip(pairs["case_id_a"], pairs["case_id_b"], kinds, strict=True):
        side_a, side_b = side.get(case_a), side.get(case_b)
        if side_a is not None and side_b is not None and side_a != side_b:
            yield Leak("duplicate", str(kind), column, case_a, str(side_a), case_b, str(side_b))

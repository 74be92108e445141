"""Cohort: one collection as a cases table, with a report of how it was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from hilum.core.case import LABEL_COLUMNS, owner_of


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What a reader found besides the films: nothing is dropped in silence.

    Attributes:
        rows: rows of the collection's tables, or image files where it has no table.
        missing: rows whose image is not there: "metadata.csv row 12: images/a.png".
        ambiguous: rows whose image may be one of several, which are named; no film is taken.
        passed_over: folders that were not entered: no rights, or a link that leads elsewhere.
        resolved: names that differ from the file in case, extension or folder: "374.png ->
            374.PNG".
        without_row: images that no row names; they are kept, each with a patient of its own.
        skipped: files and rows that are no film of the collection, with the reason.
        notes: what a user should know of the collection as a whole.
    """

    rows: int
    missing: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()
    without_row: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def left_out(self) -> list[str]:
        """Say what a table or a folder names and the cases do not have, a line each."""
        kinds = {
            "rows have no image": self.missing,
            "rows may mean several images": self.ambiguous,
            "folders could not be entered": self.passed_over,
        }
        return [f"{len(texts)} {kind}" for kind, texts in kinds.items() if texts]


@dataclass(frozen=True, slots=True)
class Cohort:
    """One collection, read.

    Attributes:
        name: name of the adapter, or what the caller called the collection.
        cases: one row a film; every column of ``hilum.core.case.COLUMNS`` (text, "" = unknown;
            numbers, NaN = unknown; ``path`` absolute) and the label columns that the collection
            gives (float 1, 0, or NaN for unknown).
        report: what was missing, resolved or skipped.
    """

    name: str
    cases: pd.DataFrame
    report: ReadReport = field(default_factory=lambda: ReadReport(rows=0))

    @property
    def films(self) -> int:
        """How many films there are."""
        return len(self.cases)

    @property
    def patients(self) -> int:
        """How many people they show, as far as the collection says."""
        return owner_of(self.cases).nunique()

    def label_counts(self) -> dict[str, tuple[int, int, int]]:
        """Count the films of each label of the collection as (1, 0, unknown)."""
        return label_counts(self.cases)


def label_counts(cases: pd.DataFrame) -> dict[str, tuple[int, int, int]]:
    """Count the films of each label as (1, 0, unknown), for the label columns that are there.

    >>> label_counts(pd.DataFrame({"covid-19": [1.0, 1.0, float("nan")]}))
    {'covid-19': (2, 0, 1)}
    """
    found = [name for name in LABEL_COLUMNS if name in cases.columns]
    return {
        name: (
            int((cases[name] == 1).sum()),
            int((cases[name] == 0).sum()),
            int(cases[name].isna().sum()),
        )
        for name in found
    }


Adapter = Callable[..., Cohort]
"""``read_x(root: Path, **options) -> Cohort``."""

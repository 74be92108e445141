"""The datasheet of a bundle: which films it was made from, counted, and how they were chosen.

NAME/data.json   written when a bundle is packed; the model card is made from it

Counts only: no film, no name and no date of a single patient. The questions are those of Gebru et
al., Datasheets for Datasets, CACM 2021, as far as a cases table can answer them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from pydantic import model_validator

from hilum.core.case import owner_of
from hilum.core.config import Config, validated
from hilum.core.errors import BundleError
from hilum.core.files import write_text
from hilum.data.catalog import CATALOG

if TYPE_CHECKING:
    import pandas as pd

DATA = "data.json"
UNKNOWN = "unknown"
NO_SIDE = "on no side of the split"
"""How ``learn.gather`` calls films that the split left over: they left after the linking."""


class Cell(NamedTuple):
    """Films that agree in all of these; "unknown" where the collection does not say."""

    cohort: str
    source: str
    split: str
    sex: str
    age: str
    view: str
    films: int


class LabelCounts(NamedTuple):
    """Films with the label, without it, and those that do not say."""

    present: int
    absent: int
    unknown: int


class SplitSide(Config):
    """One side of the split."""

    name: str
    films: int
    patients: int
    labels: dict[str, LabelCounts]


class Flow(Config):
    """How the films came to be chosen.

    Attributes:
        read: films in the collections.
        left_out: reason -> films, in the order of the filters.
        duplicates: pairs of films found to show the same film; they stand on one side.
        kept: on a side of the split.
        not_opened: of those of train and val, images that could not be opened.
    """

    read: int
    left_out: dict[str, int]
    duplicates: int
    kept: int
    not_opened: int = 0

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.read - sum(self.left_out.values()) != self.kept:
            raise ValueError("films read less films left out are not the films kept")
        return self


class CollectionFacts(Config):
    """One collection, as the run saw it; what is said of it in words comes from the catalog.

    Attributes:
        first_date, last_date: of its films, ISO 8601 as far as stated; "" where none is.
        dated: films with a date.
        licences: as each film states it -> films.
        licence: of the collection as a whole.
        standards: reference standard -> films.
    """

    name: str
    what: str
    licence: str
    citation: str
    films: int
    patients: int
    labels: dict[str, LabelCounts]
    first_date: str
    last_date: str
    dated: int
    licences: dict[str, int]
    standards: dict[str, int]


class SourceFacts(Config):
    """One source (a hospital, a journal, a site) within a collection."""

    cohort: str
    name: str
    films: int
    patients: int
    labels: dict[str, LabelCounts]


class Datasheet(Config):
    """What ``data.json`` holds.

    Attributes:
        labels: that the network learned.
        flow, sides: from the collections to the split.
        collections, sources: most films first.
        cells: every film stands in one; all tables by sex, age and view are their sums.
        notes: of the gathering, in sentences.
    """

    schema_version: Literal["1"] = "1"
    labels: tuple[str, ...]
    flow: Flow
    sides: tuple[SplitSide, ...]
    collections: tuple[CollectionFacts, ...]
    sources: tuple[SourceFacts, ...]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        sums = {
            "sides": sum(side.films for side in self.sides),
            "collections": sum(each.films for each in self.collections),
            "sources": sum(each.films for each in self.sources),
            "cells": sum(cell.films for cell in self.cells),
        }
        for name, films in sums.items():
            if films != self.flow.kept:
                raise ValueError(f"{name} hold {films} films; {self.flow.kept} were kept")
        return self

    def write(self, path: Path) -> None:
        """Write JSON, a cell a line."""
        values = self.model_dump(mode="json")
        cells = ",\n    ".join(json.dumps(cell) for cell in values.pop("cells"))
        text = json.dumps(values | {"cells": []}, indent=2)
        write_text(path, text.removesuffix("[]\n}") + f"[\n    {cells}\n  ]\n}}\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``write`` wrote.

        Raises:
            BundleError: not a datasheet of this schema version.
        """
        where = f"{path}: not a datasheet"
        return validated(cls, path.read_bytes(), BundleError, "pack the bundle again", where=where)

    def films(self, column: str, **where: str) -> dict[str, int]:
        """Count films by a column of the cells, of those cells that match ``where``."""
        found: dict[str, int] = {}
        for cell in self.cells:
            if all(getattr(cell, name) == value for name, value in where.items()):
                value = getattr(cell, column)
                found[value] = found.get(value, 0) + cell.films
        return found


def describe_data(
    cases: pd.DataFrame,
    labels: Sequence[str],
    *,
    left_out: Mapping[str, int] | None = None,
    duplicates: int = 0,
    notes: Iterable[str] = (),
    not_opened: int = 0,
) -> Datasheet:
    """Count the films of a run.

    Args:
        cases: a cases table with ``split``; every film of the run.
        labels: columns of it that the network learned.
        left_out: reason -> films that were left out before.
        duplicates: pairs of films that were linked.
        notes: of the gathering.
        not_opened: films of train and val that did not open.
    """
    left_out = dict(left_out or {})
    table = _known(cases)
    return Datasheet(
        labels=tuple(labels),
        flow=Flow(
            read=len(table) + sum(left_out.values()),
            left_out=left_out,
            duplicates=duplicates,
            kept=len(table),
            not_opened=not_opened,
        ),
        sides=tuple(_sides(table, labels)),
        collections=tuple(
            _collection(name[0], films, labels) for name, films in _largest(table, ["cohort"])
        ),
        sources=tuple(
            SourceFacts(cohort=name[0], name=name[1], **_count(films, labels))
            for name, films in _largest(table, ["cohort", "source"])
        ),
        cells=tuple(_cells(table)),
        notes=tuple(notes),
    )


def _known(cases: pd.DataFrame) -> pd.DataFrame:
    """Fill what a cases table may lack; unknown text is "unknown"."""
    import pandas as pd

    from hilum.judge.strata import age_band

    table = cases.reset_index(drop=True).copy()
    for name in ("source", "sex", "view", "reference_standard", "licence", "study_date", "group"):
        column = table[name] if name in table else pd.Series("", index=table.index)
        table[name] = column.astype(object).where(column.notna(), "").astype(str)
    ages = table["age_years"] if "age_years" in table else pd.Series(float("nan"), table.index)
    table["age"] = pd.to_numeric(ages).map(age_band)
    table["source"] = table["source"].where(table["source"] != "", table["cohort"])
    table["owner"] = owner_of(cases).to_numpy()
    for name in ("sex", "view", "age"):
        table[name] = table[name].where(table[name] != "", UNKNOWN)
    return table


def _largest(table: pd.DataFrame, by: list[str]) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """Return the groups, most films first; keys as text."""
    groups = [
        (tuple(str(part) for part in key), films) for key, films in table.groupby(by, sort=True)
    ]
    return sorted(groups, key=lambda pair: -len(pair[1]))


def _sides(table: pd.DataFrame, labels: Sequence[str]) -> list[SplitSide]:
    order = {"train": 0, "val": 1, "test": 2}
    names = sorted(set(table["split"]), key=lambda name: (order.get(name, 3), name))
    return [SplitSide(name=name, **_count(table[table["split"] == name], labels)) for name in names]


def _count(films: pd.DataFrame, labels: Sequence[str]) -> dict[str, object]:
    return {
        "films": len(films),
        "patients": films["owner"].nunique(),
        "labels": {
            name: LabelCounts(
                int((films[name] == 1).sum()),
                int((films[name] == 0).sum()),
                int(films[name].isna().sum()),
            )
            for name in labels
        },
    }


def _collection(name: str, films: pd.DataFrame, labels: Sequence[str]) -> CollectionFacts:
    entry = CATALOG.get(name)
    dates = films["study_date"][films["study_date"] != ""].str[:10]
    return CollectionFacts(
        name=name,
        what=entry.what if entry else "",
        licence=entry.licence if entry else "",
        citation=entry.citation if entry else "",
        first_date=dates.min() if len(dates) else "",
        last_date=dates.max() if len(dates) else "",
        dated=len(dates),
        licences=_tally(films["licence"], "not stated"),
        standards=_tally(films["reference_standard"], "unstated"),
        **_count(films, labels),
    )


def _tally(column: pd.Series, blank: str) -> dict[str, int]:
    named = column.where(column != "", blank)
    return {str(name): int(count) for name, count in named.value_counts(sort=True).items()}


def _cells(table: pd.DataFrame) -> list[Cell]:
    by = list(Cell._fields[:-1])
    counts = table.groupby(by, sort=True).size().reset_index(name="films")
    rows = [(*(str(row[name]) for name in by), int(row["films"])) for _, row in counts.iterrows()]
    return [Cell._make(row) for row in rows]

"""Join: predictions of seeds and ensembles averaged, and called at a threshold chosen on val."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from hilum.core.errors import CohortError
from hilum.learn.compare.grid import Entry
from hilum.learn.compare.run import RunMetrics, operating_point, sigmoid

KEYS = ["case_id", "label"]


@dataclass(frozen=True, slots=True)
class EntryAnswer:
    """What one variant says of the films of one entry.

    Attributes:
        val, test: one row a film and label with a known truth, with ``threshold`` and ``called``.
        metrics: of the runs behind it; () for the nuisance numbers.
    """

    val: pd.DataFrame
    test: pd.DataFrame
    metrics: tuple[RunMetrics, ...] = ()


Answers = dict[Entry, EntryAnswer]


def answer(tables: list[pd.DataFrame], metrics: tuple[RunMetrics, ...], where: str) -> EntryAnswer:
    """Average the logits of several tables of predictions and call the films.

    Args:
        tables: of the seeds, or of the members of an ensemble, over the same films.
        metrics: of their runs.
        where: what to call them in an error.

    Raises:
        CohortError: they are not over the same films and sides.
    """
    table = average(tables, where)
    parts = [_called(part) for _, part in table.groupby("label", sort=False)]
    called = pd.concat(parts, ignore_index=True)
    return EntryAnswer(called[called["split"] == "val"], called[called["split"] == "test"], metrics)


def average(tables: list[pd.DataFrame], where: str) -> pd.DataFrame:
    """Return the first table with the mean logit of all; the labels that all have.

    Raises:
        CohortError: they are not over the same films and sides.
    """
    labels = set.intersection(*(set(table["label"]) for table in tables))
    tables = [table[table["label"].isin(labels)] for table in tables]
    sides = [set(map(tuple, table[[*KEYS, "split"]].to_numpy())) for table in tables]
    for other in sides[1:]:
        if odd := sides[0] ^ other:
            raise CohortError(
                f"{where}: cannot be averaged, {len(odd)} rows are not in all; "
                f"one is {sorted(odd)[0]}",
                hint="members of an ensemble need the same [data] and split",
            )
    logits = pd.concat(tables).groupby(KEYS)["logit"].mean()
    table = tables[0].reset_index(drop=True)
    mean = logits.loc[pd.MultiIndex.from_frame(table[KEYS])].to_numpy()
    return table.assign(logit=mean, score=sigmoid(mean))


def each_once(tests: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put the films of several entries under one another; one that stands twice counts once."""
    return pd.concat(tests, ignore_index=True).drop_duplicates(KEYS, ignore_index=True)


def _called(table: pd.DataFrame) -> pd.DataFrame:
    """Add the threshold that val of this label chooses; keep the rows whose truth is unknown."""
    threshold = operating_point(table[table["split"] == "val"]).threshold
    return table.assign(threshold=threshold, called=table["score"] >= threshold)

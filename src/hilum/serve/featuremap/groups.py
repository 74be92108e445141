"""Groups: the ways to color a map, with marks that do not depend on color.

Colors are of Okabe and Ito's palette (2008), which people with any color vision tell apart; every
group has a mark of its own as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.config import Config

GREY = "#8a8f94"
GREEN, RED = "#009E73", "#D55E00"
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800")
MARKS = ("circle", "triangle", "square", "diamond", "down", "cross", "plus")
UNKNOWN, OTHER = "unknown", "others"


class Group(Config):
    """Films that are drawn alike.

    Attributes:
        name: in the legend.
        color: "#rrggbb"; ``mark`` one of ``MARKS`` or "ring" or "dot".
        films: how many.
    """

    name: str
    color: str
    mark: str
    films: int


class Coloring(Config):
    """One way to color the map.

    Attributes:
        key: short name; ``title`` in words.
        groups: in the order of the legend.
        of: which group each film is in.
    """

    key: str
    title: str
    groups: tuple[Group, ...]
    of: tuple[int, ...]


def colorings(table: pd.DataFrame, label: str, point: str) -> tuple[Coloring, ...]:
    """Return the ways to color films, those that tell nothing left out.

    Args:
        table: n rows: truth (1, 0 or NaN), present (bool), cohort, source, view, sex, split.
        label: which ``truth`` it is.
        point: the operating point, in words.
    """
    truth = table["truth"].to_numpy(np.float64)
    called = table["present"].to_numpy(bool)
    found = [
        _fixed("standard", f"{label}: reference standard", _standard(truth, label), len(table)),
        _fixed("right", f"{label}: right or wrong at {point}", _right(truth, called), len(table)),
    ]
    for key, title in _COLUMNS.items():
        if key in table and (table[key] != "").any():
            found.append(_by_value(key, title, table[key].tolist()))
    return tuple(found)


_COLUMNS = {
    "cohort": "collection",
    "source": "source",
    "view": "view",
    "sex": "sex",
    "split": "split",
}

Part = tuple[str, str, str, NDArray[np.bool_]]


def _standard(truth: NDArray[np.float64], label: str) -> list[Part]:
    return [
        (f"{label}", "#D55E00", "triangle", truth == 1),
        (f"no {label}", "#0072B2", "circle", truth == 0),
        (UNKNOWN, GREY, "dot", np.isnan(truth)),
    ]


def _right(truth: NDArray[np.float64], called: NDArray[np.bool_]) -> list[Part]:
    return [
        ("right: present", GREEN, "circle", (truth == 1) & called),
        ("right: absent", GREEN, "ring", (truth == 0) & ~called),
        ("wrong: missed", RED, "down", (truth == 1) & ~called),
        ("wrong: false alarm", RED, "cross", (truth == 0) & called),
        (UNKNOWN, GREY, "dot", np.isnan(truth)),
    ]


def _fixed(key: str, title: str, parts: Sequence[Part], films: int) -> Coloring:
    kept = [part for part in parts if part[3].any()]
    of = np.zeros(films, int)
    for place, part in enumerate(kept):
        of[part[3]] = place
    groups = [
        Group(name=name, color=color, mark=mark, films=int(chosen.sum()))
        for name, color, mark, chosen in kept
    ]
    return Coloring(key=key, title=title, groups=tuple(groups), of=tuple(of.tolist()))


def _by_value(key: str, title: str, values: Sequence[str]) -> Coloring:
    """The most frequent values get a color each; the rest are others."""
    counts = pd.Series([value for value in values if value], dtype="object").value_counts()
    order = sorted(counts.index, key=lambda value: (-counts[value], value))
    named = order if len(order) <= len(COLORS) else order[: len(COLORS)]
    array = np.array(values, dtype=object)
    parts: list[Part] = [
        (value, color, mark, np.asarray(array == value, bool))
        for value, color, mark in zip(named, COLORS, MARKS, strict=False)
    ]
    rest = [value not in named and value != "" for value in values]
    parts.append((f"{OTHER} ({len(order) - len(named)})", GREY, "ring", np.array(rest, bool)))
    parts.append((UNKNOWN, GREY, "dot", np.asarray(array == "", bool)))
    return _fixed(key, title, parts, len(values))

"""Sample: which films of a large table are audited, the same ones for the same seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hilum.core.case import owner_of
from hilum.core.errors import CohortError


def sample(cases: pd.DataFrame, label: str, films: int, seed: int) -> pd.DataFrame:
    """Choose at most ``films`` films whose truth is known, spread over cohort and class.

    Each cohort (each source, where there is one cohort) gets as many films of each class as the
    others, as far as it has them, so that a small one is not lost among the large. Patients take
    turns: a second film of one patient comes only after a first of every other.

    Args:
        films: most films to choose; 0 for all.

    Returns:
        The rows by ``case_id``, so that the order of the table changes nothing, not even the
        batches of a network; with ``weight``: how many films of its cohort and class in the table
        each stands for.

    Raises:
        CohortError: no column of the label, or no film whose truth is known.
    """
    if label not in cases:
        raise CohortError(
            f"no column '{label}' in the cases table",
            hint="name another with --label; 'hilum cohort read' gives those that are known",
        )
    known = cases[pd.to_numeric(cases[label], errors="coerce").notna()]
    if known.empty:
        raise CohortError(f"no film has a known '{label}'", hint="name another with --label")
    cells = known.groupby([_places(known), known[label].astype(float)], sort=True)
    parts = [part for _, part in cells]
    sizes = np.array([len(part) for part in parts])
    wanted = allot(sizes, films or int(sizes.sum()))
    generator = np.random.default_rng(seed)
    chosen = [
        _take(part, int(count), generator).assign(weight=size / max(count, 1))
        for part, count, size in zip(parts, wanted, sizes, strict=True)
    ]
    return pd.concat(chosen).sort_values("case_id")


def allot(sizes: np.ndarray, total: int) -> np.ndarray:
    """Divide ``total`` over cells as evenly as their sizes allow.

    >>> allot(np.array([100, 3, 50]), 43).tolist()
    [20, 3, 20]
    """
    given = np.zeros_like(sizes)
    while (left := total - int(given.sum())) > 0 and (given < sizes).any():
        hungry = np.flatnonzero(given < sizes)
        each = max(1, left // hungry.size)
        for cell in hungry[: max(1, left // each)]:
            given[cell] += min(each, sizes[cell] - given[cell])
    return given


def _take(part: pd.DataFrame, count: int, generator: np.random.Generator) -> pd.DataFrame:
    shuffled = part.sort_values("case_id").iloc[generator.permutation(len(part))]
    turn = shuffled.groupby(owner_of(shuffled)).cumcount()
    return shuffled.loc[turn.sort_values(kind="stable").index[:count]]


def _places(cases: pd.DataFrame) -> pd.Series:
    column = "cohort" if len(set(cases["cohort"])) > 1 else "source"
    return cases[column].astype(object).where(cases[column].notna(), "").astype(str)

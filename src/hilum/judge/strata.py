"""Strata: the same metrics for a part of the films, by cohort, source, view, sex and age."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd

from hilum.core.estimate import Estimate
from hilum.judge.panel import METRICS, STRATUM_METRICS, ScoredCases, measure, support_of
from hilum.judge.schema import EvaluationSettings, Stratum

AGE_BANDS: dict[str, tuple[float, float]] = {
    "under 18 years": (0, 18),
    "18 to 39 years": (18, 40),
    "40 to 64 years": (40, 65),
    "65 years and over": (65, np.inf),
}
"""Name -> [from, to) in years."""

COLUMNS = {
    "training": "source in training",
    "cohort": "cohort",
    "source": "source",
    "view": "view",
    "sex": "sex",
    "age": "age band",
}
"""Column -> its heading. "training" is there only if the table says which sources were used."""


def age_band(age_years: float) -> str:
    """Name the band of an age; "" for an unknown age.

    >>> age_band(40.0), age_band(float("nan"))
    ('40 to 64 years', '')
    """
    for name, (low, high) in AGE_BANDS.items():
        if low <= age_years < high:
            return name
    return ""


def measure_strata(
    table: pd.DataFrame, cases: ScoredCases, settings: EvaluationSettings
) -> tuple[Stratum, ...]:
    """Measure every stratum of the films of one label.

    Args:
        table: the rows of ``cases``, in the same order.
        cases: the films whose truth is known.
        settings: a stratum with fewer than ``min_per_class`` films of a class that a metric
            rests on gets NaN with a note.
    """
    return tuple(
        _stratum(column, value, cases.where(chosen), settings)
        for column, value, chosen in divide(table)
    )


def divide(
    table: pd.DataFrame, names: Collection[str] = tuple(COLUMNS)
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (column, value, bool per row) of every part; a source named as its cohort is left out.

    Args:
        table: of ``check_predictions``.
        names: columns of ``COLUMNS`` to divide by.
    """
    columns = {"age": table["age_years"].map(age_band)}
    columns |= {name: table[name] for name in COLUMNS if name in table}
    for name in names:
        if name not in columns:
            continue
        values = columns[name].astype(str)
        stands_already = set(table["cohort"]) if name == "source" else set[str]()
        for value in _order(name, set(values) - stands_already):
            yield name, value or "unknown", (values == value).to_numpy()


def _order(name: str, values: set[str]) -> list[str]:
    bands = list(AGE_BANDS)
    known = values - {""}
    ordered = sorted(known, key=bands.index) if name == "age" else sorted(known)
    return [*ordered, ""] if "" in values else ordered


def _stratum(column: str, value: str, cases: ScoredCases, settings: EvaluationSettings) -> Stratum:
    positives = int(cases.truth.sum())
    negatives = len(cases) - positives
    return Stratum(
        column=column,
        value=value,
        films=len(cases),
        patients=np.unique(cases.groups).size,
        positives=positives,
        negatives=negatives,
        metrics=_metrics(cases, positives, negatives, settings),
    )


def _metrics(
    cases: ScoredCases, positives: int, negatives: int, settings: EvaluationSettings
) -> dict[str, Estimate]:
    least = settings.min_per_class
    rests_on = {"positive": positives, "negative": negatives}
    enough = [
        name
        for name in STRATUM_METRICS
        if rests_on.get(METRICS[name].over, min(positives, negatives)) >= least
    ]
    found = measure(
        cases,
        prevalence=settings.prevalence,
        names=enough,
        folds=settings.folds if enough else 0,
        seed=settings.seed,
    )
    note = f"fewer than {least} films of a class"
    return {
        name: found.get(name, Estimate.undefined(support_of(cases, name).n, note))
        for name in STRATUM_METRICS
    }

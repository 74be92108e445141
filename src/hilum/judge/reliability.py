"""Reliability: do films of probability p turn out positive in p of the cases, here and by source?

And the same for the conformal sets: how often do they hold the truth?
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.estimate import Estimate
from hilum.core.reading import PredictionSet
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import (
    Floats,
    Weights,
    bin_of,
    calibration_intercept,
    calibration_slope,
    ece,
)
from hilum.judge.panel import ScoredCases, why_no_slope
from hilum.judge.schema import Bin, EvaluationSettings, Reliability, SetCounts
from hilum.judge.strata import divide

BINS = 10
ALL = "all films"
_SOURCES = ("cohort", "source")


def measure_reliability(
    table: pd.DataFrame, cases: ScoredCases, settings: EvaluationSettings
) -> tuple[Reliability, ...]:
    """Measure all films, then each cohort and source with twice ``min_per_class`` films.

    A part with fewer than ``min_per_class`` films of a class has bins and an ECE, but no slope.

    Args:
        table: the rows of ``cases``, in the same order.
        cases: the films whose truth is known.
        settings: bootstrap folds and seed, smallest part.
    """
    return tuple(
        _reliability(where, cases.where(chosen), settings)
        for where, chosen in _parts(table, settings)
    )


def measure_sets(
    table: pd.DataFrame, cases: ScoredCases, settings: EvaluationSettings
) -> tuple[SetCounts, ...]:
    """Count the conformal sets of the same parts; empty where the films have none."""
    said = table["prediction_set"].to_numpy()
    if (said == "").any():
        return ()
    return tuple(
        set_counts(where, said[chosen], cases.where(chosen), settings)
        for where, chosen in _parts(table, settings)
    )


def _parts(
    table: pd.DataFrame, settings: EvaluationSettings
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    told = [np.ones(len(table), bool)]
    yield ALL, told[0]
    for column, value, chosen in divide(table, _SOURCES):
        again = any((chosen == part).all() for part in told)  # a cohort of one source
        if chosen.sum() >= 2 * settings.min_per_class and not again:
            told.append(chosen)
            yield f"within {column} {value}", chosen


def _reliability(where: str, cases: ScoredCases, settings: EvaluationSettings) -> Reliability:
    member = bin_of(cases.probability, BINS)
    used = np.unique(member)
    inside = member[:, None] == used

    def statistics(weights: Weights) -> dict[str, Floats]:
        films = weights @ inside.astype(np.float64)
        positive = weights @ (inside & cases.truth[:, None]).astype(np.float64)
        share = np.divide(positive, films, out=np.full(films.shape, np.nan), where=films > 0)
        return {
            "ece": ece(cases.truth, cases.probability, weights, bins=BINS),
            "slope": calibration_slope(cases.truth, cases.probability, weights),
            "intercept": calibration_intercept(cases.truth, cases.probability, weights),
            **{str(b): share[:, i] for i, b in enumerate(used)},
        }

    patients = np.unique(cases.groups).size
    positives = int(cases.truth.sum())
    few = 0 < min(positives, len(cases) - positives) < settings.min_per_class
    line = Support(len(cases), patients, why_no_slope(cases))
    support = {
        "ece": Support(len(cases), patients, inflated=True),
        "slope": line,
        "intercept": line,
    }
    for place, b in enumerate(used):
        support[str(b)] = _share_of(cases.groups[inside[:, place]])
    found = bootstrap_all(
        statistics, cases.groups, support, folds=settings.folds, seed=settings.seed
    )
    if few and where != ALL:
        note = f"fewer than {settings.min_per_class} films of a class"
        found |= dict.fromkeys(("slope", "intercept"), Estimate.undefined(len(cases), note))
    return Reliability(
        where=where,
        films=len(cases),
        positives=positives,
        negatives=len(cases) - positives,
        stated=float(cases.probability.mean()),
        observed=float(cases.truth.mean()),
        ece=found["ece"],
        slope=found["slope"],
        intercept=found["intercept"],
        bins=tuple(
            Bin(stated=float(cases.probability[member == b].mean()), observed=found[str(b)])
            for b in used
        ),
    )


def set_counts(
    where: str, said: NDArray[np.object_], cases: ScoredCases, settings: EvaluationSettings
) -> SetCounts:
    """Count how often the sets hold the truth, and how often they answer nothing.

    Args:
        where: which films these are.
        said: (N,) of ``PredictionSet``.
        cases: the films, in the same order.
        settings: bootstrap folds and seed.
    """
    both = said == PredictionSet.INDETERMINATE
    right = np.where(cases.truth, said == PredictionSet.PRESENT, said == PredictionSet.ABSENT)
    covered = right | both
    return SetCounts(
        where=where,
        coverage=share(covered, np.ones(len(cases), bool), cases.groups, settings),
        coverage_positive=share(covered, cases.truth, cases.groups, settings),
        coverage_negative=share(covered, ~cases.truth, cases.groups, settings),
        indeterminate=share(both, np.ones(len(cases), bool), cases.groups, settings),
        none=share(said == PredictionSet.NONE, np.ones(len(cases), bool), cases.groups, settings),
    )


def share(
    counted: NDArray[np.bool_],
    among: NDArray[np.bool_],
    groups: NDArray[np.str_],
    settings: EvaluationSettings,
) -> Estimate:
    """Estimate the share of films that are ``counted`` ``among`` some, over patients."""
    inside, owners = counted[among].astype(np.float64), groups[among]
    if not inside.size:
        return Estimate.undefined(0, "no such films")
    return bootstrap_all(
        lambda weights: {"share": weights @ inside / weights.sum(axis=-1)},
        owners,
        {"share": _share_of(owners)},
        folds=settings.folds,
        seed=settings.seed,
    )["share"]


def _share_of(owners: NDArray[np.str_]) -> Support:
    return Support(owners.size, np.unique(owners).size, proportion=True)

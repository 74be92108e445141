"""Bootstrap: 95 % intervals by drawing patients, not films, with replacement.

Films of one patient are alike, so a resample draws whole groups (patients, with those linked by a
duplicate film: ``hilum.core.case.owner_of``). The interval is the percentile interval: the 2.5th
and 97.5th percentile of the metric over the resamples (Efron and Tibshirani, An Introduction to
the Bootstrap, 1993, ch. 13).

Of ECE alone (``metrics.INFLATED``) the low end is another one. It sums distances, which chance
makes larger, never smaller: a resample adds its own chance to that of the films, and the
percentiles may all lie above the value. Its low end is that of the basic interval, which takes as
much off the value as the resamples put on it (Davison and Hinkley, Bootstrap Methods and their
Application, 1997, ch. 5.2), at least 0. Its high end stays: that of the basic
interval is too near where little is measured, since a small distance may be a large one that chance
has hidden.

A resample is never copied out: it is a row of weights, how often each case was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.core.estimate import Estimate
from hilum.judge.metrics import INFLATED, Floats, Weights

LEVEL = 0.95
_CELLS = 2**20  # weights held at once: 8 MB, about a cache; results do not depend on it

Statistics = Callable[[Weights], Mapping[str, Floats]]
"""From weights (B, N) to named metrics, each (B,)."""


@dataclass(frozen=True, slots=True)
class Support:
    """What a metric rests on.

    Attributes:
        n: cases that it was computed from.
        groups: patients among them.
        missing: why it is undefined, should it be: "one class only".
        proportion: it is a share of ``n`` cases, so that 0 and 1 have an exact interval.
        inflated: chance makes it larger, never smaller, and 0 is its least: see above.
    """

    n: int
    groups: int
    missing: str = "undefined"
    proportion: bool = False
    inflated: bool = False


def resample(groups: ArrayLike, *, folds: int, seed: int, cells: int = _CELLS) -> Iterator[Weights]:
    """Draw groups with replacement, ``folds`` times.

    Args:
        groups: (N,) the group of each case, any hashable of one type.
        folds: number of resamples.
        seed: of ``numpy.random.default_rng``; the same seed draws the same resamples.
        cells: most weights to hold at once.

    Yields:
        float64 (b, N), whole numbers: how often each case was drawn; ``folds`` rows in all.
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    generator = np.random.default_rng(seed)
    step = max(1, cells // max(1, index.size))
    for done in range(0, folds if names.size else 0, step):
        drawn = _draw(generator, min(step, folds - done), names.size)
        yield drawn[:, index].astype(np.float64)


def bootstrap_all(
    statistics: Statistics,
    groups: ArrayLike,
    support: Mapping[str, Support],
    *,
    folds: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Estimate several metrics from the same resamples.

    Args:
        statistics: from weights (B, N) to named metrics, each (B,).
        groups: (N,) patient of each case.
        support: for each name, what it rests on.
    """
    whole = statistics(np.ones((1, np.asarray(groups).size)))
    # Weights, not rows: a patient drawn twice counts twice, and every metric is
    # computed for a whole batch of resamples at once.
    parts = [statistics(weights) for weights in resample(groups, folds=folds, seed=seed)]
    return {
        name: estimate_of(
            float(whole[name][0]),
            np.concatenate([part[name] for part in parts]) if parts else np.empty(0),
            support[name],
        )
        for name in whole
    }


def bootstrap(
    metric: Callable[[ArrayLike, ArrayLike, Weights], Floats],
    truth: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    folds: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Estimate one metric of ``hilum.judge.metrics`` with its interval over patients.

    Args:
        metric: ``auroc``, ``average_precision``, ``brier`` or ``ece``.
        truth: (N,) 1, 0 or NaN; NaN is left out.
        score: (N,) numbers.
        groups: (N,) patient of each case; None takes each film for a patient of its own.

    >>> from hilum.judge.metrics import auroc
    >>> print(bootstrap(auroc, [0, 0, 1, 1, 1, 0], [0.1, 0.4, 0.3, 0.8, 0.9, 0.2], folds=200))
    0.89 [0.39, 1.00] (n=6)
    """
    truths, scores = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    owners = np.arange(truths.size) if groups is None else np.asarray(groups)
    known = ~np.isnan(truths)
    truths, scores, owners = truths[known], scores[known], owners[known]
    missing = why_undefined(truths == 1)
    support = Support(truths.size, np.unique(owners).size, missing, inflated=metric in INFLATED)
    return bootstrap_all(
        lambda weights: {"value": metric(truths, scores, weights)},
        owners,
        {"value": support},
        folds=folds,
        seed=seed,
    )["value"]


def estimate_of(value: float, replicates: Floats, support: Support) -> Estimate:
    """Make an estimate of a value and what it was in each resample.

    Args:
        value: on all cases; NaN where it is undefined.
        replicates: (B,) of the resamples; NaN where it was undefined.
        support: what it rests on.
    """
    if np.isnan(value):
        return Estimate.undefined(support.n, support.missing)
    low, high, note = _interval(value, replicates[~np.isnan(replicates)], replicates.size, support)
    return Estimate(value=value, low=low, high=high, n=support.n, note=note)


def exact_if_perfect(found: Estimate, pairs: int) -> Estimate:
    """Give an AUROC of exactly 1 or 0 an interval, which resampling cannot.

    ``pairs`` independent pairs were all ordered alike, so the chance of that order has the exact
    bound of Clopper and Pearson (Biometrika 1934) for as many successes of as many.

    >>> print(exact_if_perfect(Estimate(value=1.0, n=40), 20))
    1.00 [0.83, 1.00] (n=40)
    """
    if found.value not in (0.0, 1.0) or not np.isnan(found.low) or not pairs:
        return found
    bound = float(((1 - LEVEL) / 2) ** (1 / pairs))
    low, high = (bound, 1.0) if found.value == 1.0 else (0.0, 1 - bound)
    note = f"exact (Clopper-Pearson) interval over {pairs} pairs, as every fold agrees"
    return Estimate(value=found.value, low=low, high=high, n=found.n, note=note)


def why_undefined(present: NDArray[np.bool_]) -> str:
    """Say why a metric of two classes has no value on these cases."""
    if present.size == 0:
        return "no cases"
    if present.all():
        return "one class only: every case is positive"
    return "undefined" if present.any() else "one class only: every case is negative"


def _draw(generator: np.random.Generator, rows: int, groups: int) -> NDArray[np.intp]:
    drawn = generator.integers(0, groups, (rows, groups))
    cells = drawn + groups * np.arange(rows)[:, None]
    return np.bincount(cells.ravel(), minlength=rows * groups).reshape(rows, groups)


def _interval(
    value: float, defined: Floats, folds: int, support: Support
) -> tuple[float, float, str]:
    if support.proportion and value in (0.0, 1.0):
        return _exact(value, support.groups)
    if not folds:
        return np.nan, np.nan, ""
    if defined.size <= folds / 2:
        return np.nan, np.nan, f"no interval: undefined in {folds - defined.size} of {folds} folds"
    if np.ptp(defined) < 1e-12:
        return np.nan, np.nan, "no interval: every fold gives the same value"
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(defined, [tail, 100 - tail])
    if support.inflated:
        low, high = max(0.0, 2 * value - high), max(value, high)
    dropped = folds - defined.size
    return float(low), float(high), f"undefined in {dropped} of {folds} folds" if dropped else ""


def _exact(value: float, groups: int) -> tuple[float, float, str]:
    """Clopper and Pearson (Biometrika 1934) at 0 and 1, where every resample says the same."""
    bound = float(((1 - LEVEL) / 2) ** (1 / groups))
    note = f"exact (Clopper-Pearson) interval over {groups} patients, as every fold agrees"
    return (bound, 1.0, note) if value == 1.0 else (0.0, 1 - bound, note)

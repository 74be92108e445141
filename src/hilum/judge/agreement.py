"""Agreement of two sets of scores on the same films: of a model with readers, of two readers.

Each statistic takes ``x`` and ``y`` (N,) and weights (B, N), how often each film was drawn, and
returns (B,), so that intervals come from ``hilum.judge.bootstrap``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from hilum.core.estimate import Estimate
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import Floats, Weights


def mean_absolute_error(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Mean of ``|x - y|``, in points of the scale.

    >>> mean_absolute_error(np.array([1.0, 2.0]), np.array([2.0, 4.0]), np.ones((1, 2)))
    array([1.5])
    """
    return _mean(np.abs(x - y), weights)


def bias(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Mean of ``x - y``, in points of the scale."""
    return _mean(x - y, weights)


def pearson(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Pearson's correlation, in [-1, 1]; NaN where one side is constant."""
    return _correlation(x[None], y[None], weights)


def spearman(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Spearman's rank correlation, ties at their mean rank; NaN where one side is constant."""
    return _correlation(_ranks(x, weights), _ranks(y, weights), weights)


def quadratic_kappa(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Cohen's kappa with quadratic weights (Cohen, Psychological Bulletin 1968).

    On numbers it is Lin's concordance correlation (Biometrics 1989): 2 cov / (var + var + bias^2).
    """
    mean_x, mean_y = _mean(x, weights), _mean(y, weights)
    spread = _mean(x**2, weights) - mean_x**2 + _mean(y**2, weights) - mean_y**2
    whole = spread + (mean_x - mean_y) ** 2
    return _ratio(2 * (_mean(x * y, weights) - mean_x * mean_y), whole)


def icc(x: Floats, y: Floats, weights: Weights) -> Floats:
    """ICC(2,1): two-way random effects, absolute agreement, a single reader of two.

    Shrout and Fleiss, Psychological Bulletin 1979.
    """
    n = weights.sum(1)
    middle, grand = (x + y) / 2, _mean((x + y) / 2, weights)
    films = 2 * (_mean(middle**2, weights) - grand**2) * n / (n - 1)
    readers = n * _mean(x - y, weights) ** 2 / 2
    rest = (_mean((x - y) ** 2, weights) - _mean(x - y, weights) ** 2) / 2 * n / (n - 1)
    return _ratio(films - rest, films + rest + 2 * (readers - rest) / n)


STATISTICS: dict[str, Callable[[Floats, Floats, Weights], Floats]] = {
    "mae": mean_absolute_error,
    "bias": bias,
    "pearson": pearson,
    "spearman": spearman,
    "kappa": quadratic_kappa,
    "icc": icc,
}


def agreement(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike, *, folds: int = 1000, seed: int = 0
) -> dict[str, Estimate]:
    """Estimate every one of ``STATISTICS`` on films that both sides scored.

    Args:
        x, y: (N,) scores; NaN where a side has none.
        groups: (N,) patient of each film.
        folds, seed: of the bootstrap.
    """
    left, right = np.asarray(x, np.float64), np.asarray(y, np.float64)
    known = ~np.isnan(left) & ~np.isnan(right)
    left, right, owners = left[known], right[known], np.asarray(groups)[known]
    missing = "too few films" if known.sum() < 3 else "one side is constant"
    support = Support(int(known.sum()), np.unique(owners).size, missing)
    if known.sum() < 3:
        return {name: Estimate.undefined(support.n, missing) for name in STATISTICS}
    return bootstrap_all(
        lambda weights: {name: each(left, right, weights) for name, each in STATISTICS.items()},
        owners,
        dict.fromkeys(STATISTICS, support),
        folds=folds,
        seed=seed,
    )


def _mean(values: Floats, weights: Weights) -> Floats:
    """Weighted mean over the last axis; values (N,) or (B, N)."""
    return np.asarray((weights * values).sum(1) / weights.sum(1))


def _correlation(x: Floats, y: Floats, weights: Weights) -> Floats:
    x, y = x - _mean(x, weights)[:, None], y - _mean(y, weights)[:, None]
    spread = np.sqrt(_mean(x**2, weights) * _mean(y**2, weights))
    return _ratio(_mean(x * y, weights), spread)


def _ranks(values: Floats, weights: Weights) -> Floats:
    """Ranks (B, N) in each resample: what lies below, and half of what is equal."""
    below = values[:, None] < values[None]
    equal = values[:, None] == values[None]
    return np.asarray(weights @ (below + 0.5 * equal))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    defined = bottom > 1e-12
    return np.where(defined, top / np.where(defined, bottom, 1.0), np.nan)

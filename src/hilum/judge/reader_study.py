"""Agreement: of two readers with each other, and of each with the reference standard.

Cohen's kappa (Educational and Psychological Measurement 1960) and shares, with 95 % intervals by
drawing patients with replacement, as everywhere in Hilum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.core.estimate import Estimate
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import Floats, Weights


def kappa(
    first: ArrayLike, second: ArrayLike, groups: ArrayLike, *, folds: int = 1000, seed: int = 0
) -> dict[str, Estimate]:
    """Measure how two readers agree on the same films.

    Args:
        first, second: (N,) 1 or 0; NaN (unsure, not asked) leaves the film out.
        groups: (N,) patient of each film.
        folds, seed: of the bootstrap.

    Returns:
        ``kappa``, in [-1, 1], and ``agreement``, the share of films called alike.

    >>> found = kappa([1, 1, 0, 0], [1, 0, 0, 0], [1, 2, 3, 4], folds=0)
    >>> found["kappa"].value, found["agreement"].value
    (0.5, 0.75)
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    both = ~(np.isnan(one) | np.isnan(two))
    one, two, owners = one[both] == 1, two[both] == 1, np.asarray(groups)[both]
    patients = np.unique(owners).size

    def statistics(weights: Weights) -> dict[str, Floats]:
        total = weights.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            alike = (weights * (one == two)).sum(axis=-1) / total
            p, q = ((weights * each).sum(axis=-1) / total for each in (one, two))
            chance = p * q + (1 - p) * (1 - q)
            return {"kappa": (alike - chance) / (1 - chance), "agreement": alike}

    missing = "no films" if not one.size else "one answer only: chance explains all of it"
    support = {
        "kappa": Support(one.size, patients, missing),
        "agreement": Support(one.size, patients, missing, proportion=True),
    }
    if not one.size:
        return {name: Estimate.undefined(0, missing) for name in support}
    return bootstrap_all(statistics, owners, support, folds=folds, seed=seed)


def against_reference(
    called: ArrayLike, truth: ArrayLike, groups: ArrayLike, *, folds: int = 1000, seed: int = 0
) -> dict[str, Estimate]:
    """Measure a reader against the reference standard.

    Args:
        called: (N,) 1 or 0; NaN (unsure) leaves the film out.
        truth: (N,) 1 or 0; NaN where it is not known.
        groups: (N,) patient of each film.

    Returns:
        ``sensitivity`` and ``specificity``.
    """
    said, true = np.asarray(called, np.float64), np.asarray(truth, np.float64)
    known = ~(np.isnan(said) | np.isnan(true))
    said, true, owners = said[known] == 1, true[known] == 1, np.asarray(groups)[known]
    return {
        "sensitivity": _share(said, true, owners, "no positives", folds, seed),
        "specificity": _share(~said, ~true, owners, "no negatives", folds, seed),
    }


def share(happened: ArrayLike, groups: ArrayLike, *, folds: int = 1000, seed: int = 0) -> Estimate:
    """Return the share of films of which something is true; ``happened`` is (N,) bool."""
    found = np.asarray(happened, bool)
    every = np.ones(found.size, bool)
    return _share(found, every, np.asarray(groups), "no films", folds, seed)


def _share(
    happened: NDArray[np.bool_],
    among: NDArray[np.bool_],
    owners: NDArray[np.generic],
    missing: str,
    folds: int,
    seed: int,
) -> Estimate:
    happened, owners = happened[among], owners[among]
    if not happened.size:
        return Estimate.undefined(0, missing)
    support = Support(happened.size, np.unique(owners).size, missing, proportion=True)
    return bootstrap_all(
        lambda weights: {"share": (weights * happened).sum(axis=-1) / weights.sum(axis=-1)},
        owners,
        {"share": support},
        folds=folds,
        seed=seed,
    )["share"]

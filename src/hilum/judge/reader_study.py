"""Reader study: agreement of readers with each other, and of each with the reference standard.

Cohen's kappa (Educational and Psychological Measurement 1960), Fleiss' (Psychological Bulletin
1971), shares and areas under the ROC curve, with 95 % intervals by drawing patients with
replacement, as everywhere in Hilum; of five readers or more together by drawing readers, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.core.estimate import Estimate
from hilum.judge.bootstrap import (
    Support,
    bootstrap,
    bootstrap_all,
    estimate_of,
    resample,
    why_undefined,
)
from hilum.judge.metrics import Floats, Weights, auroc


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


def fleiss(calls: ArrayLike, groups: ArrayLike, *, folds: int = 1000, seed: int = 0) -> Estimate:
    """Measure how several readers agree: Fleiss' kappa over films that each of them called.

    Args:
        calls: (R, N) of R readers, 1 or 0; a film with a NaN is left out.
        groups: (N,) patient of each film.

    >>> print(fleiss([[1, 1, 0, 0], [1, 0, 0, 0]], [1, 2, 3, 4], folds=0))
    0.47 (n=4)
    """
    said = np.asarray(calls, np.float64)
    whole = ~np.isnan(said).any(0)
    said, owners, readers = said[:, whole], np.asarray(groups)[whole], said.shape[0]
    if readers < 2 or not said.size:
        missing = "fewer than two readers" if readers < 2 else "no films"
        return Estimate.undefined(said.shape[1], missing)
    present = said.sum(0)
    alike = (present**2 + (readers - present) ** 2 - readers) / (readers * (readers - 1))

    def statistics(weights: Weights) -> dict[str, Floats]:
        total = weights.sum(axis=-1)
        share = (weights * present).sum(axis=-1) / (total * readers)
        chance = share**2 + (1 - share) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"fleiss": ((weights * alike).sum(axis=-1) / total - chance) / (1 - chance)}

    missing = "one answer only: chance explains all of it"
    support = {"fleiss": Support(present.size, np.unique(owners).size, missing)}
    return bootstrap_all(statistics, owners, support, folds=folds, seed=seed)["fleiss"]


STATISTICS = ("sensitivity", "specificity", "auc")
ENOUGH_READERS = 5
_FEW = f"fewer than {ENOUGH_READERS} readers: the interval is over patients alone"


def reader_figures(
    calls: ArrayLike,
    ratings: ArrayLike,
    truth: ArrayLike,
    groups: ArrayLike,
    *,
    folds: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Measure one reader, or the machine, against the reference standard.

    Args:
        calls: (N,) 1 or 0; NaN (unsure, not read) leaves the film out of the two shares.
        ratings: (N,) the higher the surer that it is present; NaN leaves the film out of ``auc``.
        truth: (N,) 1 or 0; NaN where it is not known.
        groups: (N,) patient of each film.

    Returns:
        ``STATISTICS``: sensitivity, specificity and the area under the ROC curve.
    """
    rated = np.asarray(ratings, np.float64)
    known, owners = ~np.isnan(rated), np.asarray(groups)
    true = np.asarray(truth, np.float64)[known]
    area = bootstrap(auroc, true, rated[known], owners[known], folds=folds, seed=seed)
    return against_reference(calls, truth, groups, folds=folds, seed=seed) | {"auc": area}


def together(
    calls: ArrayLike,
    ratings: ArrayLike,
    truth: ArrayLike,
    groups: ArrayLike,
    *,
    before: tuple[ArrayLike, ArrayLike] | None = None,
    folds: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Measure several readers together: the mean over readers of what each has.

    A resample draws patients, the same for every reader, and readers, so that the interval is for
    other patients and other readers (Obuchowski and Rockette's random readers and cases, by
    bootstrap). Fewer than ``ENOUGH_READERS`` cannot stand for others: the interval would be too
    narrow, so it is over patients alone, for these readers, and the note says so.

    Args:
        calls, ratings: (R, N) of R readers; as in ``reader_figures``.
        truth, groups: (N,).
        before: calls and ratings (R, N) to take away: the difference on films with both.
        folds, seed: of the bootstrap.

    Returns:
        ``STATISTICS``; ``n`` counts the films that anybody called (of ``auc``: rated) and whose
        truth is known: of sensitivity the positive ones, of specificity the negative ones.
    """
    sides = [(np.asarray(calls, np.float64), np.asarray(ratings, np.float64))]
    if before is not None:
        earlier = np.asarray(before[0], np.float64), np.asarray(before[1], np.float64)
        now = sides[0]  # what only one side has would be a difference of films
        pairs = list(zip(now, earlier, strict=True))
        sides = [(_where(pairs[0][0], pairs[0][1]), _where(pairs[1][0], pairs[1][1]))]
        sides += [(_where(pairs[0][1], pairs[0][0]), _where(pairs[1][1], pairs[1][0]))]
    true, owners = np.asarray(truth, np.float64), np.asarray(groups)
    called, rated = (~np.isnan(each).all(0) for each in sides[0])
    rated &= ~np.isnan(true)
    among = {
        "sensitivity": (called & (true == 1), "no positives"),
        "specificity": (called & (true == 0), "no negatives"),
        "auc": (rated, why_undefined(true[rated] == 1)),
    }

    def of_readers(weights: Weights, name: str) -> Floats:
        """One statistic of each reader in each resample, (R, B)."""
        now, *then = (
            np.stack([_statistic(name, *one, true, weights) for one in zip(*side, strict=True)])
            for side in sides
        )
        return now - then[0] if then else now

    return {
        name: _over_readers(
            partial(of_readers, name=name),
            owners,
            Support(int(films.sum()), np.unique(owners[films]).size, missing),
            len(sides[0][0]),
            folds,
            seed,
        )
        for name, (films, missing) in among.items()
    }


def difference(
    calls: ArrayLike,
    ratings: ArrayLike,
    before: tuple[ArrayLike, ArrayLike],
    truth: ArrayLike,
    groups: ArrayLike,
    *,
    folds: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Measure how one reader changed: ``STATISTICS`` less those of ``before``, on films of both.

    The interval is over patients.
    """
    now = np.asarray(calls, np.float64)[None], np.asarray(ratings, np.float64)[None]
    then = np.asarray(before[0], np.float64)[None], np.asarray(before[1], np.float64)[None]
    found = together(*now, truth, groups, before=then, folds=folds, seed=seed)
    one = {name: each.model_copy(update={"note": ""}) for name, each in found.items()}
    return {name: one[name] if each.note == _FEW else each for name, each in found.items()}


def _where(values: Floats, other: Floats) -> Floats:
    return np.where(np.isnan(other), np.nan, values)


def _statistic(name: str, said: Floats, rated: Floats, true: Floats, weights: Weights) -> Floats:
    """One of ``STATISTICS`` of one reader in each resample, (B,); NaN where it is undefined."""
    if name == "auc":
        known = ~(np.isnan(rated) | np.isnan(true))
        return auroc(true[known], rated[known], weights[:, known])
    among = (true == 1) if name == "sensitivity" else (true == 0)
    among &= ~np.isnan(said)
    right = (said == true) & among
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weights * right).sum(-1) / (weights * among).sum(-1))


def _over_readers(
    of_readers: Callable[[Weights], Floats],
    groups: NDArray[np.generic],
    support: Support,
    readers: int,
    folds: int,
    seed: int,
) -> Estimate:
    """Estimate the mean over readers of a statistic (R, B), drawing patients, many readers too."""
    generator = np.random.default_rng([seed, readers])
    whole = of_readers(np.ones((1, groups.size)))
    drawn = []
    for weights in resample(groups, folds=folds, seed=seed):
        times = np.ones((readers, weights.shape[0]))
        if readers >= ENOUGH_READERS:
            share = np.full(readers, 1 / readers)
            times = generator.multinomial(readers, share, size=weights.shape[0]).T.astype(float)
        drawn.append(_mean(of_readers(weights), times))
    value = float(_mean(whole, np.ones_like(whole))[0])
    found = estimate_of(value, np.concatenate(drawn) if drawn else np.empty(0), support)
    few = readers < ENOUGH_READERS and not found.note and not np.isnan(found.low)
    return found.model_copy(update={"note": _FEW}) if few else found


def _mean(values: Floats, times: Floats) -> Floats:
    """Weighted mean over readers (R, B) of what is defined."""
    times = np.where(np.isnan(values), 0.0, times)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((np.nan_to_num(values) * times).sum(0) / times.sum(0))


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

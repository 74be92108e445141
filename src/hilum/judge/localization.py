"""Localization: does a map point where an annotation lies, and does the answer rest on it?

Every function takes one map, float (H, W), and masks of its size. NaN in a map is where the network
did not look; it counts as nothing. A number that is undefined is NaN.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from hilum.core.estimate import Estimate
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import Floats, Weights, auroc

Heat = NDArray[np.floating]
Mask = NDArray[np.bool_]


def share_inside(heat: Heat, target: Mask, domain: Mask | None = None) -> float:
    """Share of what speaks for a label that lies on the target, in [0, 1].

    sum of max(heat, 0) on the target / sum of max(heat, 0): with lungs for a target the in-lung
    share, with a box the energy-based pointing game of Score-CAM (Wang et al., CVPR workshops
    2020). NaN where nothing speaks for the label.

    Args:
        heat: float (H, W).
        target: bool (H, W).
        domain: bool (H, W), count only there; None counts everywhere.

    >>> target = np.array([[True, True], [False, True]])
    >>> share_inside(np.array([[3.0, -2.0], [1.0, np.nan]]), target)
    0.75
    """
    positive = np.maximum(np.nan_to_num(heat, nan=0.0).astype(np.float64), 0)
    if domain is not None:
        positive = np.where(domain, positive, 0)
    total = positive.sum()
    return float(positive[target].sum() / total) if total > 0 else np.nan


def points_at(heat: Heat, target: Mask) -> float:
    """Pointing game: 1 if the largest number lies on the target, else 0.

    Zhang et al., IJCV 2018, without their tolerance of 15 pixels. Where several places share the
    largest number, the share of them on the target, which is what drawing one of them would give
    on average. NaN for a map without numbers.

    >>> points_at(np.array([[1.0, 5.0], [5.0, 0.0]]), np.array([[False, True], [False, False]]))
    0.5
    """
    if np.isnan(heat).all():
        return np.nan
    largest = heat == np.nanmax(heat)
    return float(target[largest].mean())


def chance(target: Mask, domain: Mask) -> float:
    """What a map that is the same everywhere in ``domain`` gets in both games above, in [0, 1].

    The share of the domain that is target. NaN for an empty domain.
    """
    return float((target & domain).sum() / domain.sum()) if domain.any() else np.nan


def pixel_auroc(heat: Heat, target: Mask, domain: Mask) -> float:
    """Chance that a pixel of the target has a larger number than one beside it, in [0, 1].

    Among the pixels of the domain (the lungs); 0.5 is chance, whatever the sizes. Unlike the
    games it uses the whole map and not its scale. NaN unless the domain holds both kinds.

    >>> heat = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> pixel_auroc(heat, heat > 2.5, np.ones((2, 2), bool))
    1.0
    """
    counted = domain & ~np.isnan(heat)
    return float(auroc(target[counted].astype(float), heat[counted]))


def rank_correlation(one: Heat, other: Heat, domain: Mask | None = None) -> float:
    """Spearman's correlation of two maps over the pixels of a domain, in [-1, 1].

    The similarity that Adebayo et al. (NeurIPS 2018) compare maps of random networks with. NaN
    where one of them is the same everywhere.
    """
    counted = ~(np.isnan(one) | np.isnan(other))
    if domain is not None:
        counted &= domain
    a, b = one[counted], other[counted]
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(stats.spearmanr(a, b).statistic)


def strongest_first(heat: Heat, domain: Mask, steps: int) -> Iterator[Mask]:
    """Yield ``steps + 1`` masks: no pixel, then ever more of the domain, the strongest first.

    Args:
        heat: float (H, W); NaN ranks last; ties are broken by place, row by row.
        domain: bool (H, W): the pixels to go through.
        steps: the last mask is the whole domain.
    """
    places = np.flatnonzero(domain)
    values = np.nan_to_num(heat, nan=-np.inf).ravel()[places]
    order = places[np.argsort(-values, kind="stable")]
    for step in range(steps + 1):
        mask = np.zeros(heat.size, bool)
        mask[order[: round(step * order.size / steps)]] = True
        yield mask.reshape(heat.shape)


def area_under(scores: ArrayLike) -> float:
    """Area under scores at equal steps from 0 to 1, by trapezoids.

    Of deletion (small is good: the score falls as soon as the strongest pixels go) and insertion
    (large is good), Petsiuk et al., RISE, BMVC 2018.

    >>> area_under([1.0, 0.5, 0.0])
    0.5
    """
    values = np.asarray(scores, np.float64)
    return float(np.trapezoid(values, dx=1 / (values.size - 1)))


def mean_over_films(
    values: ArrayLike, patients: ArrayLike, *, proportion: bool = False, seed: int = 0
) -> Estimate:
    """Mean of a number over films, with its interval over patients.

    Args:
        values: (N,) one number a film; NaN is left out and not counted.
        patients: (N,) of each film.
        proportion: the numbers are 0 or 1.
        seed: of the resamples.
    """
    numbers, owners = np.asarray(values, np.float64), np.asarray(patients)
    known = ~np.isnan(numbers)
    numbers, owners = numbers[known], owners[known]
    if not numbers.size:
        return Estimate.undefined(0, "no films")

    def mean(weights: Weights) -> dict[str, Floats]:
        return {"value": (weights @ numbers) / np.maximum(weights.sum(-1), 1e-12)}

    support = Support(numbers.size, np.unique(owners).size, proportion=proportion)
    return bootstrap_all(mean, owners, {"value": support}, seed=seed)["value"]

"""Measure maps of opacity against what a reader drew: overlap, detection, false alarms.

Everything is counted on the square that the lungs lie on, for scores of films whose patient the
scoring network never saw. What was drawn outside the lungs that were found counts as missed.
Thresholds and the rule of regions are chosen on the other folds, so no film has a say in its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.errors import CohortError
from hilum.core.estimate import Estimate
from hilum.image.opacities import KINDS, Regions, find_regions
from hilum.judge.bootstrap import Support, bootstrap_all, why_undefined
from hilum.judge.metrics import Floats, Weights, auroc
from hilum.learn.opacities.films import BOXED, CLEAR, DRAWN, Films
from hilum.learn.opacities.regions import RULES, Ruled, choose_regions, rule_films

GRID = tuple(np.linspace(0.05, 0.95, 37).round(4).tolist())
"""Thresholds that are tried."""

WIDE = 0.1
"""A clear film with more of its lungs called opaque is plainly wrong."""

UNION = "union"
PARTS = (*map(str, KINDS), UNION)


class Counts(NamedTuple):
    """Areas as fractions of the square.

    Attributes:
        common: float64 (T, n), found and drawn, for each threshold.
        found: float64 (T, n).
        drawn: float64 (n,).
    """

    common: NDArray[np.float64]
    found: NDArray[np.float64]
    drawn: NDArray[np.float64]


def count(
    scores: NDArray[np.floating], truth: NDArray[np.bool_], grid: Sequence[float] = GRID
) -> Counts:
    """Count areas.

    Args:
        scores: (n, s, s).
        truth: bool (n, s, s).
        grid: (T,) thresholds; a pixel is found from each on.
    """
    flat, drawn = scores.reshape(len(scores), -1), truth.reshape(len(truth), -1)
    pairs = [((flat >= limit) & drawn, flat >= limit) for limit in grid]
    common = np.stack([both.mean(1) for both, _ in pairs])
    return Counts(common, np.stack([found.mean(1) for _, found in pairs]), drawn.mean(1))


def best_threshold(counts: Counts, kept: NDArray[np.bool_], grid: Sequence[float] = GRID) -> float:
    """Return the threshold with the largest Dice of the films where ``kept``, taken together."""
    common, found = counts.common[:, kept].sum(1), counts.found[:, kept].sum(1)
    total = found + counts.drawn[kept].sum()
    return float(grid[int(np.argmax(2 * common / np.maximum(total, 1e-12)))])


def thresholds_of(films: Films, scores: NDArray[np.floating], skip: float = 0.0) -> list[float]:
    """Return a threshold for each kind, chosen on the drawn films outside of fold ``skip``."""
    kept = ((films.cases["material"] == DRAWN) & (films.cases["fold"] != skip)).to_numpy()
    everything = np.ones(int(kept.sum()), bool)
    return [
        best_threshold(count(scores[kept, place], films.truth[kept, place]), everything)
        for place in range(len(KINDS))
    ]


def limits_of(
    films: Films, scores: NDArray[np.floating], ruled: Ruled, skip: float = 0.0
) -> tuple[list[float], Regions]:
    """Return thresholds and the rule of regions, chosen on the films outside of fold ``skip``.

    No threshold is above the reach of a region, so that each of its pixels has a kind.
    """
    rule = choose_regions(ruled, skip)
    return [min(limit, rule.reach) for limit in thresholds_of(films, scores, skip)], rule


def measure_films(
    films: Films, scores: NDArray[np.floating], *, rules: Sequence[Regions] = RULES
) -> pd.DataFrame:
    """Compare scores with what was drawn, film by film.

    Args:
        films: with ``fold``.
        scores: (n, K, s, s), out of fold; a film of fold 0 is left out.
        rules: of which one is chosen; none: every pixel from its threshold on is found.

    Returns:
        One row a film: case_id, group, cohort, material, fold, ``score`` (mean over the lungs of
        the larger score), ``share`` and ``share_drawn`` (of the lungs) and for each part of
        ``PARTS`` its areas ``common``, ``found``, ``drawn`` as "common union" and so on.
    """
    held_out = np.flatnonzero(films.cases["fold"] > 0)
    ruled = rule_films(films, scores, rules) if rules else None
    finders = {fold: _finder(films, scores, fold, ruled) for fold in films.cases["fold"].unique()}
    rows = []
    for row in held_out:
        lungs = films.lungs[row].mask
        found = finders[films.cases["fold"][row]](scores[row], lungs)
        rows.append(measure_film(scores[row], found, films.truth[row], lungs))
    kept = films.cases.loc[held_out, ["case_id", "group", "cohort", "material", "fold"]]
    return pd.concat([kept.reset_index(drop=True), pd.DataFrame(rows)], axis=1)


Finder = Callable[[NDArray[np.floating], NDArray[np.bool_]], NDArray[np.bool_]]


def _finder(films: Films, scores: NDArray[np.floating], fold: float, ruled: Ruled | None) -> Finder:
    """Return what tells opacities, bool (K, s, s), from the scores and the lungs of one film."""
    if ruled is None:
        limits, rule = thresholds_of(films, scores, fold), None
    else:
        limits, rule = limits_of(films, scores, ruled, fold)
    least = np.array(limits, np.float32)[:, None, None]

    def find(film: NDArray[np.floating], lungs: NDArray[np.bool_]) -> NDArray[np.bool_]:
        kept = True if rule is None else find_regions(film.astype(np.float32), lungs, rule)
        return np.asarray((film >= least) & kept)

    return find


def measure_film(
    scores: NDArray[np.floating],
    found: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    lungs: NDArray[np.bool_],
) -> dict[str, float]:
    """Return the numbers of one film; all arguments (K, s, s), ``lungs`` (s, s)."""
    founds = [*found, found.any(0)]
    drawns = [*truth, truth.any(0)]
    areas = {
        f"{name} {part}": float(mask.mean())
        for part, one, other in zip(PARTS, founds, drawns, strict=True)
        for name, mask in (("common", one & other), ("found", one), ("drawn", other))
    }
    inside = max(int(lungs.sum()), 1)
    return {
        "score": float(scores.max(0)[lungs].mean()) if lungs.any() else 0.0,
        "share": float((founds[-1] & lungs).sum() / inside),
        "share_drawn": float((drawns[-1] & lungs).sum() / inside),
    } | areas


def dice_of(films: pd.DataFrame, part: str) -> pd.Series[float]:
    """Return the Dice of each film for one of ``PARTS``; NaN where it was not drawn."""
    total = films[f"found {part}"] + films[f"drawn {part}"]
    return (2 * films[f"common {part}"] / total).where(films[f"drawn {part}"] > 0)


class Metric(NamedTuple):
    """A number of some films, of which a bootstrap can draw patients.

    Attributes:
        films: that it rests on.
        of: from weights (B, n), how often each of them counts, to its values (B,).
        missing: why it is undefined; empty where it is not.
    """

    films: pd.DataFrame
    of: Callable[[Weights], Floats]
    missing: str


def summarize(films: pd.DataFrame, *, folds: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """Return every metric with its interval over patients.

    Args:
        films: of ``measure_films``.
        folds, seed: of the bootstrap.

    Returns:
        "dice PART" (mean over the films where that part was drawn), "pooled dice PART" (all drawn
        films together), "auroc" (drawn against clear films), "auroc same collection" (the clear
        films of the collection of the drawn ones), "auroc boxes" (films with boxes against clear
        films of their collection); of the drawn films "share error" and "share bias" (share of the
        lungs found less that drawn, its size and with its sign) and "nothing found"; "share on
        clear films" (of the lungs, falsely found), "over a tenth on clear films" (films with more
        than that) and, for each collection that has some, both with ", COHORT".
    """
    return {
        name: _estimate(metric, metric.of, folds, seed) for name, metric in _metrics(films).items()
    }


def compare(
    films: pd.DataFrame, base: pd.DataFrame, *, folds: int = 1000, seed: int = 0
) -> dict[str, Estimate]:
    """Return how much each metric of ``summarize`` is larger than on ``base``, paired.

    Args:
        films: of ``measure_films``.
        base: the same films by another network.
        folds, seed: of the bootstrap, which draws the same patients for both.

    Raises:
        CohortError: not the same films.
    """
    if films["case_id"].tolist() != base["case_id"].tolist():
        raise CohortError("two networks are compared on different films", hint="score the same")
    pairs = zip(_metrics(films).items(), _metrics(base).values(), strict=True)
    return {name: _estimate(one, _minus(one, other), folds, seed) for (name, one), other in pairs}


def _minus(one: Metric, other: Metric) -> Callable[[Weights], Floats]:
    return lambda weights: one.of(weights) - other.of(weights)


def _metrics(films: pd.DataFrame) -> dict[str, Metric]:
    drawn, clear = (films[films["material"] == name] for name in (DRAWN, CLEAR))
    boxed = films[films["material"] == BOXED]
    found: dict[str, Metric] = {}
    for part in PARTS:
        each = drawn.assign(value=dice_of(drawn, part)).dropna(subset="value")
        found[f"dice {part}"] = _mean(each, "value")
        found[f"pooled dice {part}"] = _pooled(drawn, part)
    found["auroc"] = _detection(drawn, clear)
    found["auroc same collection"] = _detection(drawn, clear[clear["cohort"].isin(drawn["cohort"])])
    found["auroc boxes"] = _detection(boxed, clear[clear["cohort"].isin(boxed["cohort"])])
    outlined = drawn[drawn["drawn union"] > 0]
    bias = outlined["share"] - outlined["share_drawn"]
    found["share error"] = _mean(outlined.assign(value=bias.abs()), "value")
    found["share bias"] = _mean(outlined.assign(value=bias), "value")
    found["nothing found"] = _mean(outlined.assign(value=outlined["found union"] == 0), "value")
    wide = clear.assign(wide=clear["share"] > WIDE)
    parts = [("", wide), *((f", {cohort}", some) for cohort, some in wide.groupby("cohort"))]
    for which, some in parts:
        found[f"share on clear films{which}"] = _mean(some, "share")
        found[f"over a tenth on clear films{which}"] = _mean(some, "wide")
    return found


def _estimate(metric: Metric, of: Callable[[Weights], Floats], folds: int, seed: int) -> Estimate:
    groups = metric.films["group"].to_numpy()
    if metric.missing:
        return Estimate.undefined(len(groups), metric.missing)
    support = {"value": Support(len(groups), metric.films["group"].nunique())}
    return bootstrap_all(
        lambda weights: {"value": of(weights)}, groups, support, folds=folds, seed=seed
    )["value"]


def _mean(films: pd.DataFrame, column: str) -> Metric:
    values = films[column].to_numpy(np.float64)

    def mean(weights: Weights) -> Floats:
        return np.asarray((weights @ values) / weights.sum(axis=1), np.float64)

    return Metric(films, mean, "" if values.size else "no film")


def _pooled(films: pd.DataFrame, part: str) -> Metric:
    common = 2 * films[f"common {part}"].to_numpy(np.float64)
    total = (films[f"found {part}"] + films[f"drawn {part}"]).to_numpy(np.float64)

    def dice(weights: Weights) -> Floats:
        below = weights @ total
        ratio = np.divide(weights @ common, below, out=np.full_like(below, np.nan), where=below > 0)
        return np.asarray(ratio, np.float64)

    return Metric(films, dice, "" if len(films) else "no film")


def _detection(present: pd.DataFrame, absent: pd.DataFrame) -> Metric:
    both = pd.concat([present, absent])
    truth, scores = np.repeat([1.0, 0.0], [len(present), len(absent)]), both["score"].to_numpy()
    missing = "" if len(present) and len(absent) else why_undefined(truth == 1)
    return Metric(both, lambda weights: auroc(truth, scores, weights), missing)

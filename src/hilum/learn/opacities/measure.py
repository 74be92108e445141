"""Measure maps of opacity against what a reader drew: overlap, detection, false alarms.

Everything is counted on the square that the lungs lie on, for scores of films whose patient the
scoring network never saw. What was drawn outside the lungs that were found counts as missed.
Thresholds are chosen on the other folds, so no film has a say in its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.estimate import Estimate
from hilum.image.opacities import KINDS
from hilum.judge.bootstrap import Support, bootstrap, bootstrap_all, why_undefined
from hilum.judge.metrics import auroc
from hilum.learn.opacities.films import BOXED, CLEAR, DRAWN, Films

GRID = tuple(np.linspace(0.05, 0.95, 37).round(4).tolist())
"""Thresholds that are tried."""

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


def measure_films(films: Films, scores: NDArray[np.floating]) -> pd.DataFrame:
    """Compare scores with what was drawn, film by film.

    Args:
        films: with ``fold``.
        scores: (n, K, s, s), out of fold; a film of fold 0 is left out.

    Returns:
        One row a film: case_id, group, cohort, material, fold, ``score`` (mean over the lungs of
        the larger score), ``share`` and ``share_drawn`` (of the lungs) and for each part of
        ``PARTS`` its areas ``common``, ``found``, ``drawn`` as "common union" and so on.
    """
    held_out = np.flatnonzero(films.cases["fold"] > 0)
    limits = {
        fold: np.array(thresholds_of(films, scores, fold))[:, None, None]
        for fold in films.cases["fold"].unique()
    }
    rows = []
    for row in held_out:
        found = scores[row] >= limits[films.cases["fold"][row]]
        rows.append(measure_film(scores[row], found, films.truth[row], films.lungs[row].mask))
    kept = films.cases.loc[held_out, ["case_id", "group", "cohort", "material", "fold"]]
    return pd.concat([kept.reset_index(drop=True), pd.DataFrame(rows)], axis=1)


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


def summarize(films: pd.DataFrame, *, folds: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """Return every metric with its interval over patients.

    Args:
        films: of ``measure_films``.
        folds, seed: of the bootstrap.

    Returns:
        "dice PART" (mean over the films where that part was drawn), "pooled dice PART" (all drawn
        films together), "auroc" (drawn against clear films), "auroc same collection" (the clear
        films of the collection of the drawn ones), "auroc boxes" (films with boxes against clear
        films of their collection), "share on clear films" (of the lungs, falsely found).
    """
    drawn, clear = (films[films["material"] == name] for name in (DRAWN, CLEAR))
    boxed = films[films["material"] == BOXED]
    found: dict[str, Estimate] = {}
    for part in PARTS:
        each = drawn.assign(value=dice_of(drawn, part)).dropna(subset="value")
        found[f"dice {part}"] = _mean(each, "value", folds, seed)
        found[f"pooled dice {part}"] = _pooled(drawn, part, folds, seed)
    found["auroc"] = _detection(drawn, clear, folds, seed)
    alike = clear[clear["cohort"].isin(drawn["cohort"])]
    found["auroc same collection"] = _detection(drawn, alike, folds, seed)
    alike = clear[clear["cohort"].isin(boxed["cohort"])]
    found["auroc boxes"] = _detection(boxed, alike, folds, seed)
    found["share on clear films"] = _mean(clear, "share", folds, seed)
    return found


def _mean(films: pd.DataFrame, column: str, folds: int, seed: int) -> Estimate:
    values = films[column].to_numpy(np.float64)
    if not values.size:
        return Estimate.undefined(0, "no film")

    def mean(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return {"mean": (weights @ values) / weights.sum(axis=1)}

    support = {"mean": Support(values.size, films["group"].nunique())}
    return bootstrap_all(mean, films["group"].to_numpy(), support, folds=folds, seed=seed)["mean"]


def _pooled(films: pd.DataFrame, part: str, folds: int, seed: int) -> Estimate:
    if not len(films):
        return Estimate.undefined(0, "no film")
    common = 2 * films[f"common {part}"].to_numpy(np.float64)
    total = (films[f"found {part}"] + films[f"drawn {part}"]).to_numpy(np.float64)

    def dice(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        below = weights @ total
        ratio = np.divide(weights @ common, below, out=np.full_like(below, np.nan), where=below > 0)
        return {"dice": ratio}

    support = {"dice": Support(len(films), films["group"].nunique())}
    return bootstrap_all(dice, films["group"].to_numpy(), support, folds=folds, seed=seed)["dice"]


def _detection(present: pd.DataFrame, absent: pd.DataFrame, folds: int, seed: int) -> Estimate:
    both = pd.concat([present, absent])
    truth = np.repeat([1.0, 0.0], [len(present), len(absent)])
    if not len(present) or not len(absent):
        return Estimate.undefined(len(both), why_undefined(truth == 1))
    return bootstrap(auroc, truth, both["score"], both["group"], folds=folds, seed=seed)

"""Choose which regions of a map are opacities, on films that its network did not see.

A network that finds faint opacities also finds them where there are none. Of all rules of a grid
the one is taken that calls least of the clear films opaque, among those that cost hardly any
overlap with what readers drew.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.image.opacities import Regions
from hilum.learn.opacities.films import CLEAR, DRAWN, Films

REACHES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
CORES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
LEAST = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05)
RULES = tuple(
    Regions(reach=reach, core=core, least=least)
    for reach, core, least in itertools.product(REACHES, CORES, LEAST)
    if core >= reach
)
"""That are tried."""

COST = 0.01
"""So much Dice of any opacity may be lost against the best rule: of the drawn films together, and
in the mean over them, where small opacities count as much as large ones."""

Areas = NDArray[np.float64]


class Ruled(NamedTuple):
    """What each rule makes of each film, in pixels.

    Attributes:
        rules: that were tried, R of them.
        found: float64 (R, n).
        common: float64 (R, n), found and drawn.
        drawn: float64 (n,).
        lungs: float64 (n,).
        is_drawn, is_clear: bool (n,).
        fold: float64 (n,).
    """

    rules: Sequence[Regions]
    found: Areas
    common: Areas
    drawn: Areas
    lungs: Areas
    is_drawn: NDArray[np.bool_]
    is_clear: NDArray[np.bool_]
    fold: Areas


def rule_films(
    films: Films, scores: NDArray[np.floating], rules: Sequence[Regions] = RULES
) -> Ruled:
    """Try rules on every drawn and clear film.

    Args:
        films: with ``fold``; those of fold 0 are left out.
        scores: (n, K, s, s), out of fold.
        rules: to try.
    """
    material = films.cases["material"].to_numpy()
    held_out = (films.cases["fold"] > 0).to_numpy()
    rows = np.flatnonzero(np.isin(material, (DRAWN, CLEAR)) & held_out)
    masks = [films.lungs[row].mask for row in rows]
    truths = [films.truth[row].any(0) for row in rows]
    areas = [
        _film(np.where(lungs, scores[row].max(0), 0), truth, int(lungs.sum()), rules)
        for row, truth, lungs in zip(rows, truths, masks, strict=True)
    ]
    found, common = np.array(areas).transpose(2, 1, 0)
    return Ruled(
        rules,
        found,
        common,
        np.array([truth.sum() for truth in truths], np.float64),
        np.array([lungs.sum() for lungs in masks], np.float64),
        material[rows] == DRAWN,
        material[rows] == CLEAR,
        films.cases["fold"].to_numpy(np.float64)[rows],
    )


def choose_regions(ruled: Ruled, skip: float = 0.0) -> Regions:
    """Return the rule of the films outside of fold ``skip``."""
    drawn = ruled.is_drawn & (ruled.fold != skip)
    clear = ruled.is_clear & (ruled.fold != skip)
    common, total = 2 * ruled.common[:, drawn], ruled.found[:, drawn] + ruled.drawn[drawn]
    some = ruled.drawn[drawn] > 0
    pooled = common.sum(1) / np.maximum(total.sum(1), 1)
    mean = (common[:, some] / np.maximum(total[:, some], 1)).sum(1) / max(int(some.sum()), 1)
    false = (ruled.found[:, clear] / np.maximum(ruled.lungs[clear], 1)).sum(1)
    cheap = (pooled >= pooled.max() - COST) & (mean >= mean.max() - COST)
    if not cheap.any():  # no rule is near the best of both
        cheap = pooled == pooled.max()
    order = np.lexsort((-pooled, false))
    return ruled.rules[int(next(place for place in order if cheap[place]))]


def _film(
    union: NDArray[np.floating],
    truth: NDArray[np.bool_],
    lungs: int,
    rules: Sequence[Regions],
) -> Areas:
    """Return found and common of every rule, (R, 2), for one map (s, s)."""
    areas: dict[Regions, tuple[float, float]] = {}
    for reach in {rule.reach for rule in rules}:
        _, marks = cv2.connectedComponents((union >= reach).astype(np.uint8), connectivity=8)
        flat = marks.ravel()
        sizes, common = np.bincount(flat), np.bincount(flat, truth.ravel())
        same = [rule for rule in rules if rule.reach == reach]
        cores = {
            each: np.bincount(flat, (union >= each).ravel())
            for each in {rule.core for rule in same}
        }
        for rule in same:
            kept = (cores[rule.core] > 0) & (cores[rule.core] >= rule.least * lungs)
            kept[0] = False
            areas[rule] = float(sizes[kept].sum()), float(common[kept].sum())
    return np.array([areas[rule] for rule in rules])

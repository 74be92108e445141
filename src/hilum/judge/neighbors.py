"""Neighbors: which distance finds films that deserve to be called similar?

A distance is judged by what the nearest films say: does a film of another patient that lies near
share the label? Asked anywhere, within the same collection (where the hospital cannot help), and
among other collections only (where the hospital can only mislead).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.config import Config
from hilum.core.estimate import Estimate
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import Floats

NEAREST = 5
"""Neighbors that are asked; as many as a reading names."""
PLACES = ("anywhere", "same collection", "other collections")
_BLIND = "any film"


class LabelAgreement(Config):
    """How far the neighbors of films share their label.

    Attributes:
        distance: its name; "any film" is what a film drawn blindly would give.
        where: among which neighbors.
        label: mean over both classes of the share of neighbors with the same label; 0.5 is chance.
        collection: share of neighbors from the same collection; None where that is given.
        patients: of the films asked about.
    """

    distance: str
    where: str
    label: Estimate
    collection: Estimate | None
    patients: int


def agreement(
    spaces: Mapping[str, NDArray[np.floating[Any]]],
    table: pd.DataFrame,
    asked: NDArray[np.bool_],
    known: NDArray[np.bool_],
    *,
    folds: int = 1000,
    seed: int = 0,
) -> tuple[LabelAgreement, ...]:
    """Judge distances: near is near in Euclid's sense, in each of ``spaces``.

    Args:
        spaces: name -> float (n, d); rows of length 1 make it the cosine distance.
        table: n rows: truth (1, 0 or NaN), cohort, group (the patient).
        asked: bool (n,), whose neighbors are looked up.
        known: bool (n,), among which they are; those of the same group are left out.
        folds, seed: of the bootstrap over groups.
    """
    truth, groups = table["truth"].to_numpy(np.float64), table["group"].to_numpy(dtype=str)
    cohort = table["cohort"].to_numpy(dtype=str)
    asked, known = asked & ~np.isnan(truth), known & ~np.isnan(truth)
    pairs = _Pairs(
        truth[asked][:, None] == truth[known][None],
        cohort[asked][:, None] == cohort[known][None],
        groups[asked][:, None] != groups[known][None],
    )
    present, owners = truth[asked] == 1, groups[asked]
    found = []
    for where in PLACES:
        allowed = pairs.allowed(where, present)
        blind = allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)
        shares = {_BLIND: blind}
        for name, space in spaces.items():
            shares[name] = nearest_shares(space[asked], space[known], allowed)
        for name, share in shares.items():
            same = (share * pairs.same_label).sum(axis=1)
            home = (share * pairs.same_cohort).sum(axis=1)
            usable = allowed.any(axis=1)
            values = _estimates(
                same[usable], home[usable], present[usable], owners[usable], folds, seed
            )
            found.append(
                LabelAgreement(
                    distance=name,
                    where=where,
                    label=values["label"],
                    collection=values["collection"] if where == PLACES[0] else None,
                    patients=np.unique(owners[usable]).size,
                )
            )
    return tuple(found)


class _Pairs:
    """What films asked about and films known have in common: bool (asked, known) each."""

    def __init__(
        self,
        same_label: NDArray[np.bool_],
        same_cohort: NDArray[np.bool_],
        strangers: NDArray[np.bool_],
    ) -> None:
        self.same_label, self.same_cohort, self.strangers = same_label, same_cohort, strangers

    def allowed(self, where: str, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which pairs count; within a collection only where it has neighbors of both classes."""
        if where == PLACES[0]:
            return self.strangers
        if where == PLACES[2]:
            return self.strangers & ~self.same_cohort
        near = np.asarray(self.strangers & self.same_cohort)
        both = (near & self.same_label).any(axis=1) & (near & ~self.same_label).any(axis=1)
        return np.asarray(near & np.asarray(both)[:, None])


def nearest_shares(
    asked: NDArray[np.floating[Any]], known: NDArray[np.floating[Any]], allowed: NDArray[np.bool_]
) -> Floats:
    """Return float64 (asked, known): 1 / k for each of the k nearest allowed films, else 0."""
    squares = (asked**2).sum(axis=1)[:, None] + (known**2).sum(axis=1)[None]
    distance = np.where(allowed, squares - 2 * asked @ known.T, np.inf)
    near = np.argsort(distance, axis=1, kind="stable")[:, :NEAREST]
    shares = np.zeros(distance.shape)
    np.put_along_axis(shares, near, 1.0, axis=1)
    shares *= allowed
    return np.asarray(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1))


def _estimates(
    same: Floats,
    home: Floats,
    present: NDArray[np.bool_],
    owners: NDArray[np.str_],
    folds: int,
    seed: int,
) -> dict[str, Estimate]:
    support = Support(same.size, np.unique(owners).size, "no films of both classes")

    def statistics(weights: Floats) -> dict[str, Floats]:
        sides = [_mean(weights[:, side], same[side]) for side in (present, ~present)]
        return {"label": np.asarray(np.mean(sides, axis=0)), "collection": _mean(weights, home)}

    return bootstrap_all(
        statistics, owners, {"label": support, "collection": support}, folds=folds, seed=seed
    )


def _mean(weights: Floats, values: Floats) -> Floats:
    total = weights.sum(axis=1)
    undefined = np.full(total.shape, np.nan)
    return np.asarray(np.divide(weights @ values, total, out=undefined, where=total > 0))

"""Appearance study: what was said of the appearance of films, against what radiologists said."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.estimate import Estimate
from hilum.core.labels import Appearance
from hilum.judge.appearance import places_of
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import Floats, Weights, average_precision
from hilum.judge.reliability import share
from hilum.judge.schema import AppearanceClass, AppearanceEvaluation, EvaluationSettings

CHANCE = "chance-"
"""Of a column of predictions, before the name of the appearance."""


def evaluate_appearance(
    table: pd.DataFrame, settings: EvaluationSettings, nominal: float | None = None
) -> AppearanceEvaluation:
    """Judge what was said of films whose appearance is known.

    Args:
        table: one row a film: ``truth``, ``group`` (its patient), ``chance-typical`` ... as
            stated, and ``kept``: the set, with a "|" between appearances, or None without sets.
        settings: bootstrap folds and seed.
        nominal: coverage of the sets.
    """
    place = places_of(table["truth"])
    chances = table[[f"{CHANCE}{each}" for each in Appearance]].to_numpy(np.float64)
    owners = table["group"].to_numpy(dtype=str)
    precisions = _precisions(place, chances, owners, settings)
    everybody = np.ones(len(table), bool)
    sets = None if table["kept"].isna().any() else [set(k.split("|")) - {""} for k in table["kept"]]
    covered = None
    if sets is not None:
        covered = np.array([said in kept for said, kept in zip(table["truth"], sets, strict=True)])

    def covers(among: NDArray[np.bool_]) -> Estimate | None:
        return None if covered is None else share(covered, among, owners, settings)

    likeliest = chances.argmax(1)
    return AppearanceEvaluation(
        films=len(table),
        patients=np.unique(owners).size,
        mean_average_precision=precisions["mean"],
        classes=tuple(
            AppearanceClass(
                appearance=each,
                films=int((place == position).sum()),
                average_precision=precisions[each],
                stated=float(chances[:, position].mean()),
                coverage=covers(place == position),
                likeliest={
                    other: int(((place == position) & (likeliest == column)).sum())
                    for column, other in enumerate(Appearance)
                },
            )
            for position, each in enumerate(Appearance)
        ),
        right=share(likeliest == place, everybody, owners, settings),
        coverage=covers(everybody),
        nominal_coverage=nominal,
        set_sizes=()
        if sets is None
        else tuple(sum(len(kept) == size for kept in sets) for size in range(5)),
    )


def _precisions(
    place: NDArray[np.intp], chances: Floats, owners: NDArray[np.str_], settings: EvaluationSettings
) -> dict[str, Estimate]:
    def statistics(weights: Weights) -> dict[str, Floats]:
        each = {
            name.value: average_precision(
                place == position, chances[:, position], weights, interpolated=True
            )
            for position, name in enumerate(Appearance)
        }
        return each | {"mean": np.mean(list(each.values()), axis=0)}

    patients = np.unique(owners).size
    support = {
        each.value: Support(place.size, patients, f"no film of {each}") for each in Appearance
    }
    support["mean"] = Support(place.size, patients, "an appearance without a film")
    return bootstrap_all(statistics, owners, support, folds=settings.folds, seed=settings.seed)

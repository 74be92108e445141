"""The nuisance baseline: how far twelve numbers go that say nothing of the lungs.

A logistic regression on the nuisance features (``hilum.image.nuisance``), fitted by
cross-validation on the very films that are evaluated, patients never on both sides. Each feature
enters as a straight line and as a piecewise linear curve over its quantiles: squareness or a
middling brightness marks a source as well as an extreme does, and a line alone would miss it and
flatter the model (0.87 instead of 0.97 over the collections of the data's README, which has 0.98).
The line is penalized less, so that a few hundred films do not drown in the curves' noise.
A model that does not beat this baseline has not been shown to read lungs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.extras import require
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import Floats, auroc
from hilum.judge.predictions import nuisance_columns
from hilum.judge.schema import BaselineRow, EvaluationSettings

FOLDS = 5
_KNOTS = 9
_C = 0.3  # inverse penalty; 1 gains nothing on thousands of films and costs on hundreds


def nuisance_scores(
    features: Floats, truth: NDArray[np.bool_], groups: NDArray[np.str_], *, seed: int = 0
) -> Floats:
    """Score every film by a baseline that was fitted on other patients.

    Args:
        features: (N, F) finite numbers.
        truth: (N,) bool.
        groups: (N,) patient of each film.
        seed: of the division into folds.

    Returns:
        float64 (N,) out-of-fold probabilities; NaN throughout where a class has fewer than two
        patients, or a fold would be fitted on one class.
    """
    require("evaluate")
    from sklearn.model_selection import StratifiedGroupKFold

    scores = np.full(truth.size, np.nan)
    folds = min(FOLDS, *(np.unique(groups[truth == side]).size for side in (True, False)))
    if folds < 2:
        return scores
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fit, rest in splitter.split(features, truth, groups):
        if rest.size == 0:
            continue
        if np.unique(truth[fit]).size < 2:
            return np.full(truth.size, np.nan)
        scores[rest] = score_others(features[fit], truth[fit], features[rest])
    return scores


def nuisance_baseline(
    table: pd.DataFrame, settings: EvaluationSettings
) -> tuple[tuple[BaselineRow, ...], str]:
    """Compare a model with the baseline on all films, and within each cohort and source.

    Args:
        table: predictions of one label with ``nuisance_*`` columns.
        settings: folds, seed and the films of each class that a row needs.

    Returns:
        (rows, why there are none or "").
    """
    columns = nuisance_columns(table)
    if not columns:
        return (), "the predictions have no nuisance columns"
    measured = np.isfinite(table[columns].to_numpy(np.float64)).all(axis=1)
    known = table[table["truth"].notna().to_numpy() & measured]
    if not _enough(known, 2):
        return (), "it needs films of both classes"
    pooled = _row("all films", known, columns, settings)
    parts = [(where, part) for where, part in _parts(known) if len(part) < len(known)]
    enough = [part for part in parts if _enough(part[1], settings.min_per_class)]
    return (pooled, *(_row(where, part, columns, settings) for where, part in enough)), ""


def _parts(known: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    cohorts = set(known["cohort"])
    for cohort in sorted(cohorts - {""}):
        yield f"within cohort {cohort}", known[known["cohort"] == cohort]
    for source in sorted(set(known["source"]) - cohorts - {""}):
        yield f"within source {source}", known[known["source"] == source]


def _enough(part: pd.DataFrame, minimum: int) -> bool:
    positives = int(part["truth"].sum())
    return min(positives, len(part) - positives) >= minimum


def _row(
    where: str, part: pd.DataFrame, columns: list[str], settings: EvaluationSettings
) -> BaselineRow:
    truth, groups = part["truth"].to_numpy() == 1, part["group"].to_numpy(dtype=str)
    score = part["score"].to_numpy(np.float64)
    features = part[columns].to_numpy(np.float64)
    baseline = nuisance_scores(features, truth, groups, seed=settings.seed)

    def compare(weights: Floats) -> dict[str, Floats]:
        ours = auroc(truth, score, weights)
        if np.isnan(baseline).any():
            nothing = np.full(ours.shape, np.nan)
            return {"model": ours, "baseline": nothing, "difference": nothing}
        theirs = auroc(truth, baseline, weights)
        return {"model": ours, "baseline": theirs, "difference": ours - theirs}

    rests_on = Support(truth.size, np.unique(groups).size, "too few patients of a class")
    found = bootstrap_all(
        compare,
        groups,
        dict.fromkeys(("model", "baseline", "difference"), rests_on),
        folds=settings.folds,
        seed=settings.seed,
    )
    positives = int(truth.sum())
    return BaselineRow(
        where=where,
        films=truth.size,
        positives=positives,
        negatives=truth.size - positives,
        model=found["model"],
        baseline=found["baseline"],
        difference=found["difference"],
    )


def score_others(features: Floats, truth: NDArray[np.bool_], rest: Floats) -> Floats:
    """Fit the baseline on some films and score others.

    Args:
        features: (N, F) finite numbers of films of both classes.
        truth: (N,) bool.
        rest: (M, F) of the films to score.

    Returns:
        float64 (M,) probabilities.
    """
    require("evaluate")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import QuantileTransformer, SplineTransformer, StandardScaler

    knots = np.repeat(np.linspace(0, 1, _KNOTS)[:, None], features.shape[1], axis=1)
    curves = make_pipeline(
        QuantileTransformer(n_quantiles=min(100, truth.size)),
        SplineTransformer(degree=1, knots=knots, include_bias=False),
    )
    model = make_pipeline(
        make_union(StandardScaler(), curves), LogisticRegression(C=_C, max_iter=3000)
    )
    return np.asarray(model.fit(features, truth).predict_proba(rest)[:, 1], np.float64)

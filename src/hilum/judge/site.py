"""Site: decisions fitted to the films of one site, and what that changed, measured honestly.

Before is the bundle as it came. After is cross-fitted: the patients are divided in five, and each
fifth is judged by decisions that were fitted on the other four, so that no patient is judged by a
threshold that it helped to choose. The decisions that are kept are fitted on all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.core.errors import CohortError
from hilum.core.estimate import Estimate
from hilum.core.labels import Label
from hilum.core.reading import PredictionSet
from hilum.judge.adaptation import LabelAdaptation
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.calibrators import Asked, known_cases, log_losses, patient_folds, patients_of
from hilum.judge.conformal import COVERAGE
from hilum.judge.decisions import Decisions, fit_decisions
from hilum.judge.metrics import Floats
from hilum.judge.panel import ScoredCases, measure
from hilum.judge.reliability import set_counts
from hilum.judge.schema import EvaluationSettings

LEAST_PATIENTS = 50
"""Patients of each class below which a site is refused. With 50, a sensitivity of 47 in 50 has a
95 % interval from 83 to 99 %, and the true coverage of sets at 90 % lies between 81 and 97 % in 19
of 20 draws (it is distributed as Beta(46, 5): Vovk, ACML 2012); with fewer, what the site adds
cannot be told from chance."""

MEASURES: dict[str, str] = {
    "auroc": "AUROC; higher is better",
    "log_loss": "log loss; lower is better",
    "brier": "Brier score; lower is better",
    "ece": "ECE; lower is better",
    "calibration_slope": "calibration slope; 1 is right",
    "calibration_intercept": "calibration intercept; 0 is right",
    "sensitivity": "sensitivity at the default operating point",
    "specificity": "specificity there",
    "coverage_positive": "coverage of the sets, positives",
    "coverage_negative": "coverage of the sets, negatives",
    "indeterminate": "share of films that are indeterminate",
}
"""Name -> in words, in the order of a table."""

_PANEL = (
    "auroc",
    "brier",
    "ece",
    "calibration_slope",
    "calibration_intercept",
    "sensitivity",
    "specificity",
)
_SETS = ("coverage_positive", "coverage_negative", "indeterminate")


@dataclass(frozen=True, slots=True)
class _Judged:
    """What some decisions say of each film; ``sets`` is None where they have none."""

    probability: Floats
    called: NDArray[np.bool_]
    sets: NDArray[np.object_] | None


def fit_site(
    truth: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike,
    *,
    label: Label,
    before: Decisions,
    fitted_on: str,
    method: Asked = "auto",
    coverage: float = COVERAGE,
    folds: int = 1000,
    seed: int = 0,
) -> tuple[Decisions, LabelAdaptation]:
    """Fit the decisions of one label to a site and measure what that changes.

    Args:
        truth: (N,) 1, 0 or NaN; NaN is left out.
        score: (N,) in [0, 1], of the bundle.
        groups: (N,) patient of each film.
        label: whose decisions these are.
        before: of the bundle.
        fitted_on: the films in words.
        method, coverage: as in ``fit_decisions``.
        folds, seed: of the bootstrap.

    Raises:
        CohortError: fewer than ``LEAST_PATIENTS`` patients of a class.
    """
    present, scores, owners = known_cases(truth, score, groups)
    if few := too_few(present, owners):
        raise CohortError(f"{label}: {few}", hint="collect more cases with a known truth")

    def fit(rows: NDArray[np.intp], resamples: int) -> Decisions:
        return fit_decisions(
            present[rows].astype(np.float64),
            scores[rows],
            owners[rows],
            label=label,
            fitted_on=fitted_on,
            method=method,
            coverage=coverage,
            folds=resamples,
            seed=seed,
        )

    crossed = _empty(scores.size)
    for rows, held in patient_folds(present, owners, seed=seed):
        _put(crossed, held, _judge(fit(rows, 0), scores[held]))
    settings = EvaluationSettings(folds=folds, seed=seed)
    positives, negatives = patients_of(present, owners)
    record = LabelAdaptation(
        label=label,
        films=scores.size,
        positives=positives,
        negatives=negatives,
        before=_measured(_judge(before, scores), present, scores, owners, settings),
        after=_measured(crossed, present, scores, owners, settings),
    )
    return fit(np.arange(scores.size), folds), record


def too_few(present: NDArray[np.bool_], owners: NDArray[np.str_]) -> str:
    """Say what is missing to fit a site; "" if nothing is."""
    positives, negatives = patients_of(present, owners)
    if min(positives, negatives) >= LEAST_PATIENTS:
        return ""
    return (
        f"{positives} positive and {negatives} negative patients; expected at least "
        f"{LEAST_PATIENTS} of each"
    )


def _judge(decisions: Decisions, scores: Floats) -> _Judged:
    sets = decisions.conformal
    return _Judged(
        decisions.calibration(scores),
        scores >= decisions.operating_points[0].threshold,
        None if sets is None else np.array([sets(float(s)) for s in scores], dtype=object),
    )


def _empty(films: int) -> _Judged:
    return _Judged(
        np.empty(films), np.empty(films, bool), np.full(films, PredictionSet.NONE, object)
    )


def _put(whole: _Judged, rows: NDArray[np.intp], part: _Judged) -> None:
    whole.probability[rows], whole.called[rows] = part.probability, part.called
    if whole.sets is not None and part.sets is not None:
        whole.sets[rows] = part.sets


def _measured(
    judged: _Judged,
    present: NDArray[np.bool_],
    scores: Floats,
    owners: NDArray[np.str_],
    settings: EvaluationSettings,
) -> dict[str, Estimate]:
    cases = ScoredCases(present, scores, judged.probability, judged.called, owners)
    panel = measure(cases, prevalence=0.5, names=_PANEL, folds=settings.folds, seed=settings.seed)
    loss = _mean(log_losses(present, judged.probability), owners, settings)
    found = {"log_loss": loss, **panel, **_of_sets(judged, cases, settings)}
    return {name: found[name] for name in MEASURES}


def _of_sets(
    judged: _Judged, cases: ScoredCases, settings: EvaluationSettings
) -> Mapping[str, Estimate]:
    if judged.sets is None:
        return dict.fromkeys(_SETS, Estimate.undefined(len(cases), "no conformal sets"))
    counts = set_counts("", judged.sets, cases, settings)
    return {name: getattr(counts, name) for name in _SETS}


def _mean(values: Floats, owners: NDArray[np.str_], settings: EvaluationSettings) -> Estimate:
    return bootstrap_all(
        lambda weights: {"mean": weights @ values / weights.sum(axis=-1)},
        owners,
        {"mean": Support(values.size, np.unique(owners).size)},
        folds=settings.folds,
        seed=settings.seed,
    )["mean"]

"""Evaluate: from a table of predictions to every number that a report needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from hilum.core.case import patients_in
from hilum.core.config import check_label
from hilum.judge.decisions import PREVALENCE, prevalences
from hilum.judge.metrics import confusion
from hilum.judge.nuisance import nuisance_baseline
from hilum.judge.panel import ScoredCases, measure
from hilum.judge.predictions import check_predictions, scored
from hilum.judge.reliability import measure_reliability, measure_sets
from hilum.judge.schema import (
    About,
    AppearanceEvaluation,
    BaselineRow,
    CallCounts,
    ClassRow,
    Evaluation,
    EvaluationSettings,
    Failure,
    FlowStep,
    LabelEvaluation,
    NotRead,
    SeenFilms,
    Threshold,
)
from hilum.judge.strata import measure_strata
from hilum.judge.words import not_known

HALF = Threshold(name="0.5", threshold=0.5, chosen_on="no data", rule="a score of one half")


def evaluate_predictions(
    predictions: pd.DataFrame,
    *,
    operating_points: Mapping[str, Threshold] | None = None,
    calibrated: Iterable[str] = (),
    fitted: Mapping[str, float] | None = None,
    stated: Mapping[str, float] | None = None,
    coverage: Mapping[str, float] | None = None,
    settings: EvaluationSettings | None = None,
    about: About | None = None,
    flow: Sequence[FlowStep] = (),
    not_read: Sequence[NotRead] = (),
    seen: SeenFilms | None = None,
    appearance: AppearanceEvaluation | None = None,
) -> Evaluation:
    """Judge predictions, label by label.

    Args:
        predictions: one row per film and label; see ``check_predictions`` for its columns. A
            column ``training`` ("yes", "no") says whether the film's source was trained on.
        operating_points: label -> threshold on the score; a label without one is called at 0.5.
        calibrated: labels whose probability comes from a calibration.
        fitted: label -> prevalence that its probability holds for.
        stated: label -> prevalence that a reading states it for; where it has none, ``PREVALENCE``
            moves that of PPV and NPV.
        coverage: label -> nominal coverage of the column ``prediction_set``, where it has one.
        settings: prevalence, bootstrap folds, seed, smallest stratum.
        about: what was evaluated.
        flow: the steps before these predictions: films in the table, in the split, read.
        not_read: films that were refused or in error.
        seen: which of the films the bundle knew before.
        appearance: of ``hilum.judge.appearance``, to be kept beside.

    Returns:
        The evaluation. A label without any known truth is left out and named in ``not_known``.

    Raises:
        CohortError: a fault in the table, or no truth known at all.
    """
    settings = settings or EvaluationSettings()
    table = check_predictions(predictions)
    points, by_fit, nominal = operating_points or {}, set(calibrated), coverage or {}
    held, named = fitted or {}, stated or {}
    labels, empty = [], []
    known = {name: share for name, share in named.items() if share is not None}
    names = list(dict.fromkeys(table["label"]))
    asked = prevalences(
        {name: known.get(name, PREVALENCE.get(name)) for name in names}, settings.prevalence
    )
    for name in names:
        rows = table[table["label"] == name]
        if rows["truth"].isna().all():
            empty.append(name)
            continue
        point, told = points.get(name, HALF), name in by_fit
        at = settings.model_copy(update={"prevalence": asked.get(name) or settings.prevalence})
        found = _label(name, rows, point, told, nominal.get(name), at)
        update = {"fitted_prevalence": held.get(name), "stated_prevalence": named.get(name)}
        labels.append(found.model_copy(update=update))
    given = patients_in(table) is not None
    return Evaluation(
        about=about or About(),
        settings=settings,
        flow=(*(flow or _flow(table)), *(_labelled(label, given=given) for label in labels)),
        not_read=tuple(not_read),
        labels=tuple(labels),
        not_known=not_known(table, labels, empty, settings),
        seen=seen,
        appearance=appearance,
    )


def choose_labels(wanted: Sequence[str], offered: Sequence[str], where: str) -> list[str]:
    """Return the wanted labels, or all offered; a ``ConfigError`` names the first unknown one."""
    for name in wanted:
        check_label(name, offered, where)
    return [name for name in offered if not wanted or name in wanted]


def _label(
    name: str,
    rows: pd.DataFrame,
    point: Threshold,
    calibrated: bool,
    coverage: float | None,
    settings: EvaluationSettings,
) -> LabelEvaluation:
    cases = scored(rows, point.threshold)
    known = rows[rows["truth"].notna()]
    found = measure(cases, prevalence=settings.prevalence, folds=settings.folds, seed=settings.seed)
    baseline, note = _baseline(rows, settings)
    positives = int(cases.truth.sum())
    return LabelEvaluation(
        label=name,
        films=len(cases),
        patients=np.unique(cases.groups).size,
        positives=positives,
        negatives=len(cases) - positives,
        unlabelled=len(rows) - len(cases),
        operating_point=point,
        metrics=found,
        counts=_counts(cases),
        classes=_classes(name, found, positives, len(cases) - positives),
        strata=measure_strata(known, cases, settings),
        baseline=baseline,
        baseline_note=note,
        reference_standard=_standards(known),
        prevalence=settings.prevalence,
        calibrated=calibrated,
        reliability=measure_reliability(known, cases, settings),
        sets=measure_sets(known, cases, settings),
        nominal_coverage=coverage,
        failures=worst_failures(known, point.threshold),
    )


def _baseline(
    rows: pd.DataFrame, settings: EvaluationSettings
) -> tuple[tuple[BaselineRow, ...], str]:
    if not settings.nuisance:
        return (), "switched off"
    return nuisance_baseline(rows, settings)


def _counts(cases: ScoredCases) -> CallCounts:
    table = confusion(cases.truth, cases.called)
    return CallCounts(
        true_positive=int(table.true_positive),
        false_positive=int(table.false_positive),
        false_negative=int(table.false_negative),
        true_negative=int(table.true_negative),
    )


def _classes(
    name: str, found: Mapping[str, object], positives: int, negatives: int
) -> tuple[ClassRow, ClassRow]:
    negative = {
        "precision": found["precision_absent"],
        "recall": found["specificity"],
        "f1": found["f1_absent"],
    }
    positive = {
        "precision": found["precision_present"],
        "recall": found["sensitivity"],
        "f1": found["f1_present"],
    }
    return (
        ClassRow.model_validate({"name": f"not {name}", "support": negatives, **negative}),
        ClassRow.model_validate({"name": name, "support": positives, **positive}),
    )


def _standards(known: pd.DataFrame) -> dict[str, dict[str, int]]:
    names = known["reference_standard"].where(known["reference_standard"] != "", "unstated")
    found = {}
    for standard, truth in known["truth"].groupby(names):
        positives = int(truth.sum())
        found[str(standard)] = {"positive": positives, "negative": len(truth) - positives}
    return found


def _flow(table: pd.DataFrame) -> tuple[FlowStep]:
    return (
        FlowStep(
            step="Films with predictions",
            films=table["case_id"].nunique(),
            patients=patients_in(table),
        ),
    )


def _labelled(label: LabelEvaluation, *, given: bool) -> FlowStep:
    unknown = f"; {label.unlabelled} more of unknown truth, in no metric"
    return FlowStep(
        step=f"Labelled for {label.label}",
        films=label.films,
        patients=label.patients if given else None,
        detail=f"{label.positives} positive, {label.negatives} negative"
        + (unknown if label.unlabelled else ""),
    )


LISTED = 10


def worst_failures(
    known: pd.DataFrame, threshold: float, listed: int = LISTED
) -> tuple[Failure, ...]:
    """Return the films called wrongly whose score is furthest from the threshold.

    How far is a share of the way from the threshold to 1 for a false positive, and to 0 for a
    false negative, so that the two are comparable where the threshold is not one half.

    Args:
        known: ``case_id``, ``source``, ``truth`` (1 or 0) and ``score`` in [0, 1]; no NaN.
        threshold: a film is called when score >= threshold.
        listed: at most so many.
    """
    score, truth = known["score"].to_numpy(np.float64), known["truth"].to_numpy() == 1
    called = score >= threshold
    beyond = (score - threshold) / max(1 - threshold, 1e-12)
    below = (threshold - score) / max(threshold, 1e-12)
    far = np.where(called, beyond, below)
    wrong = np.flatnonzero(called != truth)
    order = wrong[np.argsort(-far[wrong], kind="stable")][:listed]
    return tuple(
        Failure(
            case_id=str(known["case_id"].iloc[row]),
            source=str(known["source"].iloc[row]),
            truth=int(truth[row]),
            score=float(score[row]),
        )
        for row in order
    )

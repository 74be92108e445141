"""Words: an evaluation in sentences, for people who read no table first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hilum.core.case import patients_in
from hilum.core.estimate import Estimate
from hilum.core.rounded import figures
from hilum.judge.schema import BaselineRow, EvaluationSettings, LabelEvaluation

if TYPE_CHECKING:
    import pandas as pd


def in_words(estimate: Estimate, digits: int = 2) -> str:
    """Write an estimate as text: value, interval and n.

    >>> in_words(Estimate(value=0.91, low=0.87, high=0.94, n=412))
    '0.91 (95 % interval 0.87 to 0.94, n = 412)'
    """
    if math.isnan(estimate.value):
        return f"undefined ({estimate.note}, n = {estimate.n})"
    value = f"{estimate.value:.{digits}f}"
    if math.isnan(estimate.low):
        return f"{value} (n = {estimate.n}; {estimate.note or 'no interval'})"
    ends = f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"
    return f"{value} (95 % interval {ends}, n = {estimate.n})"


def headline(label: LabelEvaluation, unknown: Sequence[str]) -> list[str]:
    """Say the main result, what it costs at the operating point, and how far to trust it.

    Args:
        label: of the evaluation.
        unknown: its ``not_known``.
    """
    given = NO_PATIENTS not in unknown
    return [_discrimination(label, given), _at_threshold(label), *_against_baseline(label)]


def _discrimination(label: LabelEvaluation, patients_given: bool) -> str:
    mix = f"{label.positives} positive, {label.negatives} negative"
    films = (
        f"{label.films} films of {label.patients} patients ({mix})"
        if patients_given
        else f"{label.films} films (patients are not given; {mix})"
    )
    auroc = label.metrics["auroc"]
    if math.isnan(auroc.value):
        return (
            f"{label.label}: on {films} no AUROC can be given: {auroc.note}. "
            "Such films show how often the reader calls, not whether it tells the classes apart."
        )
    return f"{label.label}: AUROC {in_words(auroc)} on {films}."


def _at_threshold(label: LabelEvaluation) -> str:
    point = label.operating_point
    return (
        f"At the operating point '{point.name}' (score of at least {point.threshold:.3g}; chosen "
        f"on {point.chosen_on}) sensitivity is {in_words(label.metrics['sensitivity'])} and "
        f"specificity {in_words(label.metrics['specificity'])}."
    )


def _against_baseline(label: LabelEvaluation) -> list[str]:
    if not label.baseline:
        return [f"The nuisance baseline was not fitted: {label.baseline_note}."]
    one_source = _of_one_source(label)
    verdicts = [_verdict(row, one_source) for row in label.baseline[:1]]
    return verdicts + _within(label.baseline[1:])


def _of_one_source(label: LabelEvaluation) -> bool:
    """Whether all films are known to be of one source; one named as its cohort has no stratum."""
    sources = [each for each in label.strata if each.column == "source"]
    whole = sources or [each for each in label.strata if each.column == "cohort"]
    return [each.films for each in whole] == [label.films] and whole[0].value != "unknown"


def _verdict(row: BaselineRow, one_source: bool) -> str:
    if math.isnan(row.baseline.value):
        return f"The nuisance baseline could not be fitted: {row.baseline.note}."
    said = (
        "A baseline that sees only size, aspect, brightness, border and corners of the film, and "
        f"no lung, reaches AUROC {in_words(row.baseline)}"
    )
    if not row.difference.low > 0:
        alone = (
            "size, brightness and borders alone (all films are of one source)"
            if one_source
            else "the sources of the films alone"
        )
        return f"{said}. The model is not shown to do better: its AUROC may come from {alone}."
    return f"{said}; the model exceeds it by {in_words(row.difference)}."


def _within(rows: Sequence[BaselineRow]) -> list[str]:
    if not rows:
        return []
    better = sum(row.difference.low > 0 for row in rows)
    aurocs = sorted({f"{row.model.value:.2f}" for row in rows})
    said = f"is {aurocs[0]}" if len(aurocs) == 1 else f"ranges from {aurocs[0]} to {aurocs[-1]}"
    return [
        "Within single cohorts and sources that hold both classes the model is shown to beat the "
        f"baseline in {better} of {len(rows)}; its AUROC there {said}."
    ]


def of_probability(label: LabelEvaluation) -> str:
    """Say which probability is judged: its own prevalence, and the one that a reading states."""
    if not label.calibrated:
        return ""
    held, stated = label.fitted_prevalence, label.stated_prevalence
    if held is None:
        return "The probability is the one given with the predictions."
    at = figures(100 * held)
    said = f"The probability is judged at a prevalence of {at}%, which it was fitted for"
    if stated is None or round(stated, 6) == round(held, 6):
        return f"{said}, as a reading states it."
    return f"{said}; a reading states it for {figures(100 * stated)}%."


def not_known(
    table: pd.DataFrame,
    labels: Sequence[LabelEvaluation],
    empty: Sequence[str],
    settings: EvaluationSettings,
) -> tuple[str, ...]:
    """List what these films cannot tell, in sentences."""
    films = table.drop_duplicates("case_id")
    said = [f"{name}: no film has a known truth; not evaluated." for name in empty]
    for label in labels:
        said += _of_label(label, settings)
    if patients_in(films) is None:
        said.append(NO_PATIENTS)
    if "training" not in films:
        said.append("Which of these sources the model was trained on is not recorded here.")
    elif not (films["training"] == "no").any():
        said.append(
            "Every source here also gave training films: nothing here tells how the model does "
            "at a hospital that it has never seen."
        )
    shares = {label.prevalence for label in labels}
    at = " and ".join(
        f"{label.prevalence:.1%}" + (f" ({label.label})" if len(shares) > 1 else "")
        for label in (labels if len(shares) > 1 else labels[:1])
    )
    return (*said, *_blanks(films), _PREVALENCE.format(at or f"{settings.prevalence:.1%}"))


NO_PATIENTS = (
    "Patients are not given: each film counts as a patient of its own, so the intervals are too "
    "narrow if a patient has several."
)
_PREVALENCE = (
    "PPV and NPV rest on a prevalence of {} that was stated, not measured, and take "
    "sensitivity and specificity to hold for the patients meant."
)


def _of_label(label: LabelEvaluation, settings: EvaluationSettings) -> list[str]:
    said = []
    if not min(label.positives, label.negatives):
        said.append(f"{label.label}: one class only; whether the model tells classes apart.")
    if not label.calibrated:
        said.append(
            f"{label.label}: no calibration was fitted; the probability is the raw score and "
            "must not be taken for a frequency (Brier score and ECE say how far off it is)."
        )
    small = [s for s in label.strata if min(s.positives, s.negatives) < settings.min_per_class]
    if small:
        said.append(
            f"{label.label}: {len(small)} of {len(label.strata)} strata have fewer than "
            f"{settings.min_per_class} films of a class; their AUROC is not given."
        )
    unstated = sum(label.reference_standard.get("unstated", {}).values())
    if unstated:
        said.append(
            f"{label.label}: the reference standard of {unstated} of {label.films} films is "
            "not stated by their collection."
        )
    return said


def _blanks(films: pd.DataFrame) -> list[str]:
    blank = {
        "view": int((films["view"] == "").sum()),
        "sex": int((films["sex"] == "").sum()),
        "age": int(films["age_years"].isna().sum()),
    }
    parts = [f"{name} of {count}" for name, count in blank.items() if count]
    return [f"Of {len(films)} films unknown: {', '.join(parts)}."] if parts else []

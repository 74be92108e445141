"""Words: what numbers of a reading and of a bundle say, in a few words for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from hilum.bundle.facts import Facts
from hilum.bundle.honest import POOLED, Honest, honest_numbers
from hilum.core.details import Affected, Scale, Similar
from hilum.core.labels import Appearance
from hilum.core.radiograph import Sides
from hilum.core.reading import (
    LIKELY,
    NO_PNEUMONIA,
    UNLIKELY,
    Answer,
    AppearanceFinding,
    Finding,
    PredictionSet,
)
from hilum.core.rounded import fixed, percent
from hilum.judge.audit.schema import Overall

_LIKELIHOOD = (
    (0.01, "exceptionally unlikely"),
    (0.10, "very unlikely"),
    (UNLIKELY, "unlikely"),
    (LIKELY, "about as likely as not"),
    (0.90, "likely"),
    (0.99, "very likely"),
    (1.01, "virtually certain"),
)
_VERDICTS = {
    Overall.PASS: "passed",
    Overall.FAIL: "failed",
    Overall.UNINFORMATIVE: "uninformative",
    Overall.INCOMPLETE: "incomplete",
}
ANSWERS = {
    Answer.PRESENT: "present",
    Answer.ABSENT: "absent",
    Answer.CANNOT_SAY: "cannot say",
}


class Doubt(StrEnum):
    """Why there is no answer."""

    INDETERMINATE = "indeterminate"
    NONE = "none"
    EVEN = "even"
    DIFFER = "differ"


DOUBTS = {
    Doubt.INDETERMINATE: "neither answer can be ruled out",
    Doubt.NONE: "the score is unusual for both answers",
    Doubt.EVEN: "present is about as likely as absent",
    Doubt.DIFFER: "threshold, probability and set do not point to one answer",
}
SCALES: dict[Scale, str] = {
    Scale.EXTENT: "Geographic extent",
    Scale.OPACITY: "Opacity",
    Scale.BRIXIA: "Brixia",
}
"""Names of the severity scores."""
SAME_FILM = 0.01
"""Distance below which two films are one film. In the default bundle no two of its 1,895 training
films that show different patients are nearer than 0.016; 24 of them have a copy, at 0."""


def likelihood(finding: Finding) -> str:
    """Put a probability into words: the scale of the IPCC (Mastrandrea et al., 2010, table 1).

    Where nothing was calibrated there is no probability to put into words.
    """
    if finding.prevalence is None:
        return "not calibrated: a rank, no frequency"
    return next(words for below, words in _LIKELIHOOD if finding.probability < below)


def headline(finding: Finding) -> str:
    """Say what the model answers, all in all; every table, page and report begins with it.

    >>> ANSWERS[Answer.CANNOT_SAY]
    'cannot say'
    """
    return ANSWERS[finding.answer]


def doubt(finding: Finding) -> Doubt | None:
    """Say why there is no answer; None where there is one."""
    if finding.answer is not Answer.CANNOT_SAY:
        return None
    if finding.prediction_set in (PredictionSet.INDETERMINATE, PredictionSet.NONE):
        return Doubt(finding.prediction_set.value)
    even = finding.prevalence is not None and UNLIKELY <= finding.probability < LIKELY
    return Doubt.EVEN if even else Doubt.DIFFER


def answered(finding: Finding) -> str:
    """Give the headline with the reason where there is no answer.

    >>> DOUBTS[Doubt.EVEN]
    'present is about as likely as absent'
    """
    why = doubt(finding)
    return headline(finding) if why is None else f"{headline(finding)}: {DOUBTS[why]}"


def against_threshold(finding: Finding) -> str:
    """Compare the score with the threshold of the operating point; that is no answer by itself."""
    sign = ">=" if finding.present else "<"
    score, threshold = fixed(finding.score, 3), fixed(finding.threshold, 3)
    return f"score {score} {sign} {threshold} ({finding.operating_point})"


def holds_for(finding: Finding) -> str:
    """Say which share of positives a probability holds for, and how it was made."""
    if finding.prevalence is None:
        return "equals the score"
    return f"where {percent(finding.prevalence, 1)} % have it ({finding.calibration})"


def chances_line(said: AppearanceFinding) -> str:
    """Write the four chances of an appearance, and what its set was made for."""
    chances = ", ".join(
        f"{NO_PNEUMONIA if each is Appearance.NEGATIVE else each} {percent(chance)} %"
        for each, chance in said.chances.items()
    )
    how = "Chances" if said.calibration != "identity" else "Not calibrated, no frequencies"
    set_at = "" if said.coverage is None else f"; set at {percent(said.coverage)} % coverage"
    return f"{how}: {chances}{set_at}."


def region(affected: Affected) -> str:
    """Name a region of the lungs."""
    if affected.side is None:
        return "both lungs"
    return f"{affected.side} lung" + (f", {affected.zone} zone" if affected.zone else "")


def sides_line(film: Mapping[str, Any]) -> str:
    """Say how it is known which lung is the right one; "" for a film that did not open.

    Args:
        film: the facts of a reading.
    """
    said = {
        Sides.STATED: "Right and left as the file states them.",
        Sides.ASSUMED: "Right and left are assumed: the file does not state them, and a marker in "
        "the picture is not read.",
    }
    return said.get(film.get("sides", ""), "")


def known_labels(similar: Similar) -> str:
    """Say what the reference standard says of a film.

    >>> known_labels(Similar(case_id="a", cohort="b", distance=0, labels={"sars": 1, "mers": 0}))
    'sars, not mers'
    """
    said = [name if value else f"not {name}" for name, value in similar.labels.items()]
    return ", ".join(said) or "no label known"


def trained_on_it(similar: Sequence[Similar]) -> str:
    """Warn where a film, or a copy of it, was in the training: its reading proves nothing.

    Args:
        similar: nearest first.

    Returns:
        The warning, or "".
    """
    if not similar or similar[0].distance >= SAME_FILM:
        return ""
    return "The model was trained on this film or a copy of it: this reading says little."


def audit_line(facts: Facts) -> str:
    """Say of every label what its audit found, in one line."""
    verdicts = {audit.label: _VERDICTS[audit.verdict] for audit in facts.audits}
    said = [
        f"{label} {verdicts.get(label, 'not audited')}"
        for label in (output.label.value for output in facts.manifest.labels)
    ]
    return "Shortcut audit: " + ("; ".join(said) if verdicts else "not audited") + "."


def honest_line(facts: Facts) -> str:
    """Say how far to trust the bundle: for every label the kindest number and the hardest one."""
    lines = honest_numbers(facts)
    labels = dict.fromkeys(line.label for line in lines)
    said = [_of(label, [line for line in lines if line.label == label]) for label in labels]
    if not said:
        return "How far to trust it: not measured."
    return "How far to trust it (AUROC; 0.5 is a coin): " + "; ".join(said) + "."


def _of(label: str, lines: list[Honest]) -> str:
    kind = [line for line in lines if line.where == POOLED][:1]
    hard = [line for line in lines if "left out" in line.where][:1]
    if not kind and not hard:
        return f"{label} not measured"
    where = ["on test films of its own sources"] * len(kind)
    where += ["on sources left out of training"] * len(hard)
    numbers = zip(kind + hard, where, strict=True)
    return f"{label} " + ", ".join(
        f"{fixed(line.auroc.value, 2)} [{fixed(line.auroc.low, 2)}, {fixed(line.auroc.high, 2)}] "
        f"{words}"
        for line, words in numbers
    )

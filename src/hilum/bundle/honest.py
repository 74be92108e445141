"""The honest numbers: how well a bundle tells films apart, on films ever further from its own.

Pooled over all sources; within one source, where a film's origin says nothing; on sources that
training left out. Beside each, what twelve numbers reach that see no lung.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from hilum.bundle.facts import Facts
from hilum.bundle.outofsource import TOGETHER
from hilum.core.estimate import Estimate
from hilum.core.rounded import fixed
from hilum.judge.audit.schema import Overall
from hilum.judge.schema import LabelEvaluation

POOLED = "test films, all sources pooled"
_VERDICTS = {
    Overall.PASS: "passed",
    Overall.FAIL: "failed",
    Overall.UNINFORMATIVE: "uninformative",
    Overall.INCOMPLETE: "incomplete",
}


class Honest(NamedTuple):
    """One line.

    Attributes:
        where: on which films, in words.
        positives, negatives: films with and without the label.
        nuisance: AUROC of the twelve numbers there, or None.
    """

    label: str
    where: str
    positives: int
    negatives: int
    auroc: Estimate
    nuisance: Estimate | None


def honest_numbers(facts: Facts) -> list[Honest]:
    """Return the lines of every label, from the kindest to the hardest."""
    return [
        line
        for label in (output.label.value for output in facts.manifest.labels)
        for line in _of_label(facts, label)
    ]


def _of_label(facts: Facts, label: str) -> Iterator[Honest]:
    for evaluation in facts.evaluation.labels if facts.evaluation else ():
        if evaluation.label == label:
            yield from _on_test(evaluation)
    rows = (
        [row for row in facts.out_of_source.rows if row.label == label and not row.cohort]
        if (facts.out_of_source)
        else []
    )
    for row in sorted(rows, key=lambda row: row.left_out != TOGETHER):
        if not math.isnan(row.auroc.value):
            where = (
                "each source left out of training, together"
                if row.left_out == TOGETHER
                else f"left out of training: {row.left_out}"
            )
            negatives = row.n - row.positives
            nuisance = None if math.isnan(row.nuisance_auroc.value) else row.nuisance_auroc
            yield Honest(label, where, row.positives, negatives, row.auroc, nuisance)


def _on_test(label: LabelEvaluation) -> Iterator[Honest]:
    beside = {row.where: row.baseline for row in label.baseline}
    auroc = label.metrics["auroc"]
    yield Honest(
        label.label, POOLED, label.positives, label.negatives, auroc, _known(beside, "all films")
    )
    seen = set()  # a source that is a whole cohort stands once
    for part in label.strata:
        found = part.metrics.get("auroc")
        same = (part.positives, part.negatives, found and found.value)
        if part.column not in ("cohort", "source") or same in seen:
            continue
        seen.add(same)
        if found and not math.isnan(found.value):
            where = f"within {part.column} {part.value}"
            yield Honest(
                label.label,
                f"test films {where}",
                part.positives,
                part.negatives,
                found,
                _known(beside, where),
            )


def _known(beside: dict[str, Estimate], where: str) -> Estimate | None:
    found = beside.get(where)
    return None if found is None or math.isnan(found.value) else found


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
    said = [_told(label, [line for line in lines if line.label == label]) for label in labels]
    if not said:
        return "How far to trust it: not measured."
    return "How far to trust it (AUROC; 0.5 is a coin): " + "; ".join(said) + "."


def _told(label: str, lines: list[Honest]) -> str:
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

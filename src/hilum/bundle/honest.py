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
from hilum.judge.schema import LabelEvaluation

POOLED = "test films, all sources pooled"


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

"""Facts: everything that a bundle's own files say, read for its model card.

Only ``bundle.json`` must be there. A bundle of an older Hilum, or one made elsewhere, has fewer
files; what they would say is then None or empty, and the card says "not measured".

The honest numbers say how well a bundle tells films apart, on films ever further from its own:
pooled over all sources; within one source, where a film's origin says nothing; on sources that
training left out. Beside each, what twelve numbers reach that see no lung.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from hilum.bundle.datasheet import DATA, Datasheet
from hilum.bundle.gate import GATE
from hilum.bundle.manifest import ENVIRONMENT, EVALUATION, MANIFEST, Manifest
from hilum.bundle.outofsource import OUT_OF_SOURCE, TOGETHER, OutOfSource
from hilum.bundle.severity import SEVERITY
from hilum.bundle.similar import SIMILAR, read_similar
from hilum.core.config import validated
from hilum.core.errors import BundleError
from hilum.core.estimate import Estimate
from hilum.judge.audit.schema import Audit, Overall
from hilum.judge.schema import Evaluation, LabelEvaluation

AUDIT = "audit.json"
RECIPE = "recipe.toml"
_LUNGS, _OPACITIES = "lungs.json", "opacities.json"
"""As ``LUNGS_SPEC`` and ``OPACITIES_SPEC``, whose files load ONNX Runtime; facts need none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a bundle says of itself.

    Attributes:
        manifest: ``bundle.json``.
        environment: ``environment.json``, or {}.
        recipe: ``recipe.toml``, or {}.
        evaluation: on the test split.
        audits: one a label.
        out_of_source: of networks of the same recipe.
        data: the datasheet.
        lungs, gate, opacities, severity: what the files of that name measured and how they were
            made.
        similar: films of training whose embeddings the bundle carries; ``looks``: their looks, too.
    """

    manifest: Manifest
    environment: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    audits: tuple[Audit, ...] = ()
    out_of_source: OutOfSource | None = None
    data: Datasheet | None = None
    lungs: dict[str, Any] = field(default_factory=dict)
    gate: dict[str, Any] = field(default_factory=dict)
    opacities: dict[str, Any] = field(default_factory=dict)
    severity: dict[str, Any] = field(default_factory=dict)
    similar: int = 0
    looks: bool = False

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read the folder of a bundle; its checksums are not looked at.

        Raises:
            BundleError: a file is there and cannot be read.
        """
        similar = read_similar(there) if (there := root / SIMILAR).is_file() else None
        return cls(
            manifest=Manifest.model_validate_json((root / MANIFEST).read_text(encoding="utf-8")),
            environment=_json(root / ENVIRONMENT),
            recipe=recipe_of(root),
            evaluation=Evaluation.load(there) if (there := root / EVALUATION).is_file() else None,
            audits=tuple(load_audit(path) for path in audit_files(root)),
            out_of_source=OutOfSource.load(t) if (t := root / OUT_OF_SOURCE).is_file() else None,
            data=Datasheet.read(there) if (there := root / DATA).is_file() else None,
            lungs=_json(root / _LUNGS),
            gate=_json(root / GATE),
            opacities=_json(root / _OPACITIES),
            severity=_json(root / SEVERITY),
            similar=0 if similar is None else len(similar.case_id),
            looks=similar is not None and similar.look is not None,
        )


def recipe_of(root: Path) -> dict[str, Any]:
    """Return ``recipe.toml``, or {}."""
    path = root / RECIPE
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def audit_files(root: Path) -> list[Path]:
    """Return ``audit.json`` and ``audit-LABEL.json``, as far as there are any."""
    return sorted(root.glob("audit*.json"), key=lambda path: (path.name != AUDIT, path.name))


def load_audit(path: Path) -> Audit:
    """Read what ``Audit.write`` wrote.

    Raises:
        BundleError: not an audit of this schema version.
    """
    hint, where = "'hilum audit' writes audit.json", f"{path}: not an audit"
    return validated(Audit, path.read_bytes(), BundleError, hint, where=where)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(f"{path}: {error}", hint="copy the bundle again") from None
    return values if isinstance(values, dict) else {}


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


def learned_there(evaluation: Evaluation) -> dict[str, int]:
    """Count test films by whether their source gave training films ("yes", "no"), of the label
    with the most of each; {} where the evaluation does not tell.
    """
    found: dict[str, int] = {}
    for part in (part for label in evaluation.labels for part in label.strata):
        if part.column == "training":
            found[part.value] = max(part.films, found.get(part.value, 0))
    return found


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
    there = set(learned_there(facts.evaluation)) if facts.evaluation else set[str]()
    known = {frozenset({"yes"}): "its own sources", frozenset({"no"}): "sources it never saw"}
    films = f"on test films of {known.get(frozenset(there), 'all sources')}"
    said = [
        _told(label, [line for line in lines if line.label == label], films) for label in labels
    ]
    if not said:
        return "How far to trust it: not measured."
    return "How far to trust it (AUROC; 0.5 is a coin): " + "; ".join(said) + "."


def _told(label: str, lines: list[Honest], films: str) -> str:
    kind = [line for line in lines if line.where == POOLED][:1]
    hard = [line for line in lines if "left out" in line.where][:1]
    if not kind and not hard:
        return f"{label} not measured"
    where = [films] * len(kind)
    where += ["on sources left out of training"] * len(hard)
    numbers = zip(kind + hard, where, strict=True)
    return f"{label} " + ", ".join(f"{line.auroc.cell()} {words}" for line, words in numbers)

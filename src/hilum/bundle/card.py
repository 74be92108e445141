"""Model card: written from the bundle's own files, so that no number is typed by hand.

The headings follow Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from hilum.bundle.manifest import ENVIRONMENT, EVALUATION, MANIFEST, MODEL_CARD, Manifest
from hilum.core.estimate import Estimate
from hilum.core.files import write_text
from hilum.core.reading import RESEARCH_USE
from hilum.judge.schema import Evaluation, LabelEvaluation

_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN = ("auroc", "sensitivity", "specificity", "average_precision", "balanced_accuracy", "brier")


def write_card(root: Path) -> None:
    """Write MODEL_CARD.md from bundle.json, environment.json and evaluation.json, if it is there.

    The checksums of the bundle hold again after ``hilum.bundle.folder.seal``.
    """
    manifest = Manifest.model_validate_json((root / MANIFEST).read_text(encoding="utf-8"))
    environment = json.loads((root / ENVIRONMENT).read_text(encoding="utf-8"))
    evaluated = (root / EVALUATION).is_file()
    evaluation = Evaluation.load(root / EVALUATION) if evaluated else None
    write_text(root / MODEL_CARD, model_card(manifest, environment, evaluation))


def model_card(
    manifest: Manifest, environment: dict[str, Any], evaluation: Evaluation | None = None
) -> str:
    """Return the card as Markdown.

    Args:
        manifest: ``bundle.json``.
        environment: ``environment.json``.
        evaluation: on the test split; without it the card says that there is none.
    """
    return _template("MODEL_CARD.md").render(
        manifest=manifest,
        environment=environment,
        evaluation=evaluation,
        notice=RESEARCH_USE,
        metrics_of=metrics_of,
        strata_of=strata_of,
    )


def write_adapted_card(root: Path) -> None:
    """Write the card anew after an adaptation, or add to a card that was made elsewhere."""
    if (root / ENVIRONMENT).is_file():
        write_card(root)
        return
    path = root / MODEL_CARD
    manifest = Manifest.model_validate_json((root / MANIFEST).read_text(encoding="utf-8"))
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    write_text(path, f"{before}\n{_template('ADAPTED.md').render(manifest=manifest)}")


def _template(name: str) -> Template:
    jinja = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, made of our own names and numbers
    )
    return jinja.get_template(name)


def metrics_of(evaluation: LabelEvaluation) -> dict[str, Estimate]:
    """Return the metrics that the card shows, those that the evaluation has."""
    return {name: evaluation.metrics[name] for name in _SHOWN if name in evaluation.metrics}


def strata_of(evaluation: LabelEvaluation) -> list[tuple[str, int, int, Estimate]]:
    """Return (stratum, with the label, without, AUROC) wherever the AUROC is defined."""
    return [
        (f"{part.column} {part.value}", part.positives, part.negatives, part.metrics["auroc"])
        for part in evaluation.strata
        if "auroc" in part.metrics and not math.isnan(part.metrics["auroc"].value)
    ]

"""Model card: written from the bundle's own files, so that no number is typed by hand.

The headings follow Mitchell et al., Model Cards for Model Reporting, FAT* 2019, and the two
checklists of ``hilum.bundle.checklists``.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from hilum.bundle import cardrows
from hilum.bundle.checklists import CLAIM, TRIPOD, answers
from hilum.bundle.facts import Facts
from hilum.bundle.flow import flow_text
from hilum.bundle.honest import honest_numbers
from hilum.bundle.manifest import ENVIRONMENT, MANIFEST, MODEL_CARD, Manifest
from hilum.bundle.markdown import cell, measured_tables, table
from hilum.core.files import write_text
from hilum.core.reading import RESEARCH_USE

_TEMPLATES = Path(__file__).parent / "templates"


def write_card(root: Path) -> None:
    """Write MODEL_CARD.md from the other files of a bundle.

    The checksums of the bundle hold again after ``hilum.bundle.folder.seal``.
    """
    write_text(root / MODEL_CARD, model_card(Facts.read(root)))


def model_card(facts: Facts) -> str:
    """Return the card as Markdown; what the bundle does not say is called not measured."""
    return _template("MODEL_CARD.md").render(
        facts=facts,
        manifest=facts.manifest,
        environment=facts.environment,
        evaluation=facts.evaluation,
        tested=facts.evaluation.labels if facts.evaluation else (),
        data=facts.data,
        rows=cardrows,
        honest=honest_numbers(facts),
        flow=flow_text(facts.data) if facts.data else "",
        claim=answers(CLAIM, facts.said),
        tripod=answers(TRIPOD, facts.said),
        lungs=measured_tables(facts.lungs.get("measured", {})),
        gate=measured_tables(facts.gate.get("measured", {})),
        table=table,
        cell=cell,
        notice=RESEARCH_USE,
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

"""Model card: about 200 lines that a person reads, written from the bundle's own files.

No number is typed by hand: each is one of a file of the bundle, or a sum of such numbers. The
headings follow Mitchell et al., Model Cards for Model Reporting, FAT* 2019; which of them answers
which item of CLAIM 2024 and TRIPOD+AI stands in docs/reference/checklists.md.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from hilum.bundle.datasheet import NO_SIDE, Datasheet, LabelCounts
from hilum.bundle.facts import Facts, honest_numbers, learned_there
from hilum.bundle.folder import Bundle
from hilum.bundle.manifest import ENVIRONMENT, MANIFEST, MODEL_CARD, Manifest
from hilum.core.case import films_of
from hilum.core.estimate import Estimate
from hilum.core.files import write_text
from hilum.core.labels import Appearance
from hilum.core.page import render
from hilum.core.reading import RESEARCH_USE
from hilum.core.rounded import figures
from hilum.judge.audit.schema import Audit, limit, remark
from hilum.judge.panel import METRICS
from hilum.judge.schema import Evaluation, LabelEvaluation
from hilum.judge.words import NO_PATIENTS

_TEMPLATES = Path(__file__).parent / "templates"

_IN_PARTS = ("auroc", "sensitivity", "specificity")
_COLUMNS = ("cohort", "view", "sex", "age")
"""By which test films are divided; evaluation.json has sources and training beside them."""

_FIGURES = 8
"""Of the opacity network on the card: overlap and detection; opacities.json has all."""


def write_card(root: Path) -> None:
    """Write MODEL_CARD.md from the other files of a bundle.

    The checksums of the bundle hold again after ``hilum.bundle.folder.seal``.
    """
    write_text(root / MODEL_CARD, model_card(Facts.read(root)))


def model_card(facts: Facts) -> str:
    """Return the card as Markdown; what the bundle does not say is called not measured."""
    evaluation, data = facts.evaluation, facts.data
    tested = evaluation.labels if evaluation else ()
    return _template("MODEL_CARD.md").render(
        facts=facts,
        manifest=facts.manifest,
        environment=facts.environment,
        evaluation=evaluation,
        there=learned_there(evaluation) if evaluation else {},
        given=evaluation is None or NO_PATIENTS not in evaluation.not_known,
        films_of=films_of,
        alone=False,
        tested=tested,
        judged=[
            output
            for output in facts.manifest.labels
            if output.calibration.fitted and output.label in {label.label for label in tested}
        ],
        figures=figures,
        data=data,
        honest=honest_numbers(facts),
        collections=list(_collections(data)) if data else [],
        licences=[[c.name, c.what, c.licence, c.citation] for c in data.collections]
        if data
        else [],
        flow="\n".join(_flow(data)) if data else "",
        people=list(_people(data)) if data else [],
        metrics=list(_metrics(tested)),
        parts=[[label.label, list(_parts(label))] for label in tested],
        sets=[label for label in tested if label.sets],
        appearances=[each.value for each in Appearance],
        looks=list(_looks(evaluation)),
        left_out=list(_left_out(facts)),
        refused=_refused(evaluation) if evaluation else "",
        gate=list(_gate(facts.gate)),
        lungs=list(_lungs(facts.lungs)) or _drawn(evaluation, lungs=True),
        opacities=list(_opacities(facts.opacities)) or _drawn(evaluation, lungs=False),
        severity=facts.severity.get("models", []),
        audited=[(audit, list(_tests(audit))) for audit in facts.audits],
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
    write_text(path, f"{before}\n{_template('ADAPTED.md').render(manifest=manifest, alone=True)}")


def card_text(bundle: Bundle) -> str:
    """Return the card that the bundle carries; one without a card gets a new one."""
    path = bundle.root / MODEL_CARD
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return model_card(Facts.read(bundle.root))


def card_html(bundle: Bundle) -> str:
    """Return the card as HTML, without the page around it."""
    return to_html(card_text(bundle))


def card_page(bundle: Bundle) -> str:
    """Return the card as one HTML page that needs no other file."""
    text = card_text(bundle)
    headings = [line[3:].strip() for line in text.splitlines() if line.startswith("## ")]
    return render(
        _TEMPLATES / "card.html",
        bundle=bundle,
        card=to_html(text),
        sections=[(heading, slug(heading)) for heading in headings],
        hilum_version=version("hilum"),
    )


def _collections(data: Datasheet) -> Iterator[list[object]]:
    for each in data.collections:
        dates = f"{each.first_date} to {each.last_date}" if each.dated else "not stated"
        labels = (_counts(each.labels[label]) for label in data.labels)
        yield [each.name, each.films, each.patients, *labels, each.standards, dates]


def _counts(counts: LabelCounts) -> str:
    unknown = f" / {counts.unknown}" if counts.unknown else ""
    return f"{counts.present} / {counts.absent}{unknown}"


def _flow(data: Datasheet) -> Iterator[str]:
    """Draw how many films came, left and why, with characters (CLAIM 2024, item 35)."""
    flow, late = data.flow, data.flow.left_out.get(NO_SIDE)
    early = [(f" - {why}", -n) for why, n in flow.left_out.items() if why != NO_SIDE]
    for name, films in [(f"read from {len(data.collections)} collections", flow.read), *early]:
        yield f"{name:<48}{films:>8} films"
    if flow.duplicates:
        yield f"  {flow.duplicates} pairs show one film: linked"
    if late:
        yield f"{f' - {NO_SIDE}':<48}{-late:>8} films"
    yield f"{' = kept':<48}{flow.kept:>8} films"
    for side in data.sides:
        yield f"{f'   {side.name}':<48}{side.films:>8} films{side.patients:>8} patients"
    if flow.not_opened:
        yield f"{'   of train and val: image not opened':<48}{flow.not_opened:>8} films"


def _people(data: Datasheet) -> Iterator[list[object]]:
    for column, title in (("sex", "sex"), ("age", "age"), ("view", "view")):
        sides = [data.films(column, split=side.name) for side in data.sides]
        for value in sorted({name for counts in sides for name in counts}):
            yield [f"{title}: {value}", *(counts.get(value, 0) for counts in sides)]


def _metrics(tested: Iterable[LabelEvaluation]) -> Iterator[list[object]]:
    """Yield every metric that was measured, a column a label, and what it is."""
    labels = list(tested)
    for name in dict.fromkeys(name for label in labels for name in label.metrics):
        known = METRICS.get(name)
        if known is None or known.shown:
            values = [label.metrics.get(name) for label in labels]
            yield [known.title if known else name, *values, known.meaning if known else ""]


def _looks(evaluation: Evaluation | None) -> Iterator[list[object]]:
    for row in evaluation.appearance.classes if evaluation and evaluation.appearance else ():
        first = [row.appearance.value, row.films, row.average_precision, f"{row.stated:.2f}"]
        yield [*first, row.coverage, *row.likeliest.values()]


def _parts(label: LabelEvaluation) -> Iterator[list[object]]:
    for part in label.strata:
        found = [part.metrics.get(name) for name in _IN_PARTS]
        known = [None if each is None or math.isnan(each.value) else each for each in found]
        if part.column in _COLUMNS and any(known):
            yield [f"{part.column}: {part.value}", part.positives, part.negatives, *known]


def _left_out(facts: Facts) -> Iterator[list[object]]:
    for row in facts.out_of_source.rows if facts.out_of_source else ():
        numbers = (row.auroc, row.nuisance_auroc, row.sensitivity, row.false_positive_rate)
        known = [None if math.isnan(each.value) else each for each in numbers]
        if any(known) and not row.cohort:
            yield [row.label, row.where, row.positives, row.n - row.positives, *known]


def _refused(evaluation: Evaluation) -> str:
    counts = Counter((film.cohort, film.code or film.status) for film in evaluation.not_read)
    return ", ".join(
        f"{count} of {cohort or 'an unnamed collection'} ({reason})"
        for (cohort, reason), count in sorted(counts.items())
    )


def _gate(gate: dict[str, Any]) -> Iterator[str]:
    kinds = gate.get("measured", {}).get("kinds", [])
    for each in kinds:
        yield f"{each['kind']} {100 * each['refused']:.1f} % of {each['pictures']}"


def _lungs(lungs: dict[str, Any]) -> Iterator[str]:
    """Yield the Dice coefficient of each collection whose lungs were drawn by hand."""
    for name, kinds in lungs.get("measured", {}).get("collections", {}).items():
        for kind, row in kinds.items():
            if kind.startswith("manual"):
                yield f"{name} {Estimate.model_validate(row['dice'])}"


def _opacities(opacities: dict[str, Any]) -> Iterator[str]:
    measured = opacities.get("measured", {}).get("metrics", {})
    for name, values in list(measured.items())[:_FIGURES]:
        yield f"{name} {Estimate.model_validate(values)}"


def _drawn(evaluation: Evaluation | None, *, lungs: bool) -> list[str]:
    """Return what one network for everything finds of what people drew."""
    found = evaluation.drawn if evaluation else {}
    return [f"{name} {each}" for name, each in found.items() if (name == "lungs") == lungs]


def _tests(audit: Audit) -> Iterator[list[object]]:
    for test in audit.tests:
        shown = test.shown
        measured, bound = (shown.measured, limit(shown)) if shown else (None, None)
        yield [test.title, test.verdict, measured, bound, remark(test)]


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


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; a cell is text, a number, an ``Estimate`` or None.

    >>> print(table(["a", "b"], [["x|y", None]]))
    | a | b |
    |---|---|
    | x\\|y |  |
    """
    lines = [headings, *rows]
    written = ["| " + " | ".join(cell(each) for each in line) + " |" for line in lines]
    return "\n".join([written[0], "|" + "---|" * len(headings), *written[1:]])


def cell(value: object) -> str:
    """Write a value so that it fits a cell of a table; NaN is "not defined"."""
    if value is None:
        return ""
    if isinstance(value, Estimate):
        text = _estimate(value)
    elif isinstance(value, float):
        text = "not defined" if math.isnan(value) else f"{value:.4g}"
    elif isinstance(value, Mapping):
        text = ", ".join(f"{name} {cell(each)}" for name, each in value.items())
    else:
        text = str(value)
    return " ".join(text.split()).replace("|", "\\|")


def _estimate(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return f"not defined{f': {estimate.note}' if estimate.note else ''} (n={estimate.n})"
    return str(estimate)


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading.

    >>> slug("At a glance"), slug("TRIPOD+AI")
    ('at-a-glance', 'tripodai')
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def to_html(text: str) -> str:
    """Render Markdown (CommonMark with tables); HTML within it is shown as text."""
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = renderer.parse(text)
    seen: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            anchor = slug(tokens[place + 1].content)
            count = seen[anchor] = seen.get(anchor, -1) + 1
            token.attrSet("id", f"{anchor}-{count}" if count else anchor)
    return str(renderer.renderer.render(tokens, renderer.options, {}))

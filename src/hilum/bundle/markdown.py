"""Markdown: tables and numbers into a card, and a card into HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from hilum.core.estimate import Estimate


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

"""Markdown: tables and numbers into a card, and a card into HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

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


class Table(NamedTuple):
    """A table with its title."""

    title: str
    headings: list[str]
    rows: list[list[object]]

    def __str__(self) -> str:
        """Write it as Markdown."""
        return table(self.headings, self.rows)


def measured_tables(values: Mapping[str, Any]) -> list[Table]:
    """Lay out nested measurements, whatever their shape, as one table for each key at the top.

    A mapping with "value" and "n" is an ``Estimate``; a mapping of numbers and estimates is a row;
    a list of mappings is a table of rows.

    >>> for found in measured_tables({"good": {"east": {"dice": {"value": 0.5, "n": 3}, "k": 2}}}):
    ...     print(found.title, found.headings, [[str(each) for each in row] for row in found.rows])
    good ['', 'dice', 'k'] [['east', '0.50 (n=3)', '2']]
    """
    tables = []
    for name, value in values.items():
        rows = list(_leaves(value, ()))
        if rows:
            columns = list(dict.fromkeys(key for _, row in rows for key in row))
            named = any(where for where, _ in rows)
            cells = [
                [", ".join(where)] * named + [row.get(key) for key in columns]
                for where, row in rows
            ]
            headings = [""] * named + [column.replace("_", " ") for column in columns]
            tables.append(Table(name.replace("_", " "), headings, cells))
    return tables


def _leaves(
    value: object, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, object]]]:
    """Yield (where, row) of every mapping that holds numbers."""
    if isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each, path)
        return
    if not isinstance(value, Mapping):
        return
    row: dict[str, object] = {}
    for name, each in value.items():
        if isinstance(each, Mapping) and {"value", "n"} <= each.keys():
            row[str(name)] = Estimate.model_validate(each)
        elif not isinstance(each, Mapping | list | tuple):
            row[str(name)] = each
    if row:
        yield path, row
    for name, each in value.items():
        if isinstance(each, list | tuple | Mapping) and str(name) not in row:
            yield from _leaves(each, (*path, str(name).replace("_", " ")))


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading.

    >>> slug("Sources left out of training"), slug("TRIPOD+AI")
    ('sources-left-out-of-training', 'tripodai')
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def to_html(text: str, figures: Mapping[str, str] | None = None) -> str:
    """Render Markdown (CommonMark with tables); HTML within it is shown as text.

    Args:
        text: of the card.
        figures: language of a fenced block -> HTML that stands in its place.
    """
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")

    def fence(
        self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
    ) -> str:
        figure = (figures or {}).get(tokens[at].info.strip())
        return figure or RendererHTML.fence(self, tokens, at, options, env)

    renderer.add_render_rule("fence", fence)
    tokens = renderer.parse(text)
    seen: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            anchor = slug(tokens[place + 1].content)
            count = seen[anchor] = seen.get(anchor, -1) + 1
            token.attrSet("id", f"{anchor}-{count}" if count else anchor)
    return str(renderer.renderer.render(tokens, renderer.options, {}))

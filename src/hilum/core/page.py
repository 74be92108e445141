"""Render a self-contained HTML page: one look, pictures inside the file, no network."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hilum.core.reading import RESEARCH_USE

_BASE = Path(__file__).parent / "templates"


def render(template: Path, **values: Any) -> str:
    """Fill a Jinja2 template that extends ``base.html``.

    Args:
        template: the file of the template, which lies in the room that owns the page.
        values: its variables; text is escaped.

    Returns:
        One HTML document. A variable that is missing is an error, not a blank.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, _BASE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(notice=RESEARCH_USE, **values)


def data_uri(picture: bytes, kind: str = "image/png") -> str:
    """Return a picture as a ``data:`` address for an ``img`` element.

    >>> data_uri(b"abc")
    'data:image/png;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(picture).decode('ascii')}"

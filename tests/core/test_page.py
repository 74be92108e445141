"""Page: self-contained, escaped, with the notice, and no blank for a missing value."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from hilum.core.page import data_uri, render
from hilum.core.reading import RESEARCH_USE


def template(folder: Path) -> Path:
    path = folder / "page.html"
    path.write_text(
        '{% extends "base.html" %}{% block body %}<p>{{ text }}</p><img src="{{ uri }}">'
        "{% endblock %}"
    )
    return path


def test_escapes_and_carries_the_notice(tmp_path: Path) -> None:
    page = render(template(tmp_path), text="<script>x</script>", uri=data_uri(b"\x89PNG"))
    assert "<script>" not in page
    assert page.count(RESEARCH_USE) == 2
    assert 'src="data:image/png;base64,iVBORw=="' in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_missing_value_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError):
        render(template(tmp_path), text="a")

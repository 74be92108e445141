"""Card page: a bundle's model card as one HTML page that needs no other file."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from hilum.bundle.card import model_card
from hilum.bundle.facts import Facts
from hilum.bundle.flow import flow_svg
from hilum.bundle.folder import Bundle
from hilum.bundle.manifest import MODEL_CARD
from hilum.bundle.markdown import slug, to_html
from hilum.core.page import render

TEMPLATE = Path(__file__).parent / "templates" / "card.html"


def card_text(bundle: Bundle) -> str:
    """Return the card that the bundle carries; one without a card gets a new one."""
    path = bundle.root / MODEL_CARD
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return model_card(Facts.read(bundle.root))


def card_html(bundle: Bundle) -> str:
    """Return the card as HTML, without the page around it; the flow of films is a picture."""
    data = Facts.read(bundle.root).data
    return to_html(card_text(bundle), {"flow": _figure(flow_svg(data))} if data else {})


def card_page(bundle: Bundle) -> str:
    """Return the HTML page."""
    text = card_text(bundle)
    headings = [line[3:].strip() for line in text.splitlines() if line.startswith("## ")]
    return render(
        TEMPLATE,
        bundle=bundle,
        card=card_html(bundle),
        sections=[(heading, slug(heading)) for heading in headings],
        hilum_version=version("hilum"),
    )


def _figure(svg: str) -> str:
    return f'<figure class="flow">{svg}</figure>\n'

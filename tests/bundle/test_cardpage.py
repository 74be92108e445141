from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

from hilum.bundle.card import write_card
from hilum.bundle.cardpage import card_page
from hilum.bundle.datasheet import Datasheet
from hilum.bundle.flow import flow_svg, flow_text
from hilum.bundle.folder import open_bundle, seal

VOID = {"meta", "br", "img", "hr", "link", "input"}


class Checker(HTMLParser):
    """Collects what is wrong with a page: tags that do not close, links that lead nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        for name in ("href", "src"):
            if target := values.get(name):
                self.links.add(target)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def _checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    return checker


def test_the_page_is_whole_and_needs_no_other_file(full_bundle: Path) -> None:
    write_card(full_bundle)
    seal(full_bundle)
    page = card_page(open_bundle(full_bundle))
    checker = _checked(page)
    assert not checker.wrong
    assert not checker.open
    assert len(checker.ids) == len(set(checker.ids))
    assert checker.links
    assert all(link.startswith("#") for link in checker.links)
    assert {link[1:] for link in checker.links} <= set(checker.ids)
    assert "<svg" in page
    assert "language-flow" not in page  # the block of text became the picture
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)


def test_markup_in_a_card_is_text(full_bundle: Path) -> None:
    (full_bundle / "MODEL_CARD.md").write_text(
        "# x\n\n<script>alert(1)</script> [y](javascript:z)\n"
    )
    seal(full_bundle)
    page = card_page(open_bundle(full_bundle))
    assert "<script" not in page
    assert 'href="javascript' not in page


def test_flow_as_text_and_picture_has_the_same_films(full_bundle: Path) -> None:
    data = Datasheet.read(full_bundle / "data.json")
    assert data.flow.read == 240 + 4 + 9 + 2
    drawn = "".join(ElementTree.fromstring(flow_svg(data)).itertext())
    text = flow_text(data)
    for films in (255, 240, 100, 40, 17):
        assert str(films) in drawn
        assert str(films) in text
    assert [side.name for side in data.sides] == ["train", "val", "test"]
    assert "not an X-ray: 4" in drawn
    assert "patients" in text

"""The screen says which side is the patient's, however the film lies, and what a length is of."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import open_film, settled

expect = pytest.importorskip("playwright.sync_api").expect

POSES = {
    (): ("R", "L", "H", "F"),
    ("x",): ("L", "R", "H", "F"),
    ("y",): ("R", "L", "F", "H"),
    ("r",): ("F", "H", "R", "L"),
    ("r", "x"): ("H", "F", "R", "L"),
    ("Shift+R",): ("H", "F", "L", "R"),
    ("r", "r"): ("L", "R", "F", "H"),
}
"""Keys -> what then lies at the left, right, upper and lower edge of the screen."""
EDGES = ("left", "right", "top", "bottom")


@pytest.mark.parametrize("renderer", ["?webgl", "?cpu"], ids=["webgl", "processor"])
def test_the_edges_follow_turns_and_flips(stand_in: str, page: Any, renderer: str) -> None:
    open_film(page, stand_in, "phantom", search=renderer)
    for keys, letters in POSES.items():
        for key in ("Backspace", *keys):
            page.keyboard.press(key)
        for edge, letter in zip(EDGES, letters, strict=True):
            expect(page.locator(f".edge.{edge}"), f"{keys}: {edge}").to_have_text(letter)


def test_what_is_assumed_stands_in_parentheses_and_in_words(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    expect(page.locator(".edge")).to_have_count(2)
    expect(page.locator(".edge.left")).to_have_text("(R)")
    expect(page.locator(".where")).to_contain_text("Right and left are assumed")
    page.keyboard.press("x")
    expect(page.locator(".edge.left")).to_have_text("(L)")
    page.get_by_label("Language").select_option("ru")
    expect(page.locator(".where")).to_contain_text("Право и лево предположены")
    page.get_by_role("tab", name="Снимок").click()
    expect(page.locator(".facts-panel")).to_contain_text("Право и лево предположены")


@pytest.mark.parametrize(
    ("film", "unit"), [("phantom", "mm"), ("frontal.dcm", "mm at the detector"), ("cropped", "px")]
)
def test_a_length_says_what_it_is_of(stand_in: str, page: Any, film: str, unit: str) -> None:
    open_film(page, stand_in, film, search="?cpu")
    page.keyboard.press("l")
    box = page.locator(".film").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 300, steps=3)
    page.mouse.up()
    settled(page)
    (said,) = page.locator(".svg-layer text").all_text_contents()
    assert said.partition(" ")[2] == unit

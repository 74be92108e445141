"""The screen says which side is the patient's, however the film lies, and what a length is of."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import open_film, settled
from .test_ratio import drag, where

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
    assumed = "Правая и левая стороны приняты как обычно"
    expect(page.locator(".where")).to_contain_text(assumed)
    page.get_by_role("tab", name="Снимок").click()
    expect(page.locator(".facts-panel")).to_contain_text(assumed)
    open_film(page, stand_in, "lateral", search="?cpu")  # refused: nothing is taken for granted
    expect(page.locator(".edge")).to_have_count(0)


@pytest.mark.parametrize("width", [1366, 1000, 360])
def test_no_letter_lies_on_whose_film_it_is(stand_in: str, page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 768})
    open_film(page, stand_in, "phantom", search="?cpu")
    page.locator(".identity span").first.evaluate(
        "it => { it.textContent = 'Ivanova '.repeat(30); }"
    )
    name, letter = (page.locator(each).bounding_box() for each in (".identity", ".edge.top"))
    apart = letter["x"] >= name["x"] + name["width"] or letter["y"] >= name["y"] + name["height"]
    assert apart, (name, letter)


@pytest.mark.parametrize("keys", ["", "+", "---"])
def test_the_scale_bar_is_as_long_as_it_says(stand_in: str, page: Any, keys: str) -> None:
    open_film(page, stand_in, "phantom", search="?cpu")
    for key in keys:
        page.keyboard.press(key)
    settled(page)
    seen = where(page)  # a pixel of the phantom is 0.25 mm wide
    bar = page.locator(".scale-bar")
    length = float(bar.inner_text().split()[0])
    assert bar.bounding_box()["width"] == pytest.approx(
        length / 0.25 * seen.matrix[0, 0], rel=0.03, abs=2
    )


@pytest.mark.parametrize(
    ("film", "unit"), [("phantom", "mm"), ("frontal.dcm", "mm at the detector"), ("cropped", "px")]
)
def test_a_length_says_what_it_is_of(stand_in: str, page: Any, film: str, unit: str) -> None:
    open_film(page, stand_in, film, search="?cpu")
    page.keyboard.press("l")
    box = page.locator(".film").bounding_box()
    drag(page, (box["x"] + 300, box["y"] + 200), (box["x"] + 400, box["y"] + 300))
    assert length_said(page)[1] == unit


@pytest.mark.parametrize("renderer", ["?webgl", "?cpu"], ids=["webgl", "processor"])
def test_a_person_calibrates_by_a_known_length(stand_in: str, page: Any, renderer: str) -> None:
    """A square of 120 x 120 pixels is said to be 60 mm wide: a pixel is 0.5 mm then, not 0.25."""
    open_film(page, stand_in, "phantom", search=renderer)
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.accept("60")

    page.on("dialog", answer)
    seen = where(page)
    page.keyboard.press("c")
    drag(page, seen.at(100, 140), seen.at(220, 140))
    page.get_by_text("The film is calibrated: this line is 60.0 mm").wait_for()
    assert len(asked) == 1
    page.locator(".corners").wait_for(state="attached")
    seen = where(page)
    page.keyboard.press("l")
    drag(page, seen.at(100, 220), seen.at(400, 220))
    number, unit = length_said(page)
    assert float(number) == pytest.approx(150, rel=0.02)
    assert unit == "mm (calibrated by a person)"
    film = page.url.split("/film/")[1]
    image = f"{stand_in}/api/v1/films/{film}/image"
    (left, _), (right, _) = page.request.get(image).json()["ruler"]["points"]
    assert (left, right) == (pytest.approx(100, abs=2), pytest.approx(220, abs=2))
    page.get_by_role("tab", name="Film").click()
    expect(page.locator(".ruler")).to_contain_text("Calibrated by local: a line of 60.0 mm")
    page.get_by_role("button", name="Take back").click()
    page.get_by_text("The calibration was taken back").wait_for()
    expect(page.locator(".ruler")).to_have_count(0)
    assert page.request.get(image).json()["spacing_mm"] == [0.25, 0.25]


def test_a_length_that_is_none_calibrates_nothing(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "phantom", search="?cpu")
    page.on("dialog", lambda dialog: dialog.accept("abc"))
    box = page.locator(".film").bounding_box()
    page.keyboard.press("c")
    drag(page, (box["x"] + 250, box["y"] + 200), (box["x"] + 350, box["y"] + 200))
    page.get_by_text("“abc” is no length").wait_for()
    film = page.url.split("/film/")[1]
    image = page.request.get(f"{stand_in}/api/v1/films/{film}/image").json()
    assert image["ruler"] is None


def length_said(page: Any) -> tuple[str, str]:
    settled(page)
    (said,) = page.locator(".svg-layer text").all_text_contents()
    number, _, unit = said.partition(" ")
    return number, unit

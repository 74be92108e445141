"""What a person did is not lost: by the next film, back, a reload, or leaving in mid-upload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import FRAMES, eventually, open_film, takes_keys


def _drag(page: Any, key: str, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Take a tool and draw with it, once the tool is at hand."""
    page.keyboard.press(key)
    page.locator(f'.tool[title$="({key})" i][aria-pressed="true"]').wait_for()
    page.evaluate(FRAMES)
    box = page.locator(".film").first.bounding_box()
    page.mouse.move(box["x"] + start[0], box["y"] + start[1])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0], box["y"] + end[1], steps=4)
    page.mouse.up()


def _desk(page: Any, address: str) -> dict[str, Any]:
    film = page.url.split("/film/")[1].split("?")[0]
    found: dict[str, Any] = page.request.get(f"{address}/api/v1/films/{film}/desk").json()
    return found


def _work(page: Any) -> None:
    """A length, a region, a mark, a choice and a comment."""
    takes_keys(page)
    _drag(page, "l", (200, 200), (320, 200))
    _drag(page, "e", (300, 300), (360, 340))
    _drag(page, "b", (150, 420), (230, 500))
    page.keyboard.press("1")
    page.get_by_label("Comment").fill("left base")
    page.locator("body").evaluate("body => document.activeElement.blur()")


def _texts(page: Any) -> list[str]:
    return sorted(each for each in page.locator(".svg-layer text").all_text_contents() if each)


def _kinds(desk: dict[str, Any]) -> list[str]:
    return sorted(each["kind"] for each in desk["marks"])


def _is_whole(desk: dict[str, Any]) -> bool:
    begun = desk["text"] == "left base" and bool(desk["choices"])
    return begun and _kinds(desk) == ["ellipse", "line", "rectangle"]


@pytest.mark.parametrize(
    ("way", "renderer"),
    [
        ("next", "?cpu"),
        pytest.param("next", "?webgl", marks=pytest.mark.slow),
        ("reload", "?cpu"),
        ("worklist", "?cpu"),
    ],
)
def test_what_was_begun_is_there_again(stand_in: str, page: Any, way: str, renderer: str) -> None:
    open_film(page, stand_in, "frontal-opacities", search=renderer)
    here = page.url
    _work(page)
    before = eventually(lambda: _texts(page), lambda said: len(said) > 1)
    if way == "next":
        page.once("dialog", lambda asked: asked.accept())
        page.keyboard.press("j")
        page.wait_for_url(lambda url: url != here)
        page.locator(".identity", has_text="phantom").wait_for()
        page.keyboard.press("k")
    elif way == "reload":
        page.reload()
    else:
        page.keyboard.press("g")
        page.locator(".studies").wait_for()
        page.go_back()
    page.wait_for_url(here)  # of itself the address is not looked at again
    page.locator(".identity", has_text="frontal-opacities").wait_for()
    eventually(lambda: _desk(page, stand_in), _is_whole)
    page.locator(".corners").first.wait_for(state="attached")
    eventually(lambda: _texts(page), lambda said: said == before)
    assert page.get_by_label("Comment").input_value() == "left base"
    assert page.locator(".calls").first.get_by_role("radio", name="Present").is_checked()
    page.get_by_text("Marks on the film: 1").wait_for()


def test_a_verdict_takes_the_marks_and_leaves_the_measurements(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    _work(page)
    here = page.url
    page.keyboard.press("Enter")
    page.get_by_text("Saved for the film before:").wait_for()
    page.keyboard.press("k")
    page.wait_for_url(here)
    left = ["ellipse", "line"]
    kept = eventually(lambda: _desk(page, stand_in), lambda desk: _kinds(desk) == left)
    assert kept["choices"] == {}
    assert kept["text"] == ""
    film = page.url.split("/film/")[1]
    (given,) = page.request.get(f"{stand_in}/api/v1/films/{film}/verdicts").json()["items"]
    assert _kinds(given) == ["ellipse", "line", "rectangle"]
    eventually(lambda: _texts(page), bool)  # they are drawn again
    page.keyboard.press("Delete")
    eventually(lambda: _desk(page, stand_in), lambda desk: desk["marks"] == [])


def test_what_is_added_while_a_verdict_is_saved_stays(stand_in: str, page: Any) -> None:
    """Of the choices, the words and the marks only what was given goes."""
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    _work(page)
    page.get_by_label("Corrected label").select_option("atelectasis")
    held: list[Any] = []
    page.route("**/verdicts/all", lambda route: held.append(route))
    page.locator("body").evaluate("body => document.activeElement.blur()")
    with page.expect_request("**/verdicts/all"):
        page.keyboard.press("Enter")
    page.keyboard.press("2")  # the next finding
    _drag(page, "b", (500, 420), (560, 500))
    page.get_by_label("Comment").fill("left base and right")
    eventually(lambda: _desk(page, stand_in), lambda desk: desk["text"] == "left base and right")
    held[0].continue_()
    page.get_by_text("Verdict saved.").wait_for()
    left = ["ellipse", "line", "rectangle"]
    kept = eventually(lambda: _desk(page, stand_in), lambda desk: _kinds(desk) == left)
    assert kept["choices"] == {"pneumonia": "absent"}
    assert kept["text"] == "left base and right"
    assert kept["corrected_label"] is None
    assert page.get_by_label("Comment").input_value() == "left base and right"
    page.get_by_text("Marks on the film: 1").wait_for()
    film = page.url.split("/film/")[1]
    (given,) = page.request.get(f"{stand_in}/api/v1/films/{film}/verdicts").json()["items"]
    assert (given["text"], _kinds(given)) == ("left base", left)
    (mine,) = (each for each in kept["marks"] if each["kind"] == "rectangle")
    assert mine not in given["marks"]


def test_a_length_is_the_one_that_was_drawn(stand_in: str, page: Any) -> None:
    """In pixels of the film, whatever the zoom and the turn in which it is drawn again."""
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    _drag(page, "l", (200, 200), (320, 260))
    desk = eventually(lambda: _desk(page, stand_in), lambda found: len(found["marks"]) == 1)
    page.reload()
    page.locator(".corners").first.wait_for(state="attached")
    eventually(lambda: _texts(page), bool)
    for key in ("r", "x", "+"):
        page.keyboard.press(key)
    takes_keys(page)
    page.keyboard.press("2")  # something else is kept
    again = eventually(lambda: _desk(page, stand_in), lambda found: bool(found["choices"]))
    assert again["marks"] == desk["marks"]


def test_leaving_in_mid_upload_asks(stand_in: str, page: Any, tmp_path: Path) -> None:
    page.goto(f"{stand_in}/?cpu")
    page.locator(".studies").wait_for()
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    page.route("**/api/v1/films", lambda route: None)  # an upload that takes for ever
    film = tmp_path / "film.png"
    film.write_bytes(b"\x89PNG")
    page.locator("input[type=file]").set_input_files(str(film))
    page.locator(".upload-sending, .upload-stored").wait_for()
    page.reload()
    assert asked == ["beforeunload"]


def test_leaving_with_nothing_to_lose_does_not_ask(stand_in: str, page: Any) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    takes_keys(page)
    page.keyboard.press("1")
    eventually(lambda: _desk(page, stand_in), lambda desk: bool(desk["choices"]))
    page.reload()
    page.locator(".corners").first.wait_for(state="attached")
    assert asked == []


def test_a_report_that_was_typed_and_not_saved_asks(stand_in: str, page: Any) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    page.get_by_role("tab", name="Report").click()
    page.get_by_role("textbox", name="Impression").fill("Seen by a person.")
    page.reload()
    assert asked == ["beforeunload"]


@pytest.mark.parametrize("button", ["Save as a draft", "Sign"])
def test_what_is_typed_while_a_report_is_saved_is_not_taken_for_saved(
    stand_in: str, page: Any, button: str
) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    page.get_by_role("tab", name="Report").click()
    impression = page.get_by_role("textbox", name="Impression")
    impression.fill("Seen.")
    held: list[Any] = []

    def hold(route: Any) -> None:
        if route.request.method == "POST":
            held.append(route)
        else:
            route.continue_()

    page.route("**/reports", hold)
    with page.expect_request(lambda sent: sent.method == "POST" and sent.url.endswith("/reports")):
        page.get_by_role("button", name=button, exact=True).click()
    impression.fill("Seen. And more.")
    held[0].continue_()
    page.get_by_text("is not in this version").wait_for()
    film = page.url.split("/film/")[1].split("?")[0]
    reports = f"{stand_in}/api/v1/films/{film}/reports"
    assert page.request.get(reports).json()["items"][0]["impression"] == "Seen."
    assert impression.input_value() == "Seen. And more."
    page.unroute("**/reports")
    page.get_by_role("button", name="Save as a draft", exact=True).click()
    page.get_by_text("Draft saved as version 2.").wait_for()
    assert page.request.get(reports).json()["items"][0]["impression"] == "Seen. And more."
    page.reload()
    assert asked == []


def test_keys_in_one_breath_are_all_taken(stand_in: str, page: Any) -> None:
    """Choices and Enter, pressed before the page is drawn with the first of them."""
    open_film(page, stand_in, "frontal-opacities")
    takes_keys(page)
    film = page.url.split("/film/")[1].split("?")[0]
    page.evaluate(
        """() => { for (const key of ["1", "2", "Enter"])
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })); }"""
    )
    page.get_by_text("Saved for the film before:").wait_for()
    given = page.request.get(f"{stand_in}/api/v1/films/{film}/verdicts").json()["items"]
    assert {each["finding"]: each["verdict"] for each in given} == {
        "covid-19": "present",
        "pneumonia": "absent",
    }

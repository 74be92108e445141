"""The work of a day in the browser: look, measure, decide, write, search, upload, sign in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import update

from hilum.apps.store.people import Role, add_person
from hilum.apps.store.store import open_store, sqlite_url
from hilum.apps.store.tables import Delivery, Film, Made, Result, now_ms
from hilum.judge import site
from hilum.serve.samples import ROOT as SAMPLES

from .conftest import (
    PASSWORD,
    Served,
    decoded,
    eventually,
    look,
    open_film,
    settled,
    sign_in,
    takes_keys,
)

expect = pytest.importorskip("playwright.sync_api").expect

NOTICE = "Research use only; not a medical device."


def test_full_depth_reaches_the_screen(stand_in: str, page: Any) -> None:
    """200 levels of a 12-bit film, of which a JPEG of 8 bits would keep 13."""
    open_film(page, stand_in, "phantom", search="?cpu")
    page.keyboard.press("o")
    fields = page.locator(".window-control input[type=number]")
    for field, value in ((fields.nth(0), "2100"), (fields.nth(1), "200")):
        field.fill(value)
        field.press("Tab")

    def levels() -> int:
        film = settled(page)
        scale = min(film.shape[0] / 400, film.shape[1] / 500)
        row = round((film.shape[0] - 400 * scale) / 2 + 370 * scale)  # the middle of the ramp
        return len(np.unique(film[row, :, 0]))

    eventually(levels, lambda count: count > 100)


def test_window_by_mouse_preset_and_key(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "phantom", search="?cpu")
    words = page.locator("[data-window]")
    opened = words.get_attribute("data-window")
    box = page.locator(".film").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 340, steps=4)
    page.mouse.up()
    expect(words).not_to_have_attribute("data-window", opened)
    settled(page)
    dragged = words.get_attribute("data-window")
    page.get_by_label("Window preset").select_option("lungs")
    expect(words).not_to_have_attribute("data-window", dragged)
    assert words.get_attribute("data-window") != opened
    page.locator("body").evaluate("body => document.activeElement.blur()")
    page.keyboard.press("Backspace")
    expect(words).to_have_attribute("data-window", opened)


def test_lengths_are_in_millimeters(stand_in: str, page: Any) -> None:
    """The phantom has 500 x 400 pixels of 0.25 mm, and fits the screen."""
    open_film(page, stand_in, "phantom", search="?cpu")
    page.keyboard.press("l")
    box = page.locator(".film").bounding_box()
    scale = min(box["width"] / 500, box["height"] / 400) / 0.25  # CSS pixels of a millimeter
    x, y = box["x"] + box["width"] / 2, box["y"] + 100
    for along, (dx, dy) in ((50.0, (0, 1)), (40.0, (1, 0))):
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx * along * scale / 2, y + dy * along * scale / 2)
        page.mouse.move(x + dx * along * scale, y + dy * along * scale, steps=2)
        page.mouse.up()
        expected = [pytest.approx(along, abs=1.0)]
        eventually(lambda: lengths(page), expected.__eq__)
        page.keyboard.press("Delete")
        eventually(lambda: lengths(page), [].__eq__)


def lengths(page: Any) -> list[float]:
    """What is measured on the film, in mm."""
    said = page.locator(".svg-layer text").all_text_contents()
    return [float(each.removesuffix(" mm")) for each in said if each]


@pytest.mark.parametrize("renderer", ["?webgl", "?cpu"], ids=["webgl", "processor"])
def test_the_magnifier_magnifies_what_is_under_it(stand_in: str, page: Any, renderer: str) -> None:
    """The lens, over a film that is flipped, shows what was there, 2.5 times as large."""
    open_film(page, stand_in, "frontal-opacities", search=renderer)
    page.keyboard.press("o")
    page.keyboard.press("x")
    magnifies(page)


def magnifies(page: Any, ratio: float = 1) -> None:
    page.keyboard.press("m")
    film, (x, y) = settled(page), (250, 200)
    top, bottom, left, right = (round(ratio * each) for each in (y - 50, y + 50, x - 50, x + 50))
    lens_px = round(ratio * 250)
    under = cv2.resize(film[top:bottom, left:right], (lens_px, lens_px))
    box = page.locator(".film").bounding_box()
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    lens = page.locator(".magnifyTool")
    lens.wait_for()
    eventually(lambda: alike(decoded(lens.screenshot()), under), lambda value: value > 0.97)
    page.mouse.up()


def alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of the middles of two pictures of (about) one size, wherever it is largest."""
    middle = other[20:-20, 20:-20]
    return float(cv2.matchTemplate(one, middle, cv2.TM_CCOEFF_NORMED).max())


def test_a_newcomer_sees_the_reading(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    said = " ".join(page.locator(".result").inner_text().split())  # no-break spaces, too
    for words in (
        "COVID-19",
        "64 %",
        "about as likely as not",
        "cannot say",
        "not Pneumonia",
        "Where 42 % have it",
    ):
        assert words in said
    assert "Not calibrated to this site" in said
    assert "of-this-world 1.2.3" in said
    assert "23 % of both lungs is affected" in said
    page.get_by_label(re.compile("Prevalence here")).fill("5")
    page.get_by_label(re.compile("Prevalence here")).press("Tab")
    page.get_by_text("Where 5.0 % have it").first.wait_for()
    page.get_by_label(re.compile("Prevalence here")).fill("")
    page.get_by_label(re.compile("Prevalence here")).press("Tab")


@pytest.mark.parametrize(
    ("name", "words"), [("lateral", "a lateral film"), ("damaged", "pixel data")]
)
def test_an_unread_film_has_a_reason_and_no_probability(
    stand_in: str, page: Any, name: str, words: str
) -> None:
    open_film(page, stand_in, name, search="?cpu")
    said = page.locator(".result").inner_text()
    assert "Not analyzed" in said
    assert words in said
    assert "%" not in said
    assert "log-odds" not in said
    assert look(page).max() > 100  # the film itself is there


def test_what_a_refused_film_measured_is_told_who_asks(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "lateral", search="?cpu")
    expect(page.locator(".result .facts")).to_be_hidden()
    page.get_by_text("What was measured").click()
    expect(page.locator(".result .facts")).to_have_text(
        "Measuredlog-odds of a lateral film 4.31Limit1.2"
    )


def test_verdict_by_keyboard_with_a_mark(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    page.keyboard.press("b")
    box = page.locator(".film").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 300, steps=3)
    page.mouse.up()
    takes_keys(page)
    page.keyboard.press("2")
    page.get_by_text("Marks on the film: 1").wait_for()
    page.get_by_label("Corrected label").select_option("atelectasis")
    page.locator("body").evaluate("body => document.activeElement.blur()")
    film = page.url.split("/film/")[1]
    page.keyboard.press("Enter")
    page.get_by_text("Saved for the film before:").wait_for()
    kept = page.request.get(f"{stand_in}/api/v1/films/{film}/verdicts").json()["items"]
    assert kept[0]["verdict"] == "absent"
    assert kept[0]["corrected_label"] == "atelectasis"
    (left, top), (right, bottom) = kept[0]["marks"][0]["points"]
    # the film of 1024 x 1000 fits by its height: the mark is 100 pixels of the screen each way
    scale = box["height"] / 1000
    assert (right - left) * scale == pytest.approx(100, abs=3)
    assert (bottom - top) * scale == pytest.approx(100, abs=3)
    assert top * scale == pytest.approx(200, abs=3)


def test_blind_first_read_hides_the_machine(stand_in: str, page: Any) -> None:
    page.goto(f"{stand_in}/?cpu#/users")  # the worklist would show the answers
    page.get_by_role("switch", name="Blind first read").check()
    page.get_by_role("link", name="Worklist").click()
    page.get_by_text("Your own reading first").first.wait_for()
    assert not page.get_by_text("frontal-opacities.png").count()  # a name may be the answer
    unread = page.locator(".studies tbody tr", has_text="Your own reading first")
    unread.filter(has_text="P-17", has_not_text="PA").get_by_role("link").click()
    page.get_by_text("Blind: say what you see").wait_for()
    assert "%" not in page.locator(".right").inner_text()
    assert not page.get_by_role("switch", name="Heatmap").count()
    for group in page.locator("fieldset.calls").all():
        group.get_by_role("radio", name="Absent").check()
    page.get_by_role("button", name="Save and show the machine's reading").click()
    page.get_by_text("64 %").first.wait_for()
    page.get_by_role("tab", name="Verdicts").click()
    expect(page.locator(".past .tag.blind")).to_have_count(2)


def test_a_report_is_drafted_for_the_prevalence_that_the_page_shows(
    stand_in: str, page: Any
) -> None:
    open_film(page, stand_in, "cropped", search="?cpu")
    page.get_by_label(re.compile("Prevalence here")).fill("5")
    page.get_by_label(re.compile("Prevalence here")).press("Tab")
    with page.expect_response(re.compile(r"/reports/draft\?")) as asked:
        page.get_by_role("tab", name="Report").click()
    assert "prevalence=0.05" in asked.value.url
    assert asked.value.ok


def test_report_is_prefilled_edited_and_kept(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "cropped", search="?cpu")
    page.get_by_role("tab", name="Report").click()
    findings = page.get_by_role("textbox", name="Findings")
    findings.wait_for()
    assert "In all, 23 % of both lungs." in findings.input_value()
    for version, text in enumerate(("First text.", "Second text."), start=1):
        findings.fill(text)
        page.get_by_role("button", name="Save as a draft").click()
        page.get_by_text(f"Draft saved as version {version}.").wait_for()
    expect(page.locator(".versions li")).to_have_count(2)
    newest = page.get_by_role("link", name="PDF").first
    film = page.url.split("/film/")[1]
    kept = page.request.get(f"{stand_in}/api/v1/films/{film}/reports").json()["items"]
    assert [each["version"] for each in kept] == [2, 1]
    expect(newest).to_have_attribute("href", re.compile(rf"/{kept[0]['report_id']}\.pdf$"))


def test_search_filter_and_keys_of_the_worklist(stand_in: str, page: Any) -> None:
    page.goto(f"{stand_in}/?cpu")
    page.locator(".studies tbody tr").first.wait_for()
    assert NOTICE in page.locator("footer").inner_text()
    page.keyboard.press("j")
    expect(page.locator(".studies tbody tr").nth(1)).to_have_class("chosen")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("/")
    page.keyboard.type("P-18")
    expect(page.locator(".studies tbody tr")).to_have_count(1)
    assert asked, "the search asks the server"
    assert not any("P-18" in address for address in asked), "no patient's id in an address"
    page.get_by_role("searchbox").fill("")
    page.get_by_role("button", name="Refused").click()
    expect(page.locator(".studies .status-refused")).to_have_count(1)
    expect(page.locator(".studies .status-read")).to_have_count(0)
    assert "a lateral film" in page.locator(".studies tbody").inner_text()
    assert "%" not in page.locator(".studies tbody").inner_text()
    page.locator("body").evaluate("body => document.activeElement.blur()")
    page.keyboard.press("Enter")
    page.get_by_text("Not analyzed: refused").wait_for()


def test_a_film_that_could_not_be_opened_hides_no_answer_to_the_others(
    stand_in: str, page: Any
) -> None:
    def spoil(route: Any) -> None:  # the study gets a second film, which could not be opened
        answer = route.fetch()
        said = answer.json()
        for each in said["items"]:
            each["status"] = "error" if each["status"] == "read" else each["status"]
        route.fulfill(response=answer, json=said)

    page.route("**/api/v1/studies/search*", spoil)
    page.goto(f"{stand_in}/?cpu")
    row = page.locator(".studies tbody tr", has=page.locator(".status-error")).first
    expect(row.locator(".results li").first).to_contain_text("%")


def test_a_key_pressed_at_the_sight_of_the_rows_counts(stand_in: str, page: Any) -> None:
    page.add_init_script(J_AT_SIGHT)
    page.goto(f"{stand_in}/?cpu")
    expect(page.locator(".studies tbody tr").nth(1)).to_have_class("chosen")


J_AT_SIGHT = """addEventListener("DOMContentLoaded", () => {
  const watch = new MutationObserver(() => {
    if (!document.querySelector(".studies tbody tr")) return;
    watch.disconnect();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
  });
  watch.observe(document.body, { childList: true, subtree: true });
});"""
"""Presses j in the moment in which the first rows are there, before they are painted."""


def test_what_happens_before_the_line_for_events_is_open_is_seen(stand_in: str, page: Any) -> None:
    held: list[Any] = []
    page.route("**/api/v1/events", lambda route: held.append(route))
    page.goto(f"{stand_in}/?cpu")
    waiting = page.locator(".studies tr", has_text="waiting.png")
    waiting.locator(".status-queued").wait_for()
    film = waiting.get_attribute("data-film")
    read = f"{stand_in}/api/v1/films/{film}/read"
    csrf = page.request.get(f"{stand_in}/api/v1/me").json()["csrf"]
    page.request.post(read, data={"force": False}, headers={"X-CSRF-Token": csrf})
    held[0].continue_()
    waiting.locator(".status-read").wait_for()


def test_dropped_files_have_progress_and_reasons(stand_in: str, page: Any, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no film")
    page.goto(f"{stand_in}/?cpu")
    page.locator(".studies tbody tr").first.wait_for()
    films = [tmp_path / "new.dcm", tmp_path / "new.png", notes]
    for film, sample in zip(films, ("frontal.dcm", "frontal.png"), strict=False):
        film.write_bytes((SAMPLES / sample).read_bytes())
    page.locator("input[type=file]").set_input_files([str(film) for film in films])
    panel = page.locator(".uploads")
    panel.get_by_text("not accepted").wait_for()
    expect(panel.locator(".upload-accepted")).to_have_count(2)
    assert "expected a film" in panel.inner_text()
    page.get_by_role("link", name="new.png").first.wait_for()


def test_side_by_side_zooms_together(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    page.locator(".strip-film", has_text="2025-03-02").click()
    page.locator(".corners").nth(1).wait_for(state="attached")
    settled(page)
    corners = page.locator("[data-window]")
    opened = corners.first.inner_text()
    page.keyboard.press("+")
    page.keyboard.press("ArrowUp")
    expect(corners.first).not_to_have_text(opened)
    eventually(
        lambda: [text.split("·")[1] for text in corners.all_inner_texts()],
        lambda zooms: len(zooms) == 2 and zooms[0] == zooms[1],
    )
    # in a smaller window both films still fill their width, as they did
    page.keyboard.press("Backspace")
    page.set_viewport_size({"width": 1024, "height": 700})
    for place in (0, 1):
        eventually(lambda place=place: filled(page, place), lambda share: share > 0.95)


def filled(page: Any, place: int) -> float:
    """Share of the width of a stage that its film fills."""
    shot = decoded(page.locator(".film").nth(place).screenshot())
    return float((shot[shot.shape[0] // 2].max(axis=1) > 25).mean())


def test_sign_in_roles_and_error_pages(locked: str, page: Any) -> None:
    page.goto(f"{locked}/#/users")
    sign_in(page, "rita", "wrong")
    page.get_by_text("Name or password is wrong.").wait_for()
    assert NOTICE in page.locator("main").inner_text()
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("This page is not for your role").wait_for()
    assert not page.get_by_role("link", name="Users").count()
    page.goto(f"{locked}/#/nowhere")
    page.get_by_text("There is no such page").wait_for()
    page.goto(f"{locked}/#/film/0000000000000000")
    page.get_by_text("there is no such film", exact=True).first.wait_for()
    _change_password(page)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()


def _change_password(page: Any) -> None:
    page.get_by_role("button", name="rita").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("New password").fill("staple correct horse")
    for old, said in (("wrong", "the current password is wrong"), ("correct horse", None)):
        dialog.get_by_label("Current password").fill(old)
        dialog.get_by_role("button", name="Change").click()
        if said:
            expect(dialog.get_by_role("alert")).to_have_text(said)
    page.get_by_text("The password is changed.").wait_for()
    expect(dialog).to_have_count(0)


def test_everything_is_said_in_russian(stand_in: str, page: Any) -> None:
    page.goto(f"{stand_in}/?cpu")
    page.get_by_label("Language").select_option("ru")
    page.get_by_role("link", name="Список").wait_for()
    assert "не является медицинским изделием" in page.locator("footer").inner_text()
    expect(page.locator("html")).to_have_attribute("lang", "ru")


def test_a_calibration_is_shown_used_and_undone(
    make_station: Any, make_film: Any, page: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(site, "LEAST_PATIENTS", 4)
    station = make_station()
    with station.service.store.write() as session:
        add_person(session, "ada", Role.ADMINISTRATOR, PASSWORD)
    reviewer = station.client("reviewer")
    for i in range(10):
        film_id = station.film(make_film(i, level=20 * i), patient_id=f"P{i}")
        known = {"finding": "covid-19", "value": int(i in (4, *range(6, 10)))}
        reviewer.put(f"/api/v1/films/{film_id}/reference", json=known)
    with Served(station.app) as served:
        page.goto(f"{served.address}/?cpu#/calibration")
        sign_in(page, "ada")
        _calibrate(page, served.address)


def _calibrate(page: Any, address: str) -> None:
    page.get_by_text("Not calibrated to this site").wait_for()
    page.get_by_label("Name of the site").fill("St. Anna")
    seen = page.get_by_role("switch", name="Count films that the model has seen, too")
    assert not seen.is_checked()
    seen.check()
    with page.expect_request("**/calibration/preview") as asked:
        page.get_by_role("button", name="Show before and after").click()
    assert asked.value.post_data_json["allow_seen"] is True
    brier = page.locator(".measures tr", has_text="Brier")
    brier.wait_for()
    (candidate,) = page.request.get(f"{address}/api/v1/calibration").json()["candidates"]
    for place, when in enumerate(("before", "after")):
        found = candidate["adaptation"]["labels"][0][when]["brier"]
        low, high = (f"{found[end]:.2f}" for end in ("low", "high"))
        expect(brier.locator("td").nth(place)).to_contain_text(
            f"{found['value']:.2f} [{low}; {high}]"
        )
    page.get_by_role("button", name="Use this calibration").click()
    sure = page.get_by_role("dialog", name="Are you sure?")
    sure.get_by_role("button", name="Cancel").click()
    expect(sure).to_have_count(0)
    expect(page.locator(".tag", has_text="in use")).to_have_count(0)
    page.get_by_role("button", name="Use this calibration").click()
    sure.get_by_role("button", name="Use this calibration").click()
    page.get_by_text("Calibrated to this site: St. Anna").wait_for()
    page.get_by_role("button", name="Undo").click()
    sure.get_by_text("the model as it came").wait_for()
    page.keyboard.press("Escape")
    expect(sure).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    sure.get_by_role("button", name="Undo").click()
    page.get_by_text("The calibration was undone.").wait_for()
    page.get_by_text("Not calibrated to this site").wait_for()


def test_what_an_archive_has_is_taken_back(stand_in: str, page: Any, tmp_path: Path) -> None:
    store = open_store(sqlite_url(tmp_path / "data" / "store.db"))
    found = page.request.get(f"{stand_in}/api/v1/studies?q=phantom").json()["items"][0]
    film = found["film_id"]
    with store.write() as session:
        reading = session.get_one(Film, film).reading_id
        assert reading is not None
        made = Made(reading_id=reading, film_id=film, state="made")
        about = {"film_id": film, "reading_id": reading, "study_uid": "1.2", "size": 1}
        result = Result(**about, kind="sr", sop_class="1.2", sop_uid="1.2.3", sha256="a" * 64)
        session.add_all((made, result))
        session.flush()
        sent = Delivery(result_id=result.id, peer="pacs", state="sent", sent_ms=now_ms())
        session.add_all((sent, Delivery(result_id=result.id, peer="ward", state="dead")))
    open_film(page, stand_in, "phantom", search="?cpu")
    page.get_by_role("tab", name="Report").click()
    archive = page.get_by_role("region", name="In the archive")
    expect(archive).to_contain_text("pacs: results it has: 1")
    expect(archive).to_contain_text("ward: not taken: 1")
    archive.get_by_label("Why it is taken back").select_option("wrong-patient")
    page.once("dialog", lambda asked: asked.accept())
    archive.get_by_role("button", name="Take back").click()
    expect(archive).to_contain_text("the archives are told")
    expect(archive.get_by_role("button")).to_have_count(0)
    with store.read() as session:
        assert session.get_one(Made, reading).reject == {"reason": "wrong-patient", "peer": None}
    with store.write() as session:  # what is dead alone could still be sent by a retry
        session.execute(update(Made).values(state="made", reject=None))
        session.execute(update(Delivery).values(state="dead"))
    store.close()
    page.reload()
    page.get_by_role("tab", name="Report").click()
    expect(archive.get_by_role("button", name="Take back")).to_have_count(1)

"""Reading through: undo, resuming, lists, touch, what a screen shows."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
import pytest

from .conftest import csrf_of, eventually, look, new_page, open_film, settled, takes_keys

expect = pytest.importorskip("playwright.sync_api").expect

PIXELS = re.compile(r"/films/(\w+)/pixels")
FILM, STUDY = (re.compile(rf"/api/v1/{each}/(\w+)$") for each in ("films", "studies"))


def _place(page: Any) -> str:
    return str(page.locator(".round strong").inner_text())


def test_what_is_searched_stays_as_it_is_typed(stand_in: str, page: Any) -> None:
    """Neither a list that comes meanwhile nor a pause after a word takes a letter back."""
    held: list[Any] = []
    studies = "**/api/v1/studies/search"
    page.route(studies, lambda route: held.append(route))
    page.goto(f"{stand_in}/?cpu")
    search = page.get_by_role("searchbox")
    search.focus()
    eventually(lambda: page.evaluate("1") and len(held), bool)
    page.keyboard.type("frontal")
    held.pop(0).continue_()  # the list of before
    page.unroute(studies)
    rows = page.locator(".studies tbody tr")
    expect(rows).to_have_count(2)
    expect(search).to_have_value("frontal")
    with page.expect_response(studies):
        page.keyboard.type("-op ")
    expect(rows).to_have_count(1)
    page.keyboard.type("x")
    expect(search).to_have_value("frontal-op x")
    page.get_by_role("button", name="Clear").click()
    expect(search).to_have_value("")


def test_a_round_goes_on_after_a_reload_and_asks_before_work_is_left(
    stand_in: str, page: Any
) -> None:
    page.goto(f"{stand_in}/?cpu")
    page.locator(".studies tbody tr").first.wait_for()
    page.keyboard.press("/")
    page.keyboard.type("frontal")
    expect(page.locator(".studies tbody tr")).to_have_count(2)
    page.get_by_role("link", name="frontal.dcm").click()
    expect(page.locator(".round strong")).to_have_text("1 of 2")
    takes_keys(page)
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.keyboard.press("Tab")  # from the question to its first finding, and on to the second
    page.keyboard.press("Tab")
    page.keyboard.press("2")
    page.keyboard.press("j")
    eventually(lambda: bool(_place(page)) and len(asked), lambda count: count == 1)
    assert "no verdict yet" in asked[0]
    assert _place(page) == "1 of 2"
    page.keyboard.press("1")  # of the first one, which is still open
    expect(page.locator(".round strong")).to_have_text("2 of 2")
    expect(page.locator(".last")).to_contain_text("COVID-19: Present · Pneumonia: Absent")
    page.reload()
    expect(page.locator(".round strong")).to_have_text("2 of 2")
    page.keyboard.press("g")
    page.get_by_text("You were at film 2 of 2; judged by you: 1.").wait_for()
    page.get_by_role("link", name="Go on").click()
    expect(page.locator(".round strong")).to_have_text("2 of 2")


def test_the_next_film_is_told_ahead(stand_in: str, page: Any) -> None:
    """It is there with whose it is before the server has said anything more of it."""
    told: set[str] = set()
    page.on("requestfinished", lambda asked: told.update(STUDY.findall(asked.url)))
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    takes_keys(page)
    eventually(lambda: page.evaluate("1") and told, lambda ids: len(ids) == 2)  # its own, the next
    held: list[Any] = []
    page.route(FILM, lambda route: held.append(route))
    page.keyboard.press("j")
    expect(page.locator(".identity")).to_contain_text("phantom.dcm")
    eventually(lambda: page.evaluate("1") and len(held), bool)
    assert page.locator(".glance").count() == 0
    page.route(FILM, lambda route: route.continue_())
    for route in held:
        route.continue_()
    page.locator(".glance").wait_for()


def test_the_next_film_is_drawn_ahead_where_nobody_sees_it(stand_in: str, page: Any) -> None:
    """It looks as one that is opened by its address, though the window has another size by then."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    ahead = page.locator(".film .pane.ahead canvas").first
    ahead.wait_for(state="attached")
    assert not ahead.is_visible()
    takes_keys(page)
    page.set_viewport_size({"width": 1500, "height": 900})
    page.keyboard.press("j")
    expect(page.locator(".identity")).to_contain_text("phantom.dcm")
    takes_keys(page)
    page.wait_for_timeout(700)  # the one after it is drawn meanwhile
    found = settled(page)
    expect(page.locator(".film .pane:not(.ahead)")).to_have_count(1)
    pixels = [of[1] for url in asked if (of := PIXELS.search(url))]
    assert len(pixels) == len(set(pixels))  # each was fetched once
    page.keyboard.press("i")
    assert np.abs(settled(page).astype(int) - found).mean() > 20  # its tools are its own
    page.reload()
    takes_keys(page)
    assert np.abs(settled(page).astype(int) - found).mean() < 1
    page.keyboard.press("g")
    page.locator(".studies tbody tr").first.wait_for()
    expect(page.locator(".pane")).to_have_count(0)


def test_a_film_that_is_read_after_it_was_drawn_ahead_is_fetched_anew(
    stand_in: str, page: Any
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    ahead = page.locator(".film .pane.ahead")
    ahead.locator("canvas").first.wait_for(state="attached")
    takes_keys(page)
    [film] = [found[1] for url in asked if "ahead=true" in url and (found := PIXELS.search(url))]
    csrf = csrf_of(page, stand_in)
    again = f"{stand_in}/api/v1/films/{film}/read"
    assert page.request.post(again, data={"force": True}, headers=csrf).ok
    expect(ahead).to_have_count(0)
    with page.expect_request(f"**/films/{film}/pixels"):
        page.keyboard.press("j")
    takes_keys(page)


def test_a_film_that_could_not_be_fetched_ahead_is_not_opened_ahead(
    stand_in: str, page: Any
) -> None:
    """The log of the server would call it viewed."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/pixels?ahead=true", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        open_film(page, stand_in, "frontal-opacities", search="?cpu")
    page.wait_for_timeout(1500)
    films = {of[1] for url in asked if "ahead=" not in url and (of := PIXELS.search(url))}
    assert films == {page.url.split("/film/")[1].split("?")[0]}
    page.keyboard.press("j")
    expect(page.locator(".identity")).to_contain_text("phantom.dcm")
    takes_keys(page)


def test_a_film_drawn_ahead_outlives_the_place_of_the_film_before(stand_in: str, page: Any) -> None:
    """The film before is read anew and drawn in another place; then the window changes."""
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    ahead = page.locator(".film .pane.ahead canvas").first
    ahead.wait_for(state="attached")
    page.evaluate("document.querySelector('.film').dataset.before = 'yes'")
    film = page.url.split("/film/")[1].split("?")[0]
    csrf = csrf_of(page, stand_in)
    again = f"{stand_in}/api/v1/films/{film}/read"
    assert page.request.post(again, data={"force": True}, headers=csrf).ok
    expect(page.locator(".film[data-before]")).to_have_count(0)
    ahead.wait_for(state="attached")
    page.set_viewport_size({"width": 1500, "height": 900})
    takes_keys(page)
    page.keyboard.press("j")
    expect(page.locator(".identity")).to_contain_text("phantom.dcm")
    takes_keys(page)
    found = settled(page).astype(int)
    page.reload()
    takes_keys(page)
    assert np.abs(settled(page) - found).mean() < 1


def test_a_verdict_is_one_press_on_a_film_that_is_seen(stand_in: str, page: Any) -> None:
    """No address, no key that is held, none of the worklist or before the film is drawn."""
    page.goto(f"{stand_in}/?cpu")
    page.locator(".studies tbody tr").first.wait_for()
    page.keyboard.press("2")
    assert "/film/" not in page.url
    held: list[Any] = []
    page.route(re.compile("/pixels$"), lambda route: held.append(route))
    film = page.locator(".studies tr", has_text="frontal-opacities").get_attribute("data-film")
    page.goto(f"{stand_in}/?cpu#/film/{film}?verdict=2")
    page.locator("fieldset.calls").nth(1).wait_for()
    eventually(lambda: page.evaluate("0") or len(held), bool)
    page.keyboard.press("1")
    held[0].continue_()
    page.unroute(re.compile("/pixels$"))
    takes_keys(page)
    page.keyboard.press("g")  # what was pressed too early would ask
    page.locator(".studies tbody tr").first.wait_for()
    page.go_back()
    takes_keys(page)
    assert page.locator(".calls :checked").count() == 0
    page.keyboard.down("1")
    page.keyboard.down("1")  # held: it repeats
    page.keyboard.up("1")
    expect(page.locator(".calls :checked")).to_have_count(1)
    page.keyboard.press("2")
    page.get_by_text("Saved for the film before:").wait_for()
    # what cannot be taken back now is still the last one
    page.route("**/verdicts/undo", lambda route: route.abort())
    takes_keys(page)
    with page.expect_event("requestfailed"):
        page.keyboard.press("u")
    page.unroute("**/verdicts/undo")
    page.wait_for_timeout(350)  # within this a second press is a bounce
    page.keyboard.press("u")
    page.wait_for_url(lambda url: film in url)
    given = f"{stand_in}/api/v1/films/{film}/verdicts"
    assert page.request.get(given).json()["items"] == []


def test_choices_that_were_given_do_not_come_back_by_undo(stand_in: str, page: Any) -> None:
    """What the desk kept before is slow on its way, and must not come after what emptied it."""
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    film = page.url.split("/film/")[1].split("?")[0]
    takes_keys(page)
    held: list[Any] = []

    def slowly(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route(re.compile(f"{film}/desk$"), slowly)
    page.keyboard.press("1")
    eventually(lambda: page.evaluate("0") or len(held), bool)
    page.keyboard.press("2")
    page.wait_for_url(lambda url: film not in url)
    takes_keys(page)
    page.keyboard.press("u")
    page.wait_for_timeout(500)  # long enough for what would overtake
    held[0].continue_()
    page.wait_for_url(lambda url: film in url)
    takes_keys(page)
    expect(page.locator(".calls :checked")).to_have_count(0)
    page.keyboard.press("2")
    expect(page.locator(".calls :checked")).to_have_count(1)
    page.keyboard.press("3")
    page.wait_for_url(lambda url: film not in url)
    given = page.request.get(f"{stand_in}/api/v1/films/{film}/verdicts").json()["items"]
    assert {each["finding"]: each["verdict"] for each in given} == {
        "covid-19": "absent", "pneumonia": "unsure",
    }  # fmt: skip


def test_a_report_is_written_by_keys(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "cropped", search="?cpu")
    film = page.url.split("/film/")[1].split("?")[0]
    takes_keys(page)
    page.keyboard.press("t")
    page.keyboard.press("2")  # the text is not there yet: no verdict, either
    expect(page.get_by_role("textbox", name="Indication")).to_be_focused()
    page.keyboard.type("Cough, 1 week.")
    kept = f"{stand_in}/api/v1/films/{film}/reports"
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("textbox", name="Title")).to_be_focused()
    page.keyboard.press("Enter")  # keeps a draft, and signs nothing
    (draft,) = eventually(lambda: page.request.get(kept).json()["items"], bool)
    expect(page.locator(".versions li")).to_have_count(1)
    page.keyboard.press("Control+Enter")  # signs, and keeps no draft beside
    expect(page.locator(".versions li")).to_have_count(2)
    report = page.request.get(kept).json()["items"][0]
    assert (draft["state"], report["state"]) == ("draft", "signed")
    assert report["indication"].endswith("Cough, 1 week.")
    csrf = csrf_of(page, stand_in)
    assert page.request.post(kept, data={"findings": "of another window"}, headers=csrf).ok
    page.get_by_role("textbox", name="Title").press("Enter")
    page.get_by_text("has written version 3 of this report meanwhile").wait_for()
    expect(page.locator(".versions li")).to_have_count(3)
    expect(page.get_by_role("button", name="Save as a draft")).to_be_enabled()
    page.get_by_role("textbox", name="Title").press("Enter")
    expect(page.locator(".versions li")).to_have_count(4)
    page.get_by_role("textbox", name="Impression").fill("Begun on version 4.")
    page.get_by_role("tab", name="Reading").click()
    assert page.request.post(kept, data={"findings": "while it lay"}, headers=csrf).ok
    page.get_by_role("tab", name="Report").click()
    expect(page.locator(".versions li")).to_have_count(5)  # shown, but the text is older
    expect(page.get_by_role("textbox", name="Impression")).to_have_value("Begun on version 4.")
    page.get_by_role("textbox", name="Title").press("Control+Enter")
    page.get_by_text("has written version 5 of this report meanwhile").wait_for()
    expect(page.get_by_role("button", name="Save as a draft")).to_be_enabled()  # list is there
    expect(page.locator(".versions li")).to_have_count(5)
    page.get_by_role("textbox", name="Title").press("Enter")
    expect(page.locator(".versions li")).to_have_count(6)
    page.evaluate("document.activeElement.blur()")
    assert page.evaluate("document.activeElement === document.body")
    assert page.locator(".calls :checked").count() == 0
    page.keyboard.press("1")
    expect(page.locator(".calls :checked")).to_have_count(1)


def test_a_reading_list_asks_by_its_own_rules(stand_in: str, page: Any) -> None:
    """Of a blind list with confidence, whose reader reads blind and so owes more than it asks."""
    api = f"{stand_in}/api/v1"
    csrf = csrf_of(page, stand_in)
    page.request.put(f"{api}/me/blind", data={"on": True}, headers=csrf)
    me = page.request.get(f"{api}/me").json()["name"]
    people = page.request.get(f"{api}/users").json()["items"]
    body = {
        "name": "spring", "studies": {"q": "P-17"}, "findings": ["covid-19"], "blind": True,
        "reveal": False, "confidence": True,
        "readers": [each["user_id"] for each in people if each["name"] == me],
    }  # fmt: skip
    made = page.request.post(f"{api}/lists", data=body, headers=csrf).json()
    first, second = (each["film_id"] for each in made["order"][:2])
    page.goto(f"{stand_in}/?cpu#/film/{first}?list={made['list_id']}")
    takes_keys(page)
    expect(page.locator(".verdict")).to_contain_text("Counts for the reading list: spring")
    expect(page.locator(".blind-note")).to_contain_text("hidden until the list ends")
    expect(page.locator(".verdict button.primary")).to_have_text("Save and go on")
    # a file's name tells, beside this film, too
    page.locator(".strip-film").first.click()
    expect(page.locator(".identity")).to_have_count(2)
    assert f"list={made['list_id']}" in page.url
    assert "frontal" not in page.locator("main").inner_html()
    page.get_by_role("button", name="One film").first.click()
    page.wait_for_url(f"**/film/{first}?list={made['list_id']}")
    # how sure goes with its choice
    page.keyboard.press("1")
    sure = page.locator(".sure")
    page.keyboard.press("ArrowRight")
    expect(sure.locator("output")).to_have_text("55")
    expect(sure).to_contain_text("50 … 100")
    page.keyboard.press("2")
    expect(sure.locator("output")).to_have_text("\u2013")
    expect(sure).to_contain_text("0 … 50")
    page.keyboard.press("ArrowRight")  # at its end already: what is shown is meant
    expect(sure.locator("output")).to_have_text("50")
    page.keyboard.press("ArrowLeft")
    expect(sure.locator("output")).to_have_text("45")
    # what the list does not ask is no verdict of the list
    other = page.locator("fieldset.calls").nth(1)
    other.get_by_role("radio", name="Present").check()
    page.locator(".verdict button.primary").click()
    page.wait_for_url(lambda url: second in url)
    given = page.request.get(f"{api}/films/{first}/verdicts").json()["items"]
    assert {
        each["finding"]: (each["verdict"], each["confidence"], each["list_id"]) for each in given
    } == {"covid-19": ("absent", 45, made["list_id"]), "pneumonia": ("present", None, None)}
    # a slip is answered anew, though the list shows nothing before its end
    takes_keys(page)
    page.keyboard.press("k")
    page.wait_for_url(lambda url: first in url)
    takes_keys(page)
    expect(page.locator("fieldset.calls")).to_have_count(1)
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    expect(sure.locator("output")).to_have_text("55")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: second in url)
    given = page.request.get(f"{api}/films/{first}/verdicts").json()["items"]
    said = [each["verdict"] for each in given if each["finding"] == "covid-19"]
    assert sorted(said) == ["absent", "present"]
    # opened from the worklist it asks for its list, too, and is not named
    page.goto(f"{stand_in}/?cpu#/")
    row = page.locator(f'tr[data-film="{second}"]')
    expect(row.locator("a")).to_have_text("File name hidden")
    row.locator("a").click()
    takes_keys(page)
    assert "list=" not in page.url
    page.keyboard.press("2")
    page.keyboard.press("ArrowLeft")
    other.get_by_role("radio", name="Absent").check()
    # what the page says was saved may still be the film before
    with page.expect_response(re.compile(f"{second}/verdicts/all$")) as answer:
        page.locator(".verdict button.primary").click()
    assert answer.value.status == 201
    given = page.request.get(f"{api}/films/{second}/verdicts").json()["items"]
    assert {each["finding"]: (each["confidence"], each["list_id"]) for each in given} == {
        "covid-19": (45, made["list_id"]), "pneumonia": (None, None),
    }  # fmt: skip
    film = page.request.get(f"{api}/films/{second}").json()
    assert (film["blind_owed"], film["lists"][0]["owed"]) == ([], [])
    # two lists ask the same: no answer follows on the first verdict, and the page promises none
    for name in ("summer", "autumn"):
        more = body | {"name": name, "film_ids": [second], "studies": None, "reveal": True}
        assert page.request.post(f"{api}/lists", data=more, headers=csrf).status == 201
    closed = {"closed": True}
    page.request.patch(f"{api}/lists/{made['list_id']}", data=closed, headers=csrf)
    page.goto(f"{stand_in}/?cpu#/film/{second}")
    page.reload()
    expect(page.locator(".blind-note")).to_contain_text("another reading list asks, too")
    expect(page.locator(".headline.blind")).to_contain_text("in each reading list")
    expect(page.locator(".verdict button.primary")).to_have_text("Save and go on")


def _listed(page: Any, api: str, **rules: Any) -> tuple[str, str, dict[str, str]]:
    """Make a list of a film and a finding for who is signed in: list, film, and what may write."""
    me = page.request.get(f"{api}/me").json()
    csrf = {"X-CSRF-Token": me["csrf"]}
    people = page.request.get(f"{api}/users").json()["items"]
    body = {
        "name": "spring", "studies": {"q": "frontal-op"}, "findings": ["covid-19"], **rules,
        "readers": [each["user_id"] for each in people if each["name"] == me["name"]],
    }  # fmt: skip
    made = page.request.post(f"{api}/lists", data=body, headers=csrf).json()
    return made["list_id"], made["order"][0]["film_id"], csrf


@pytest.mark.parametrize("how", ["answered", "ended"])
def test_a_page_that_is_behind_its_reading_list_catches_up(
    stand_in: str, page: Any, how: str
) -> None:
    """The same film was answered in another tab, or the list ended: said once, and one goes on."""
    api = f"{stand_in}/api/v1"
    listed, film, csrf = _listed(page, api, blind=True)
    page.goto(f"{stand_in}/?cpu#/film/{film}?list={listed}")
    takes_keys(page)
    expect(page.locator(".headline.blind")).to_have_count(1)
    if how == "answered":
        said = {"finding": "covid-19", "verdict": "absent", "blind": True, "list_id": listed}
        given = page.request.post(f"{api}/films/{film}/verdicts", data=said, headers=csrf)
        assert given.status == 201, given.text()
        assert page.request.get(f"{api}/films/{film}/reading").status == 200
    else:
        ended = page.request.patch(f"{api}/lists/{listed}", data={"closed": True}, headers=csrf)
        assert ended.status == 200
    page.keyboard.press("2")
    note = "seen the machine's answer" if how == "answered" else "'spring' has ended"
    expect(page.locator(".note.bad")).to_contain_text(note)
    expect(page.locator(".headline.blind")).to_have_count(0)
    takes_keys(page)
    expect(page.locator(".calls :checked")).to_have_count(0)  # it was one of who had not seen it
    with page.expect_response(re.compile(f"{film}/verdicts/all$")) as answer:
        page.keyboard.press("2")
        page.keyboard.press("Enter")
    assert answer.value.status == 201
    assert answer.value.json()["items"][0]["blind"] is False
    expect(page.locator(".note.bad")).to_have_count(1)


def test_what_a_list_asks_is_answered_without_what_it_does_not_ask(
    stand_in: str, page: Any
) -> None:
    """Opened from the worklist a film has other findings, too: each of them may stay open."""
    api = f"{stand_in}/api/v1"
    listed, film, _ = _listed(page, api, confidence=True)
    page.goto(f"{stand_in}/?cpu#/film/{film}")
    takes_keys(page)
    expect(page.locator("fieldset.calls")).to_have_count(2)
    save, calls = page.locator(".verdict button.primary"), page.locator("fieldset.calls")
    page.keyboard.press("1")
    expect(save).to_be_disabled()  # how sure one is was asked
    page.keyboard.press("ArrowRight")
    expect(save).to_be_enabled()
    desk = f"{api}/films/{film}/desk"
    eventually(lambda: page.request.get(desk).json()["confidence"], lambda it: it != {})
    page.reload()  # what was begun is there again, and how sure one was
    takes_keys(page)
    expect(page.locator(".sure output")).to_have_text("55")
    expect(save).to_be_enabled()
    with page.expect_response(re.compile(f"{film}/verdicts/all$")) as answer:
        page.keyboard.press("Enter")
    (given,) = answer.value.json()["items"]
    assert (given["finding"], given["list_id"], given["confidence"]) == ("covid-19", listed, 55)
    page.goto(f"{stand_in}/?cpu#/film/{film}")
    page.reload()
    takes_keys(page)
    with page.expect_response(re.compile(f"{film}/verdicts/all$")) as answer:
        calls.nth(1).get_by_role("radio", name="Absent").check()
        save.click()
    (given,) = answer.value.json()["items"]
    assert (given["finding"], given["list_id"]) == ("pneumonia", None)


def test_the_verdict_needs_no_scrolling_and_the_film_says_whose_it_is(
    stand_in: str, page: Any
) -> None:
    open_film(page, stand_in, "frontal.dcm", search="?cpu")
    identity = page.locator(".identity span").all_inner_texts()
    assert identity[0].startswith("P-17")
    assert "2025-03-02" in identity[1]
    assert identity[-1] == "frontal.dcm"
    expect(page.locator(".glance .line")).to_have_count(2)
    expect(page.locator(".glance")).to_contain_text("cannot say: neither answer can be ruled out")
    expect(page.locator(".glance")).to_contain_text("in 100 where 42 in 100 have it")
    for width, height in ((1366, 768), (1024, 700), (820, 1180)):
        page.set_viewport_size({"width": width, "height": height})
        settled(page)
        for what in (".glance", "fieldset.calls >> nth=1", "button.primary"):
            box = page.locator(what).first.bounding_box()
            assert box["y"] + box["height"] <= height, (width, what, box)
        film = page.locator(".film").bounding_box()
        assert film["width"] >= (0.6 if width == 820 else 0.45) * width, (width, film)


def test_earlier_films_have_their_reading_and_the_difference(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    later = page.get_by_role("region", name="Later films")
    earlier = page.get_by_role("region", name="Earlier films")
    assert later.count() + earlier.count() >= 1
    page.locator(".strip-film", has_text="2025-03-02").click()
    change = page.get_by_role("region", name="Change")
    change.wait_for()
    rows = change.locator("tbody tr")
    assert "COVID-19" in rows.first.inner_text()
    cells = rows.first.locator("td").all_inner_texts()
    then, now, difference = (int(each.split("\u00a0")[0]) for each in cells)
    assert difference == now - then
    expect(change).to_contain_text("Opaque, both lungs")
    page.locator(".strip-film", has_text="lateral").or_(
        page.locator(".strip-film", has_text="Refused")
    ).first.click()
    page.get_by_text("One of the two films was not analyzed").wait_for()


@pytest.mark.parametrize(
    "renderer", ["?cpu", pytest.param("?webgl", marks=pytest.mark.slow)], ids=["processor", "webgl"]
)
def test_two_films_side_by_side_are_drawn_each_for_itself(
    stand_in: str, page: Any, renderer: str
) -> None:
    open_film(page, stand_in, "frontal-opacities", search=renderer)
    page.locator(".strip-film", has_text="2025-03-02").click()
    films = page.locator(".film")
    expect(films).to_have_count(2)
    expect(page.locator(".corners")).to_have_count(2)

    def middles() -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
        found = [look(page, f".film >> nth={each}") for each in range(2)]
        return [each[200:400, 100:300, 0] for each in found]

    settled(page)
    before = middles()
    assert np.abs(before[0].astype(int) - before[1]).mean() > 5
    page.keyboard.press("i")  # of both
    settled(page)
    for was, now in zip(before, middles(), strict=True):
        assert np.median(np.abs(was.astype(int) + now - 255)) < 2  # but for what lies on them


def test_two_fingers_zoom_and_move_the_film(stand_in: str, chromium: Any) -> None:
    with new_page(chromium, viewport={"width": 820, "height": 1180}, has_touch=True) as page:
        open_film(page, stand_in, "phantom", search="?cpu")
        box = page.locator(".film").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session = page.context.new_cdp_session(page)

        def fingers(kind: str, apart: float, down: float = 0) -> None:
            points = [{"x": x - apart, "y": y + down}, {"x": x + apart, "y": y + down}]
            if kind == "touchEnd":
                points = []
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        page.keyboard.press("o")  # the film alone
        before = _square(settled(page))
        fingers("touchStart", 50)
        fingers("touchMove", 55)
        fingers("touchMove", 65, -60)
        fingers("touchEnd", 0)
        after = eventually(lambda: _square(settled(page)), lambda found: found[0] > 1.2 * before[0])
        assert after[0] / before[0] == pytest.approx(1.3, abs=0.05)
        # as much farther from the fingers as they are apart, and moved with them
        middle = box["height"] / 2
        assert after[1] == pytest.approx(middle + 1.3 * (before[1] - middle) - 60, abs=8)


def _square(shot: np.ndarray[Any, np.dtype[np.uint8]]) -> tuple[float, float]:
    """Height and vertical middle of the phantom's second square (60 x 100), in CSS pixels."""
    bright = (shot.min(axis=2) > 120).astype(np.uint8)
    _, _, stats, centers = cv2.connectedComponentsWithStats(bright)
    tall = [i for i in range(1, len(stats)) if 1.5 < stats[i][3] / max(stats[i][2], 1) < 1.9]
    largest = max(tall, key=lambda i: int(stats[i][4]))
    return float(stats[largest][3]), float(centers[largest][1])

"""A page that nobody uses is covered, and goes on where it was."""

from __future__ import annotations

from typing import Any

import pytest

from . import test_pages as pages
from .conftest import csrf_of, eventually, open_film, sign_in

expect = pytest.importorskip("playwright.sync_api").expect
WORDS = "half of a sentence about the left"


def _signed_in(page: Any, address: str, name: str = "rita") -> None:
    page.goto(address)
    sign_in(page, name)
    page.get_by_role("button", name="Sign out").wait_for()


def _write(page: Any, address: str) -> Any:
    open_film(page, address, "frontal-opacities", search="?cpu")
    page.get_by_role("tab", name="Report").click()
    findings = page.get_by_role("textbox", name="Findings")
    findings.fill(WORDS)
    return findings


def test_a_page_that_nobody_uses_is_covered_and_nothing_is_lost(locked: str, page: Any) -> None:
    page.clock.install()
    _signed_in(page, locked, "bo")
    findings = _write(page, locked)
    page.clock.fast_forward("29:00")
    page.mouse.move(300, 300)  # somebody is there
    page.clock.fast_forward("29:00")
    assert findings.input_value() == WORDS
    page.clock.fast_forward("02:00")
    dialog = page.get_by_role("dialog", name="Locked")
    dialog.wait_for()
    assert eventually(lambda: page.request.get(f"{locked}/api/v1/me").status, lambda it: it == 401)
    expect(page.locator(".shell")).to_have_css("visibility", "hidden")
    for _ in range(3):
        page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_label("Name")).to_have_value("bo")
    dialog.get_by_label("Password").fill("wrong")
    dialog.get_by_role("button", name="Sign in").click()
    dialog.get_by_text("Name or password is wrong.").wait_for()
    dialog.get_by_label("Password").fill("correct horse")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)
    expect(findings).to_be_visible()
    assert findings.input_value() == WORDS
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.get_by_role("button", name="Sign out").click()
    assert "will be lost" in asked[0]
    assert findings.input_value() == WORDS
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()
    expect(page.locator("dialog.lock")).to_have_count(0)


def test_who_signed_in_elsewhere_goes_on_and_another_person_begins_anew(
    locked: str, page: Any
) -> None:
    page.clock.install()
    _signed_in(page, locked, "bo")
    findings = _write(page, locked)
    api = f"{locked}/api/v1/login"
    for name in ("bo", "ada"):
        page.clock.fast_forward("31:00")
        page.get_by_role("dialog", name="Locked").wait_for()
        eventually(lambda: page.request.get(f"{locked}/api/v1/me").status, lambda it: it == 401)
        page.request.post(api, data={"name": name, "password": "correct horse"})
        page.evaluate("dispatchEvent(new Event('focus'))")
        expect(page.get_by_role("dialog", name="Locked")).to_have_count(0)
        if name == "bo":
            assert findings.input_value() == WORDS
    expect(page.locator(".who")).to_have_text("ada")
    expect(findings).to_have_count(0)


def test_who_signs_in_in_another_tab_is_who_every_tab_is_of(locked: str, page: Any) -> None:
    """Else the page of one person would be filled with what another one may see."""
    _signed_in(page, locked, "bo")
    page.request.post(f"{locked}/api/v1/login", data={"name": "ada", "password": "correct horse"})
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".who")).to_have_text("ada")


def test_the_cover_does_not_say_that_nobody_was_there(locked: str, page: Any) -> None:
    """It comes as well over the page of somebody who signs out in another tab, or is blocked."""
    _signed_in(page, locked, "bo")
    csrf = csrf_of(page, locked)
    page.request.post(f"{locked}/api/v1/logout", headers=csrf)
    page.goto(f"{locked}/#/agreement")
    dialog = page.get_by_role("dialog", name="Locked")
    expect(dialog).to_contain_text("The session has ended. What bo had open is beneath")


def test_an_address_that_is_none_is_a_page_that_says_so(locked: str, page: Any) -> None:
    _signed_in(page, locked, "bo")
    page.goto(f"{locked}/#/%")
    expect(page.get_by_role("main")).to_contain_text("There is no such page")


def test_somebody_else_may_take_over(locked: str, page: Any) -> None:
    page.clock.install()
    _signed_in(page, locked, "bo")
    page.clock.fast_forward("31:00")
    page.get_by_role("button", name="I am somebody else").click()
    sign_in(page, "rita")
    expect(page.locator(".who")).to_have_text("rita")


@pytest.mark.parametrize("way", ["sign-out", "lock"])
def test_nothing_of_a_person_is_left_for_the_next_one(locked: str, page: Any, way: str) -> None:
    page.clock.install()
    page.on("dialog", lambda dialog: dialog.accept())
    _signed_in(page, locked, "bo")
    _write(page, locked)
    if way == "sign-out":
        page.get_by_role("button", name="Sign out").click()
    else:
        page.clock.fast_forward("31:00")
        page.get_by_role("button", name="I am somebody else").click()
    page.get_by_label("Read blind first", exact=False).wait_for()
    sign_in(page, "ada")
    page.locator(".who").wait_for()
    open_film(page, locked, "frontal-opacities", search="?cpu")
    page.get_by_role("tab", name="Report").click()
    findings = page.get_by_role("textbox", name="Findings")
    expect(findings).not_to_have_value("")
    assert findings.input_value() != WORDS


def test_the_cover_is_accessible(locked: str, page: Any) -> None:
    page.clock.install()
    _signed_in(page, locked, "bo")
    page.clock.fast_forward("31:00")
    page.get_by_role("dialog", name="Locked").wait_for()
    start = pages.AXE.read_text()
    page.evaluate(start)
    found = page.evaluate("axe.run().then((r) => r.violations.map((v) => v.id))")
    assert found == []

"""Administrators: studies deleted from the worklist, a patient erased; and long patient ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hilum.apps.store.people import Role, add_person
from hilum.serve.samples import ROOT as SAMPLES

from .conftest import Served, sign_in

expect = pytest.importorskip("playwright.sync_api").expect
PASSWORD = "a long enough password"
LONG = "1.2.826.0.1.3680043.8.498.45787841905473114233124723359129632652"


@pytest.fixture
def address(make_station: Any) -> Iterator[tuple[Any, str]]:
    station = make_station()
    with station.service.store.write() as session:
        add_person(session, "anna", Role.ADMINISTRATOR, PASSWORD)
        add_person(session, "rita", Role.REVIEWER, PASSWORD)
    with Served(station.app) as served:
        yield station, served.address


def _sign_in(page: Any, address: str, name: str = "anna") -> None:
    page.goto(address)
    sign_in(page, name, PASSWORD)
    page.get_by_role("button", name="Sign out").wait_for()


def test_studies_are_deleted_and_a_patient_erased(
    address: tuple[Any, str], page: Any, make_film: Any
) -> None:
    station, where = address
    for number, patient in enumerate(["P-1", "P-1", "P-2", "P-3"]):
        station.film(make_film(number), patient_id=patient)
    _sign_in(page, where)
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("checkbox", name="Choose: film3.png").check()
    page.get_by_role("checkbox", name="Choose: film2.png").check()
    expect(page.get_by_role("button", name="Erase this patient…")).to_have_count(0)
    page.get_by_role("button", name="Delete the chosen…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Films2")
    dialog.get_by_role("button", name="Delete 2 studies").click()
    page.get_by_text("Deleted: 2 studies.").wait_for()
    expect(page.locator(".studies tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("checkbox", name="Choose: film0.png").check()
    page.get_by_role("button", name="Erase this patient…").click()
    dialog.get_by_role("heading", name="Erase patient P-1").wait_for()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator(".studies tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Erase this patient…").click()
    dialog.get_by_role("button", name="Delete 2 studies").click()
    page.get_by_text("No films yet").wait_for()
    actions = [line.action for line in station.service.log.lines(limit=3)]
    assert actions == ["patient-erased", "deleted", "deleted"]

    page.goto(f"{where}/#/trash")
    expect(page.locator("main tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Put back").first.click()
    expect(page.locator("main tbody tr")).to_have_count(1)
    page.on("dialog", lambda asked: asked.accept())
    page.locator("main").get_by_role("button", name="Delete for good").click()
    page.get_by_text("The trash is empty.").wait_for()
    page.get_by_role("link", name="Worklist").click()
    page.locator(".studies tbody tr").dblclick()
    page.get_by_role("tab", name="Film").click()
    page.get_by_role("button", name="Delete this study").click()
    expect(dialog).to_contain_text("This goes into the trash, where it can be put back for 30 days")
    dialog.get_by_role("button", name="Delete 1 study").click()
    page.get_by_text("No films yet").wait_for()
    expect(page.get_by_text("Deleted: 1 study.")).to_have_count(1)


def test_a_reviewer_is_not_offered_it(address: tuple[Any, str], page: Any, make_film: Any) -> None:
    station, where = address
    station.film(make_film(1))
    _sign_in(page, where, "rita")
    page.locator(".studies tbody tr").wait_for()
    expect(page.get_by_role("button", name="Delete…")).to_have_count(0)


@pytest.mark.parametrize("width", [1024, 1366])
def test_a_long_patient_id_leaves_the_results_in_sight(
    address: tuple[Any, str], page: Any, width: int
) -> None:
    station, where = address
    for name in ("frontal.png", "frontal-opacities.png"):
        station.film(SAMPLES / name, patient_id=LONG)
    page.set_viewport_size({"width": width, "height": 700})
    _sign_in(page, where)
    page.locator(".results").first.wait_for()
    box = page.locator(".table-box").bounding_box()
    for row in page.locator(".studies tbody tr").all():
        last = row.locator("td").last.bounding_box()
        assert last["x"] + last["width"] <= box["x"] + box["width"] + 1
        assert row.bounding_box()["height"] < 140
    assert LONG in page.locator("td.patient").first.inner_text()  # whole: ids differ at their ends


def test_opening_a_film_twice_is_two_lines(
    address: tuple[Any, str], page: Any, make_film: Any, monkeypatch: Any
) -> None:
    from hilum.apps.web import looks

    station, where = address
    film_id = station.film(make_film(1))
    monkeypatch.setattr(looks, "TOGETHER_S", 1.0)
    _sign_in(page, where)
    for opening in (1, 2):
        page.locator(".studies tbody a").first.click()
        page.locator(".corners").first.wait_for(state="attached")
        page.locator(".film-head").wait_for()
        page.wait_for_timeout(1500)
        page.get_by_role("link", name="Worklist").click()
        page.locator(".studies tbody a").first.wait_for()
        lines = [each for each in station.service.log.lines(limit=50) if each.action == "viewed"]
        assert [each.film_id for each in lines] == [film_id] * opening

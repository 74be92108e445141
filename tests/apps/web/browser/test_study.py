"""A reader study as people live it: three readers, one who reloads and one at a tablet."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from hilum.apps.store.people import Role, add_person

from .conftest import PASSWORD, SCREEN, Served, new_page, sign_in, takes_keys

expect = pytest.importorskip("playwright.sync_api").expect
API = "/api/v1"
FINDING = "covid-19"
READERS = ("anna", "boris", "clara")


@pytest.mark.slow
@pytest.mark.parametrize("films", [6, 60])
def test_a_study_of_three_readers(
    make_station: Any, make_film: Any, chromium: Any, films: int
) -> None:
    station = make_station()
    with station.service.store.write() as session:
        people = [add_person(session, each, Role.REVIEWER, PASSWORD).id for each in READERS]
        add_person(session, "ada", Role.ADMINISTRATOR, PASSWORD)
    ids = [station.film(make_film(number), patient_id=f"P{number}") for number in range(films)]
    admin = station.client("administrator")
    truth = {film: number % 2 for number, film in enumerate(ids)}
    for film, value in truth.items():
        known = {"finding": FINDING, "value": value, "standard": "RT-PCR"}
        admin.put(f"{API}/films/{film}/reference", json=known)
    body = {
        "name": "spring", "film_ids": ids, "readers": people, "findings": [FINDING], "seed": 7,
        "blind": True, "reveal": False, "confidence": True,
    }  # fmt: skip
    listed = admin.post(f"{API}/lists", json=body).json()["list_id"]
    said: dict[tuple[str, str], tuple[str, int]] = {}
    with Served(station.app) as served:
        for row, name in enumerate(READERS):
            tablet = {"viewport": {"width": 820, "height": 1180}, "has_touch": True}
            screen = tablet if name == "clara" else {"viewport": SCREEN}
            with new_page(chromium, **screen) as page:
                _read(page, served.address, name, truth, row, said)
        assert admin.get(f"{API}/lists/{listed}").json()["open"]
        admin.patch(f"{API}/lists/{listed}", json={"closed": True})
        with new_page(chromium, viewport=SCREEN) as page:
            page.goto(f"{served.address}/#/lists/{listed}")
            sign_in(page, "ada")
            shown = page.get_by_role("region", name="Analysis").locator("tbody tr")
            expect(shown.first).to_contain_text("anna")
            rows = shown.all_inner_texts()
            kappas = page.locator(".grid .card").first.locator("tr").all_inner_texts()
            with page.expect_download() as taken:
                page.get_by_role("link", name="Table for MRMC tools").click()
            table = pd.read_csv(taken.value.path())
    assert len(said) == len(READERS) * films
    labels = np.array([truth[each] for each in ids])
    areas = []
    for row, name in enumerate(READERS):
        areas.append(roc_auc_score(labels, [said[name, each][1] for each in ids]))
        assert rows[row].split("\t")[0] == name
        assert f"{areas[-1]:.2f}" in rows[row].split("\t")[3]
        assert f"n = {films}" in rows[row].replace("\u00a0", " ").split("\t")[3]
    assert f"{np.mean(areas):.2f}" in rows[3].split("\t")[3]
    for place, (one, two) in enumerate(combinations(READERS, 2), start=1):
        kappa = cohen_kappa_score(*([said[who, each][0] for each in ids] for who in (one, two)))
        assert f"{kappa:.2f}".replace("-0.00", "0.00") in kappas[place].replace("\u2212", "-")
    assert len(table) == len(READERS) * films
    for each in table.to_dict("records"):
        call, sure = said[each["reader"], each["case"]]
        assert (each["rating"], each["truth"]) == (sure, truth[each["case"]])
        assert each["call"] == (call == "present")
    found = admin.get(f"{API}/lists/{listed}/analysis").json()
    assert [each["unaided"]["auc"]["value"] for each in found["readers"]] == pytest.approx(areas)
    assert [each["aided"] for each in found["readers"]] == [None] * len(READERS)
    assert station.service.log.verify().problem is None


def test_a_list_without_its_films_shows_its_figures_and_is_opened_again(
    make_station: Any, make_film: Any, page: Any
) -> None:
    """Its patient was erased, and its deadline is over."""
    station = make_station()
    with station.service.store.write() as session:
        add_person(session, "ada", Role.ADMINISTRATOR, PASSWORD)
    admin, reader = station.client("administrator"), station.client("reviewer")
    film = station.film(make_film(1), patient_id="P-1")
    readers = [
        each["user_id"]
        for each in admin.get(f"{API}/users").json()["items"]
        if each["name"] == "reviewer-1"
    ]
    body = {"name": "spring", "film_ids": [film], "readers": readers, "findings": [FINDING]}
    listed = admin.post(f"{API}/lists", json=body).json()["list_id"]
    said = {"finding": FINDING, "verdict": "present", "list_id": listed}
    assert reader.post(f"{API}/films/{film}/verdicts", json=said).status_code == 201
    erase = {"patient_id": "P-1"}
    shown = admin.post(f"{API}/deletions/preview", json=erase).json()
    admin.post(f"{API}/deletions", json=erase | {"confirm": shown["confirm"]})
    admin.patch(f"{API}/lists/{listed}", json={"deadline": "2020-01-01T00:00:00Z"})
    with Served(station.app) as served:
        page.goto(f"{served.address}/#/lists/{listed}")
        sign_in(page, "ada")
        page.get_by_text("Of these, films of erased patients: 1.").wait_for()
        expect(page.get_by_role("button", name="Delete")).to_have_count(0)
        between = page.locator(".grid .card").first
        expect(between).to_contain_text(
            "with the machine readers: 1; on films that each of them called"
        )
        page.get_by_role("button", name="Open it again, without its deadline").click()
        page.get_by_role("button", name="End the list").wait_for()
    found = admin.get(f"{API}/lists/{listed}").json()
    assert (found["open"], found["deadline"]) == (True, None)


def _read(
    page: Any, address: str, name: str, truth: dict[str, int], row: int, said: dict[Any, Any]
) -> None:
    """Read the list through: by keys, or with fingers at the tablet; boris reloads now and then."""
    draw = np.random.default_rng(row)
    page.goto(f"{address}/?cpu#/lists")
    sign_in(page, name)
    page.get_by_role("button", name="Begin").click()
    film = ""
    for number in range(1, len(truth) + 1):
        page.wait_for_url(lambda url, last=film: "/film/" in url and f"/film/{last}?" not in url)
        expect(page.locator(".round strong")).to_have_text(f"{number} of {len(truth)}")
        if name == "boris" and number % 5 == 0:
            page.reload()
            expect(page.locator(".round strong")).to_have_text(f"{number} of {len(truth)}")
        takes_keys(page)
        assert "%" not in page.locator("aside.right").inner_text()
        film = page.url.split("/film/")[1].split("?")[0]
        present = bool(draw.random() < (0.75 if truth[film] else 0.3))
        steps = int(draw.integers(1, 9))
        sure = page.locator(".sure")
        if name == "clara":
            page.locator("fieldset.calls label").nth(0 if present else 1).tap()
            box = sure.locator("input").bounding_box()
            along = steps / 10 if present else 1 - steps / 10
            page.touchscreen.tap(box["x"] + along * box["width"], box["y"] + box["height"] / 2)
            expect(sure.locator("output")).not_to_have_text("\u2013")
            level = int(sure.locator("output").inner_text())
            page.get_by_role("button", name="Save and go on").tap()
        else:
            page.keyboard.press("1" if present else "2")
            for _ in range(steps):
                page.keyboard.press("ArrowRight" if present else "ArrowLeft")
            level = 50 + 5 * steps * (1 if present else -1)
            expect(sure.locator("output")).to_have_text(str(level))
            page.keyboard.press("Enter")
        said[name, film] = ("present" if present else "absent", level)
    page.get_by_text(f"End of the list; judged by you: {len(truth)} of {len(truth)}.").wait_for()

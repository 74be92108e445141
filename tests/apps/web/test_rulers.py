"""A known length makes pixels millimeters, is kept with its film, and can be taken back."""

from __future__ import annotations

import pytest

from hilum.apps.store import queue
from hilum.apps.store.tables import Film, Ruler
from hilum.serve.samples import ROOT

API = "/api/v1"
LINE = [[100.0, 100.0], [130.0, 140.0]]


@pytest.fixture
def film_id(station):
    return station.film(ROOT / "frontal.dcm")


def image(station, film_id):
    return station.client("reader").get(f"{API}/films/{film_id}/image").json()


def put(station, film_id, points=LINE, mm=25.0):
    body = {"points": points, "mm": mm}
    return station.client("reviewer").put(f"{API}/films/{film_id}/ruler", json=body)


def test_a_line_of_50_pixels_and_25_mm(station, film_id):
    before = image(station, film_id)
    assert before["ruler"] is None
    assert before["spacing_plane"] == "detector"
    answer = put(station, film_id).json()["ruler"]
    about = image(station, film_id)
    assert about["ruler"] == answer
    assert answer["points"] == LINE
    assert answer["mm"] == 25
    assert about["spacing_mm"] == pytest.approx([0.5, 0.5])
    assert about["spacing_plane"] == "patient"
    assert about["spacing_source"] == f"a line of 50.0 pixels is 25 mm, says {answer['by']}"
    log = station.client("administrator").get(f"{API}/log").json()
    assert any(line["action"] == "ruler" for line in log["items"])
    put(station, film_id, mm=50)
    assert image(station, film_id)["spacing_mm"] == pytest.approx([1, 1])
    assert put(station, film_id, mm=None).json() == {"ruler": None}
    assert image(station, film_id) == before


@pytest.mark.parametrize("mm", [0, -5, 2001, "a", "NaN"])
def test_what_is_no_length_is_refused(station, film_id, mm):
    assert put(station, film_id, mm=mm).status_code == 422


@pytest.mark.parametrize("points", [[[0, 0], [3, 3]], [[0, 0]], [], [[0, 0], [9, 9], [20, 20]]])
def test_what_is_no_line_is_refused(station, film_id, points):
    assert put(station, film_id, points).status_code == 422
    assert image(station, film_id)["ruler"] is None


def test_a_ruler_goes_with_its_film_and_with_its_content(station, film_id):
    put(station, film_id)
    with station.service.store.write() as session:
        queue.begin_anew(session, session.get_one(Film, film_id))
    with station.service.store.read() as session:
        assert session.get(Ruler, film_id) is None


def test_a_report_measures_by_the_ruler_as_the_screen_does(station, make_film):
    film_id = station.film(make_film(1))
    client = station.client("reviewer")
    line = {"kind": "line", "points": [[0, 0], [100, 0]]}
    client.put(f"{API}/films/{film_id}/desk", json={"marks": [line]})
    client.put(f"{API}/films/{film_id}/ruler", json={"points": [[0, 0], [50, 0]], "mm": 25})
    (mark,) = client.get(f"{API}/films/{film_id}/desk").json()["marks"]
    report = client.post(f"{API}/films/{film_id}/reports", json={"findings": "x"}).json()
    assert mark["measured"] == "Length 50.0 mm"
    assert report["measurements"] == "1. Length 50.0 mm"

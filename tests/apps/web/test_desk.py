"""What a person has begun on a film is kept, and what was measured reaches the report."""

from __future__ import annotations

import io
import math
import re
from base64 import b64decode

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from sqlalchemy import select

from hilum.apps.store.marks import Spacing, in_words, measure
from hilum.apps.store.tables import Desk, Film, Model, Read
from hilum.apps.web.sheet import drawn
from hilum.serve.samples import ROOT

API = "/api/v1"
DICOM = next(each for each in sorted(ROOT.rglob("*.dcm")))
LINE = {"kind": "line", "points": [[10.5, 20.0], [110.5, 20.0]], "text": ""}
ELLIPSE = {"kind": "ellipse", "points": [[10.0, 20.0], [50.0, 40.0]], "text": "nodule"}
BOX = {"kind": "rectangle", "points": [[1.0, 2.0], [30.0, 40.0]], "text": ""}
BEGUN = {
    "choices": {"covid-19": "present"}, "confidence": {"covid-19": 80},
    "text": "left base", "corrected_label": "atelectasis", "blind": False,
    "marks": [LINE, ELLIPSE, BOX],
}  # fmt: skip


@pytest.fixture
def film_id(station):
    return station.film(DICOM)


def _put(client, film_id, **body):
    answer = client.put(f"{API}/films/{film_id}/desk", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_nothing_begun_is_an_empty_desk(station, film_id):
    found = station.client("reviewer").get(f"{API}/films/{film_id}/desk").json()
    assert (found["version"], found["choices"], found["marks"], found["text"]) == (0, {}, [], "")


def test_what_was_begun_is_there_again_and_is_nobody_elses(station, film_id):
    client = station.client("reviewer")
    kept = _put(client, film_id, version=0, **BEGUN)
    again = station.client("reviewer").get(f"{API}/films/{film_id}/desk").json()
    assert again == kept
    said = ("choices", "confidence", "text", "corrected_label")
    assert {key: again[key] for key in said} == {key: BEGUN[key] for key in said}
    bare = [{key: each[key] for key in LINE} for each in again["marks"]]
    assert bare == BEGUN["marks"]  # in pixels of the film, as they were drawn
    other = station.client("administrator").get(f"{API}/films/{film_id}/desk").json()
    assert other["marks"] == []
    assert station.client("reader").get(f"{API}/films/{film_id}/desk").status_code == 403


def test_two_windows_lose_nothing(station, film_id):
    client = station.client("reviewer")
    first = _put(client, film_id, version=0, text="one", marks=[LINE])
    _put(client, film_id, version=0, text="two", marks=[ELLIPSE], choices={"pneumonia": "absent"})
    last = _put(client, film_id, version=first["version"], choices={"covid-19": "unsure"})
    assert last["choices"] == {"pneumonia": "absent", "covid-19": "unsure"}
    assert [each["kind"] for each in last["marks"]] == ["line", "ellipse"]
    assert last["text"] == "one\ntwo"
    emptied = _put(client, film_id, version=last["version"])
    assert (emptied["marks"], emptied["text"], emptied["choices"]) == ([], "", {})


def test_how_sure_one_is_goes_with_its_choice_from_window_to_window(station, film_id):
    client, covid = station.client("reviewer"), "covid-19"
    _put(client, film_id, version=0, choices={covid: "present"}, confidence={covid: 80})
    other = {"choices": {"pneumonia": "absent"}, "confidence": {"pneumonia": 10}}
    both = _put(client, film_id, version=0, **other)
    assert both["confidence"] == {covid: 80, "pneumonia": 10}
    same = _put(client, film_id, version=0, choices={covid: "present"}, confidence={covid: 95})
    assert same["confidence"] == {covid: 95, "pneumonia": 10}
    changed = _put(client, film_id, version=0, choices={covid: "absent"})
    assert changed["choices"] == {covid: "absent", "pneumonia": "absent"}
    assert changed["confidence"] == {"pneumonia": 10}
    answer = client.put(f"{API}/films/{film_id}/desk", json={"confidence": {covid: 101}})
    assert answer.status_code == 422


def test_a_desk_from_before_is_sure_of_nothing(station, film_id):
    client = station.client("reviewer")
    _put(client, film_id, version=0, **BEGUN)
    with station.service.store.write() as session:
        (kept,) = session.scalars(select(Desk))
        kept.body = {key: each for key, each in kept.body.items() if key != "confidence"}
    assert client.get(f"{API}/films/{film_id}/desk").json()["confidence"] == {}
    last = _put(client, film_id, version=0, choices={"pneumonia": "absent"})
    assert (last["choices"], last["confidence"]) == (
        {"covid-19": "present", "pneumonia": "absent"}, {},
    )  # fmt: skip


def test_what_was_sent_twice_stands_once(station, film_id):
    """A window that did not hear that its words were kept sends them again, with more."""
    client = station.client("reviewer")
    _put(client, film_id, version=0, text="left")
    for text in ("left ba", "left base", "left base"):
        last = _put(client, film_id, version=0, text=text)
    assert last["text"] == "left base"


def test_what_was_measured_reaches_the_report_with_its_unit(station, film_id):
    client = station.client("reviewer")
    about = client.get(f"{API}/films/{film_id}/image").json()
    row, column = about["spacing_mm"]
    where = " at the detector" if about["spacing_plane"] == "detector" else ""
    kept = _put(client, film_id, version=0, **BEGUN)
    length = 100 * column
    area = math.pi / 4 * 40 * column * 20 * row
    assert [each["measured"] for each in kept["marks"]] == [
        f"Length {length:.1f} mm{where}", f"Area {area:.0f} mm²{where}", None
    ]  # fmt: skip
    report = client.post(f"{API}/films/{film_id}/reports", json={"findings": "seen"}).json()
    assert report["measurements"].splitlines() == [
        f"1. Length {length:.1f} mm{where}", f"2. Area {area:.0f} mm²{where}: nodule", "3. Box",
    ]  # fmt: skip
    assert report["marks"] == BEGUN["marks"]
    page = client.get(f"{API}/reports/{report['report_id']}.html").text
    assert "Marks and measurements" in page
    assert f"Length {length:.1f} mm" in page
    assert client.get(f"{API}/reports/{report['report_id']}.pdf").content.startswith(b"%PDF")
    russian = client.post(f"{API}/films/{film_id}/reports", json={"language": "ru"}).json()
    written = f"{length:.1f}".replace(".", ",")
    assert russian["measurements"].startswith(f"1. Длина {written} мм")


def test_marks_of_verdicts_and_of_the_desk_are_drawn_in_the_report(station, film_id):
    """Where they were drawn, on page and PDF; a later version has its own, and each one once."""
    client, path = station.client("reviewer"), f"{API}/films/{film_id}"
    box = {"kind": "rectangle", "points": [[100.0, 150.0], [400.0, 500.0]], "text": "here"}
    point = {"kind": "point", "points": [[250.0, 600.0]], "text": ""}
    outline = {"kind": "polygon", "points": [[10.0, 10.0], [30.0, 10.0], [20.0, 40.0]], "text": ""}

    def written():
        report = client.post(f"{path}/reports", json={"findings": "seen"}).json()
        page = client.get(f"{API}/reports/{report['report_id']}.html").text
        pdf = client.get(f"{API}/reports/{report['report_id']}.pdf").content
        found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
        return report, [
            cv2.imdecode(np.frombuffer(b64decode(each), np.uint8), cv2.IMREAD_COLOR)
            for each in found
        ], page, pdf  # fmt: skip

    before, pictures, page, pdf = written()
    assert (before["marks"], before["measurements"]) == ([], "")
    assert "marks by" not in page
    assert pdf.count(b"/Subtype /Image") == len(pictures)
    for finding in ("covid-19", "pneumonia"):
        said = {"finding": finding, "verdict": "present", "marks": [box, outline]}
        assert client.post(f"{path}/verdicts", json=said).status_code == 201
    _put(client, film_id, version=0, marks=[point])
    after, pictures, page, pdf = written()
    assert after["marks"] == [point, box, outline]
    assert after["measurements"] == "1. Point\n2. Box: here\n3. Outline"
    assert "Blue: marks by reviewer-1, numbered as in the text." in page
    assert pdf.count(b"/Subtype /Image") == len(pictures) == 2
    film, drawn = (each.astype(int) for each in pictures)
    scale = film.shape[1] / client.get(f"{path}/image").json()["columns"]
    blue = drawn[..., 0] - drawn[..., 2] > 80

    def at(x, y, wide=4):
        row, column = round(y * scale), round(x * scale)
        return blue[row - wide : row + wide + 1, column - wide : column + wide + 1].any()

    assert all(at(*each) for each in ((100, 300), (400, 300), (250, 150), (250, 500)))
    assert not at(250, 325), "a box is hollow"
    assert at(250, 600, wide=8)
    assert not at(600, 300)
    assert not (film[..., 0] - film[..., 2] > 80).any(), "the other picture is the bare film"
    assert written()[0]["marks"] == after["marks"]
    assert client.get(f"{path}/reports").json()["items"][-1]["marks"] == []


@pytest.mark.parametrize("now", [[], [LINE | {"points": [[10.5, 20.0], [60.5, 20.0]]}]])
def test_a_line_deleted_or_moved_after_the_verdict_is_not_reported(station, film_id, now):
    """A verdict takes along all that lies on the desk, and takes boxes off it."""
    client, path = station.client("reviewer"), f"{API}/films/{film_id}"
    version = _put(client, film_id, version=0, marks=[LINE, ELLIPSE, BOX])["version"]
    said = {"finding": "covid-19", "verdict": "present", "marks": [LINE, ELLIPSE, BOX]}
    assert client.post(f"{path}/verdicts", json=said).status_code == 201
    version = _put(client, film_id, version=version, marks=[LINE, ELLIPSE])["version"]
    before = client.post(f"{path}/reports", json={"findings": "x"}).json()
    assert before["marks"] == [LINE, ELLIPSE, BOX]
    _put(client, film_id, version=version, marks=now)
    report = client.post(f"{path}/reports", json={"findings": "x"}).json()
    assert report["marks"] == [*now, BOX]
    sent = dcmread(io.BytesIO(client.get(f"{path}/objects/gsps.dcm").content))
    layers = {each.GraphicLayer: each for each in sent.GraphicAnnotationSequence}
    assert len(layers["PERSON"].GraphicObjectSequence) == len([*now, BOX])


def test_a_box_is_not_drawn_on_a_film_that_was_turned_since(station, film_id):
    client, path = station.client("reviewer"), f"{API}/films/{film_id}"
    said = {"finding": "covid-19", "verdict": "present", "marks": [BOX]}
    assert client.post(f"{path}/verdicts", json=said).status_code == 201

    def read_again(corrected):
        with station.service.store.write() as session:
            film = session.get_one(Film, film_id)
            old = session.get_one(Read, film.reading_id)
            kept = {each: getattr(old, each) for each in ("film_id", "status", "reading")}
            session.add(Model(checksum=str(len(corrected)) * 64, identity="x", manifest={}))
            again = Read(**kept, checksum=str(len(corrected)) * 64, corrected=corrected)
            session.add(again)
            session.flush()
            film.reading_id = again.id
        return client.post(f"{path}/reports", json={"findings": "x"}).json()

    assert read_again(["inverted"])["marks"] == [BOX], "no pixel was moved"
    report = read_again(["inverted", "upside-down"])
    assert report["marks"] == []
    assert report["measurements"].endswith("because the film was turned since: 1")


@pytest.mark.parametrize(
    ("history", "drawn"), [((), 1), (("orientation: stored L\\H, flipped to L\\F",), 0)]
)
def test_a_box_from_before_films_were_turned_counts_by_what_the_file_asks_for(
    station, film_id, history, drawn
):
    client, path = station.client("reviewer"), f"{API}/films/{film_id}"
    said = {"finding": "covid-19", "verdict": "present", "marks": [BOX]}
    assert client.post(f"{path}/verdicts", json=said).status_code == 201
    with station.service.store.write() as session:
        film = session.get_one(Film, film_id)
        before = session.get_one(Read, film.reading_id)
        new = before.reading | {"history": list(history)}
        before.reading = before.reading | {
            "film": {key: value for key, value in new["film"].items() if key != "sides"}
        }
        session.add(Model(checksum="1" * 64, identity="x", manifest={}))
        again = Read(film_id=film_id, status="read", reading=new, checksum="1" * 64)
        session.add(again)
        session.flush()
        film.reading_id = again.id
    report = client.post(f"{path}/reports", json={"findings": "x"}).json()
    assert len(report["marks"]) == drawn


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_the_number_of_a_mark_at_the_edge_is_inside_the_picture(scale):
    film = np.zeros((200, 200), np.float32)

    def blue(x, number):
        point = {"kind": "point", "points": [[x / scale, 100.0 / scale]]}
        box = {"kind": "rectangle", "points": [[0, 0], [0, 0]]}
        made = drawn(film, (), [box] * (number - 1) + [point], scale)
        text = made[60:98].astype(int)  # above the point itself
        return int((text[..., 2] - text[..., 0] > 80).sum())

    assert blue(199, 1) == pytest.approx(blue(100, 1), rel=0.2)
    assert blue(199, 12) == pytest.approx(blue(100, 12), rel=0.2)


def test_a_film_without_spacing_is_measured_in_pixels(station, make_film):
    film_id = station.film(make_film(1))
    kept = _put(station.client("reviewer"), film_id, version=0, marks=[LINE])
    assert kept["marks"][0]["measured"] == "Length 100.0 px"


def test_a_report_from_before_has_no_measurements_and_opens(station, film_id):
    from hilum.apps.store.tables import Report

    client = station.client("reviewer")
    report = client.post(f"{API}/films/{film_id}/reports", json={"findings": "x"}).json()
    with station.service.store.write() as session:
        row = session.get_one(Report, report["report_id"])
        row.body = {key: each for key, each in row.body.items() if key != "measurements"}
    assert client.get(f"{API}/films/{film_id}/reports").json()["items"][0]["measurements"] == ""
    for form in ("html", "pdf"):
        assert client.get(f"{API}/reports/{report['report_id']}.{form}").status_code == 200


def test_a_deleted_study_takes_its_desks_along(station, film_id):
    _put(station.client("reviewer"), film_id, version=0, **BEGUN)
    admin = station.client("administrator")
    study = admin.get(f"{API}/films/{film_id}").json()["study_id"]
    assert admin.delete(f"{API}/studies/{study}").status_code == 204


@pytest.mark.parametrize(
    ("mark", "spacing", "words"),
    [
        ({"kind": "line", "points": [[0, 0], [3, 4]]}, Spacing(1.0, 1.0), "Length 5.0 mm"),
        (
            {"kind": "line", "points": [[3, 4], [0, 0]]},
            Spacing(0.5, 2.0, at_detector=True),
            "Length 6.3 mm at the detector",
        ),
        ({"kind": "ellipse", "points": [[0, 0], [10, 10]]}, None, "Area 79 px²"),
        ({"kind": "rectangle", "points": [[0, 0], [10, 10]]}, None, None),
        ({"kind": "line", "points": [[0, 0]]}, None, None),
    ],
)
def test_what_a_mark_measures(mark, spacing, words):
    """Rows and columns may differ in size: x goes by columns, y by rows."""
    assert in_words(mark, spacing) == words
    assert (measure(mark, spacing) is None) is (words is None)

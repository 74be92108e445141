"""Export: every film, verdict and truth of a workstation as one flat table."""

from __future__ import annotations

import io
import json
import re

import pandas as pd
import pytest
from pydicom import dcmread

from hilum.apps.cli.main import run
from hilum.apps.store.people import Role, add_person, add_token
from hilum.apps.store.tables import Film, Read
from hilum.apps.web.pictures import Pictures
from hilum.core.row import EXPORT, READ_CSV, columns, inert
from hilum.serve.samples import ROOT

API = "/api/v1"
FINDING = "covid-19"
FORMULA = "=cmd|calc.png"


@pytest.fixture
def film_ids(station, make_film):
    """One of a patient, judged by two; one with the name of a formula; one that waits."""
    first = station.film(make_film(1), patient_id="P-104")
    second = station.film((FORMULA, make_film(2).read_bytes()))
    waits = station.send(make_film(3)).json()["accepted"][0]["film_id"]
    reviewer, admin = station.client("reviewer"), station.client("administrator")
    path = f"{API}/films/{first}"
    reviewer.put(f"{API}/me/blind", json={"on": True})
    given = {"finding": FINDING, "seconds": 12.5}
    for verdict, sure, blind in (
        ("present", 80, True), ("absent", 20, True), ("unsure", 60, False),
    ):  # fmt: skip
        reviewer.put(f"{API}/me/blind", json={"on": blind})
        body = given | {"verdict": verdict, "blind": blind, "confidence": sure}
        assert reviewer.post(f"{path}/verdicts", json=body).status_code == 201
    body = {"finding": "mass", "verdict": "absent", "text": "-1"}
    assert admin.post(f"{path}/verdicts", json=body).status_code == 201
    admin.put(f"{path}/reference", json={"finding": FINDING, "value": 1, "standard": "RT-PCR"})
    return [first, second, waits]


def _table(answer):
    assert answer.status_code == 200, answer.text
    return pd.read_csv(io.BytesIO(answer.content), dtype=str, keep_default_na=False)


def test_the_table_holds_what_was_said(station, film_ids):
    """Row by row what the API says of each film, and nothing of who the patient is."""
    table = _table(station.client("reader").post(f"{API}/export", json={}))
    labels = station.client("reader").get(f"{API}/me").json()["labels"]
    spoken = [each for each in labels if f"{each}_verdict" in table]
    assert list(table) == list(columns(EXPORT, spoken))
    assert {FINDING, "mass"} <= set(spoken)
    assert table["film_id"].tolist() == [film_ids[0], film_ids[0], *film_ids[1:]]
    first, second, other, waits = table.to_dict("records")
    reading = station.client("reader").get(f"{API}/films/{film_ids[0]}/reading").json()["reading"]
    said = next(each for each in reading["findings"] if each["label"] == FINDING)
    for row in (first, second):
        assert float(row[f"{FINDING}_probability"]) == said["probability"]
        assert float(row[f"{FINDING}_score"]) == said["score"]
        assert row[f"{FINDING}_present"] == str(int(said["present"]))
        assert row[f"{FINDING}_prediction_set"] == (said["prediction_set"] or "")
        assert row[f"{FINDING}_answer"] == said["answer"]
        assert (row["bundle"], row["status"]) == (reading["bundle"], "read")
        assert (row[f"{FINDING}_reference"], row[f"{FINDING}_reference_standard"]) == (
            "1", "RT-PCR",
        )  # fmt: skip
    names = ("verdict", "confidence", "seconds")
    assert first["reader"] == "reviewer-1"
    assert [first[f"{FINDING}_blind_{each}"] for each in names] == ["absent", "20", "12.5"]
    assert [first[f"{FINDING}_{each}"] for each in names] == ["unsure", "60", "12.5"]
    assert first[f"{FINDING}_blind_at"] < first[f"{FINDING}_at"]
    assert (second["reader"], second["mass_verdict"]) == ("administrator-1", "absent")
    assert second[f"{FINDING}_verdict"] == ""
    assert (waits["status"], waits[f"{FINDING}_score"], waits["reader"]) == ("queued", "", "")
    assert re.fullmatch("[0-9a-f]{12}", first["patient"])
    assert first["patient"] == second["patient"] != other["patient"] == ""
    assert set(table["address"]) == {""}
    assert "P-104" not in table.to_csv()


def _marks(station, film_id):
    """What each reader drew on a film, by an export."""
    table = _table(station.client("reader").post(f"{API}/export", json={}))
    rows = table[table["film_id"] == film_id].to_dict("records")
    return {row["reader"]: json.loads(row["marks"] or "null") for row in rows}


LINE = {"kind": "line", "points": [[10.0, 20.0], [40.0, 60.0]], "text": ""}
BOX = {"kind": "rectangle", "points": [[1.0, 2.0], [30.0, 40.0]], "text": "=left; base"}


def test_what_readers_gave_with_verdicts_stands_in_their_rows(station, film_ids):
    """Each mark once, in pixels and measured; no mark that was given with none of them."""
    client, film_id = station.client("reviewer"), film_ids[0]
    given = [
        {"finding": each, "verdict": "present", "marks": [LINE, BOX]} for each in (FINDING, "mass")
    ]
    path = f"{API}/films/{film_id}"
    assert client.post(f"{path}/verdicts/all", json={"verdicts": given}).status_code == 201
    client.put(f"{path}/desk", json={"marks": [LINE | {"text": "not given yet"}]})
    station.client("administrator").put(f"{API}/films/{film_ids[1]}/desk", json={"marks": [BOX]})
    pixels = LINE | {"measured": 50.0, "unit": "px"}
    assert _marks(station, film_id) == {"reviewer-1": [pixels, BOX], "administrator-1": None}
    assert _marks(station, film_ids[1]) == {"": None}, "measured, and not judged"
    moved = LINE | {"points": [[10.0, 20.0], [10.0, 60.0]]}
    for each in given:
        each["marks"] = [moved]
    client.post(f"{path}/verdicts/all", json={"verdicts": given})
    assert _marks(station, film_id)["reviewer-1"] == [moved | {"measured": 40.0, "unit": "px"}]


def test_an_export_measures_as_the_report_does(station, tmp_path, monkeypatch):
    """By the film's own pixels, by its ruler while there is one; and so does the command line.

    No film is decoded for that.
    """
    monkeypatch.setattr(Pictures, "describe", None)
    film_id = station.film(ROOT / "frontal.dcm")
    client, path = station.client("reviewer"), f"{API}/films/{film_id}"
    said = {"finding": FINDING, "verdict": "present", "marks": [LINE]}
    assert client.post(f"{path}/verdicts", json=said).status_code == 201
    client.put(f"{path}/desk", json={"marks": [LINE]})
    mm = 50 * dcmread(ROOT / "frontal.dcm").ImagerPixelSpacing[0]
    ruler = [[0, 0], [100, 0]]

    def measured():
        (mark,) = _marks(station, film_id)["reviewer-1"]
        report = client.post(f"{path}/reports", json={"findings": "x"}).json()["measurements"]
        assert report == f"1. Length {mark['measured']:.1f} {mark['unit']}"
        return mark["measured"], mark["unit"]

    own = pytest.approx(mm, abs=1e-3), "mm at the detector"
    assert measured() == own
    client.put(f"{path}/ruler", json={"points": ruler, "mm": 20})
    client.put(f"{path}/desk", json={"marks": [LINE], "version": 1})
    assert measured() == (10.0, "mm")
    client.put(f"{path}/ruler", json={"points": ruler, "mm": None})
    assert measured() == own
    out = tmp_path / "films.csv"
    assert run(["export", "--home", str(station.service.data), "-o", str(out)]) == 0
    (mark,) = json.loads(pd.read_csv(out)["marks"][0])
    assert (mark["measured"], mark["unit"]) == own


def test_ids_are_for_administrators(station, film_ids, tmp_path):
    refused = station.client("reviewer").post(f"{API}/export", json={"patients": True})
    assert (refused.status_code, refused.json()["code"]) == (403, "not-allowed")
    table = _table(station.client("administrator").post(f"{API}/export", json={"patients": True}))
    assert table["patient"].tolist() == ["P-104", "P-104", "", ""]
    assert table["address"].tolist() == ["film1.png", "film1.png", inert(FORMULA), "film3.png"]
    lines = station.service.log.lines(limit=1)
    assert json.loads(lines[0].data) == {"films": 3, "patients": True, "what": "csv"}


def test_filters_are_those_of_the_worklist(station, film_ids):
    client = station.client("reader")
    for studies, number in (({"reviewed": True}, 2), ({"q": "P-104"}, 2), ({"q": "none"}, 0)):
        assert len(_table(client.post(f"{API}/export", json={"studies": studies}))) == number


def test_who_reads_blind_takes_nothing_out_and_who_takes_has_seen(station, film_ids):
    client = station.client("reviewer")
    client.put(f"{API}/me/blind", json={"on": True})
    assert client.post(f"{API}/export", json={}).json()["code"] == "blind-read-pending"
    client.put(f"{API}/me/blind", json={"on": False})
    _table(client.post(f"{API}/export", json={}))
    client.put(f"{API}/me/blind", json={"on": True})
    body = {"finding": FINDING, "verdict": "absent", "blind": True}
    given = client.post(f"{API}/films/{film_ids[1]}/verdicts", json=body)
    assert given.json()["code"] == "already-seen"


def test_the_command_line_writes_the_same(station, film_ids, tmp_path, capsys):
    """CSV as the page gives it; Parquet with the same values, and texts as they are."""
    data = str(station.service.data)
    asked = {"patients": True}
    here = station.client("administrator").post(f"{API}/export", json=asked)
    out = tmp_path / "films.csv"
    assert run(["export", "--home", data, "-o", str(out), "--patients"]) == 0
    assert out.read_bytes() == here.content
    assert "4 rows of 3 films" in capsys.readouterr().err
    parquet = tmp_path / "films.parquet"
    assert run(["export", "--home", data, "-o", str(parquet), "--patients"]) == 0
    table, text = pd.read_parquet(parquet), _table(here)
    assert list(table) == list(text)
    assert table["address"][2] == FORMULA
    score = f"{FINDING}_score"
    assert table[score].dropna().tolist() == [float(each) for each in text[score] if each]
    assert table[f"{FINDING}_blind_confidence"][0] == 20
    assert table["covid-19_reference"][0]
    asked |= {"format": "parquet"}
    sent = station.client("administrator").post(f"{API}/export", json=asked)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(sent.content)), table)
    assert run(["export", "--home", data, "-o", str(tmp_path / "films.xlsx")]) == 6
    assert run(["export", "--home", str(tmp_path / "nothing"), "-o", str(out)]) == 6
    assert station.service.log.verify().ok


@pytest.mark.parametrize("mark", [";", "\n", "\t", ';"', "; "])
def test_no_formula_stands_where_a_cell_may_begin(mark):
    """Excel in much of Europe splits at ';', whatever the quotes that csv puts about a text."""
    safe = inert(f"x{mark}=HYPERLINK(1)")
    assert not re.search(r"[;\t\n][\s\"]*=", safe)
    assert safe.replace("'", "") == f"x{mark}=HYPERLINK(1)"
    assert inert("opacity; left base, 2-3 cm") == "opacity; left base, 2-3 cm"


def test_a_row_holds_the_reading_that_its_reader_had(station, film_ids):
    """A later reading by another bundle was not what the verdict was given beside."""
    before = _table(station.client("reader").post(f"{API}/export", json={}))
    with station.service.store.write() as session:
        for film_id in film_ids[:2]:
            film = session.get_one(Film, film_id)
            old = session.get_one(Read, film.reading_id)
            said = old.reading | {"bundle": "another"}
            kept = {"film_id": film_id, "checksum": old.checksum, "status": old.status}
            session.add(again := Read(**kept, reading=said, forced=True))
            session.flush()
            film.reading_id = again.id
    after = _table(station.client("reader").post(f"{API}/export", json={}))
    assert after["bundle"].tolist() == [*before["bundle"][:2], "another", ""]


def test_two_lists_are_two_rows(station, film_ids):
    """Without and with the machine, of one reader, each in a list of its own."""
    with station.service.store.write() as session:
        person = add_person(session, "anna", Role.REVIEWER)
        token, readers = add_token(session, person, "tests")[1], [person.id]
    admin, anna = station.client("administrator"), station.client()
    anna.headers["Authorization"] = f"Bearer {token}"
    for name, blind in (("without", True), ("with", False)):
        body = {"name": name, "film_ids": film_ids[1:2], "readers": readers, "blind": blind}
        made = admin.post(f"{API}/lists", json=body | {"findings": [FINDING]}).json()
        given = {"finding": FINDING, "verdict": "present", "list_id": made["list_id"]}
        answer = anna.post(f"{API}/films/{film_ids[1]}/verdicts", json=given | {"blind": blind})
        assert answer.status_code == 201, answer.text
        admin.patch(f"{API}/lists/{made['list_id']}", json={"closed": True})
        assert anna.get(f"{API}/films/{film_ids[1]}/reading").status_code == 200
    table = _table(admin.post(f"{API}/export", json={}))
    mine = table[table["reader"] == "anna"]
    assert mine["list"].tolist() == ["without", "with"]
    assert mine[f"{FINDING}_blind_verdict"].tolist() == ["present", ""]
    assert mine[f"{FINDING}_verdict"].tolist() == ["", "present"]


def test_read_writes_a_row_a_film(calibrated_bundle, tmp_path, make_film, capsys):
    """The columns of an export, with what the JSON of the same films says."""
    ward = tmp_path / "ward"
    ward.mkdir()
    (ward / "a.png").write_bytes(make_film(1).read_bytes())
    (ward / "=b.txt").write_text("no film")
    out = tmp_path / "ward.csv"
    asked = [str(ward), "-b", str(calibrated_bundle), "--json", "--csv", str(out)]
    assert run(["read", *asked]) == 3
    readings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    table = pd.read_csv(out, dtype=str, keep_default_na=False)
    labels = [each["label"] for each in readings[-1]["findings"] or readings[0]["findings"]]
    assert list(table) == list(columns(READ_CSV, labels))
    assert set(table) <= set(columns(EXPORT, labels))
    assert table["address"].tolist() == [inert(each["path"]) for each in readings]
    rows = {row["status"]: row for row in table.to_dict("records")}
    said = next(each for each in readings if each["status"] == "read")["findings"][0]
    assert float(rows["read"][f"{said['label']}_probability"]) == said["probability"]
    assert rows["error"]["reason"]
    assert rows["error"][f"{said['label']}_probability"] == ""

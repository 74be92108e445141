from __future__ import annotations

from io import BytesIO
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid
from sqlalchemy import select, update

from hilum.apps.store.tables import Film, Job, Model, Read, Seen
from hilum.apps.web import named
from hilum.apps.web.draft import draft
from hilum.apps.web.settings import Settings
from hilum.apps.web.sheet import Sheet
from hilum.core.errors import UnreadableImageError
from hilum.core.reading import RESEARCH_USE, Reading
from hilum.core.refusal import Reason, Refusal
from hilum.serve.samples import ROOT

API = "/api/v1"


def test_a_report_is_prefilled_kept_by_version_and_given_as_a_page(station):
    film_id = station.film(ROOT / "frontal.dcm")
    client = station.client("reviewer")
    body = client.get(f"{API}/films/{film_id}/reports/draft").json()
    assert "Heart, mediastinum, pleura and bones: not assessed" in body["findings"]
    assert body["impression"].startswith("COVID-19: ")
    assert body["technique"] == "Chest radiograph, PA projection."
    first = client.post(f"{API}/films/{film_id}/reports", json=body).json()
    body["impression"] = "<script>alert(1)</script>"
    second = client.post(f"{API}/films/{film_id}/reports", json=body).json()
    assert (first["version"], second["version"]) == (1, 2)
    items = client.get(f"{API}/films/{film_id}/reports").json()["items"]
    assert [each["version"] for each in items] == [2, 1]
    page = client.get(f"{API}/reports/{second['report_id']}.html")
    assert "&lt;script&gt;" in page.text
    assert "<script>" not in page.text
    assert RESEARCH_USE in page.text
    assert "sandbox" in page.headers["content-security-policy"]
    pdf = client.get(f"{API}/reports/{second['report_id']}.pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF")
    assert pdf.content.count(b"/Type /Page\n") == 1
    log = station.client("administrator").get(f"{API}/log").json()["items"]
    assert [each["action"] for each in log[:2]] == ["exported", "exported"]


def _dated(film, day):
    """The built-in DICOM film on another day, with pixels of its own."""
    made = pydicom.dcmread(film)
    made.StudyDate, made.StudyInstanceUID, made.SOPInstanceUID = day, generate_uid(), generate_uid()
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    out = BytesIO()
    made.save_as(out)
    return f"{day}.dcm", out.getvalue()


def test_a_refused_film_is_reported_without_a_probability():
    refusal = Refusal(code=Reason.LATERAL, measured="odds", value=4.3, limit=1.2, hint="frontal")
    said = {"path": "f.png", "status": "refused", "bundle": "b", "elapsed_ms": 1.0}
    body = draft(Reading(**said, reason="a lateral film: odds 4.3", refusal=refusal), "en")
    assert body.findings == "Not analyzed: a lateral film."
    assert body.impression == ""


@pytest.mark.parametrize(("language", "title"), [("en", "Report"), ("ru", "Отчёт")])
def test_what_is_refused_is_not_called_a_chest_radiograph(language, title):
    """A CT slice is none."""
    refusal = Refusal(code=Reason.CT_SLICE, measured="odds", value=4.3, limit=1.2, hint="film")
    said = {"path": "f.dcm", "status": "refused", "bundle": "b", "elapsed_ms": 1.0}
    body = draft(Reading(**said, reason="a CT slice", refusal=refusal), language)
    assert (body.title, body.technique) == (title, "")


def test_a_draft_is_of_the_prevalence_that_the_page_shows(station, make_film):
    film_id = station.film(make_film(1))
    path, client = f"{API}/films/{film_id}", station.client("reviewer")
    with station.service.store.write() as session:  # else this model cannot say
        model = session.scalars(select(Model)).one()
        labels = [{**each, "conformal": None} for each in model.manifest["labels"]]
        model.manifest = {**model.manifest, "labels": labels}
    told = set()
    for query in ("?prevalence=0.7", "?prevalence=0.9"):
        (shown,) = [
            each["line"]
            for each in client.get(f"{path}/reading{query}").json()["lines"]
            if each["label"] == "pneumonia"
        ]
        written = client.get(f"{path}/reports/draft{query}").json()["impression"]
        assert shown in written
        told.add(written)
    assert len(told) == 2
    unsure = client.get(f"{path}/reports/draft?prevalence=0.05").json()["impression"]
    assert "Pneumonia: cannot be told from this film." in unsure
    assert client.get(f"{path}/reports/draft?prevalence=1").status_code == 422


def test_name_and_accession_are_shown_to_whom_the_site_lets_see_them(make_station):
    film = pydicom.dcmread(ROOT / "frontal.dcm")
    film.SpecificCharacterSet = "ISO_IR 192"
    film.PatientName, film.AccessionNumber = "Yamada^Tarou=山田^太郎", "A-2041"
    out = BytesIO()
    film.save_as(out)
    shown = {"name": "reviewer", "accession": "reader"}
    for identity, told in (({}, {}), (shown, {"reader": "A", "reviewer": "AN"})):
        station = make_station(Settings.parse({"identity": identity}, where="hilum.toml"))
        film_id = station.film(("film.dcm", out.getvalue()))
        report = station.client("reviewer").post(f"{API}/films/{film_id}/reports", json={}).json()
        for role in ("reader", "reviewer"):
            client = station.client(role)
            (item,) = client.get(f"{API}/studies").json()["items"]
            name = "Yamada, Tarou (山田, 太郎)" if "N" in told.get(role, "") else None
            accession = "A-2041" if "A" in told.get(role, "") else None
            assert (item["patient"]["name"], item["accession"]) == (name, accession)
            page = client.get(f"{API}/reports/{report['report_id']}.html").text
            assert ("太郎" in page, "A-2041" in page) == (bool(name), bool(accession))
        with station.service.store.engine.connect() as connection:
            dump = "".join(str(row) for row in connection.connection.driver_connection.iterdump())
        assert "Yamada" not in dump


def test_a_name_is_read_again_after_a_failure_and_forgotten_with_its_film(
    make_station, monkeypatch
):
    film = pydicom.dcmread(ROOT / "frontal.dcm")
    film.PatientName = "Yamada^Tarou"
    out = BytesIO()
    film.save_as(out)
    station = make_station(Settings.parse({"identity": {"name": "reader"}}, where="here"))
    film_id = station.film(("film.dcm", out.getvalue()))
    admin = station.client("administrator")
    named.forget()

    def told():
        (item,) = admin.get(f"{API}/studies").json()["items"]
        return item["patient"]["name"]

    tried = []

    def fails(*given):
        tried.append(given)
        raise UnreadableImageError("film: too long")

    def dangerous(attempts, status):
        with station.service.store.write() as session:
            session.execute(update(Job).values(attempts=attempts))
            session.execute(update(Film).values(status=status))

    with monkeypatch.context() as patched:
        patched.setattr(named, "run", fails)
        assert told() is told() is None
        assert len(tried) == 1  # not at each view
    assert told() is None
    now = named.monotonic()
    monkeypatch.setattr(named, "monotonic", lambda: now + 301)
    dangerous(2, "queued")
    assert told() is None
    dangerous(1, "read")
    assert told() == "Yamada, Tarou"
    study_id = admin.get(f"{API}/films/{film_id}").json()["study_id"]
    assert admin.delete(f"{API}/studies/{study_id}").status_code == 204
    assert named._read.cache_info().currsize == 0


def test_a_report_is_a_draft_until_it_is_signed_and_amended_afterwards(station):
    film_id = station.film(ROOT / "frontal.dcm")
    client = station.client("reviewer")
    body = client.get(f"{API}/films/{film_id}/reports/draft").json()
    made = [
        client.post(f"{API}/films/{film_id}/reports", json=body | {"sign": sign}).json()
        for sign in (False, True, False, True)
    ]
    assert [(each["state"], each["replaces"]) for each in made] == [
        ("draft", None), ("signed", None), ("draft", None), ("amended", 2)
    ]  # fmt: skip
    assert "sign" not in made[1]
    told = [client.get(f"{API}/reports/{each['report_id']}.html").text for each in made]
    assert "Draft, not signed" in told[0]
    assert "Signed by reviewer-1, 20" in told[1]
    assert "Draft, not signed" in told[2]
    assert "Amended report, signed by reviewer-1" in told[3]
    assert "replaces version 2" in told[3]
    log = station.client("administrator").get(f"{API}/log").json()["items"]
    states = [each["data"]["state"] for each in log if each["action"] == "report"]
    assert states == ["amended", "draft", "signed", "draft"]


def test_nobody_replaces_a_report_that_they_never_saw(station):
    film_id = station.film(ROOT / "frontal.dcm")
    first, second = station.client("reviewer"), station.client("administrator")
    path = f"{API}/films/{film_id}/reports"

    def sign(client, seen):
        return client.post(path, json={"findings": "x", "sign": True, "seen": seen})

    assert sign(first, 0).json()["version"] == 1
    refused = sign(second, 0)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "reviewer-1 has written version 1" in refused.text
    assert len(first.get(path).json()["items"]) == 1
    amended = sign(second, 1).json()
    assert (amended["version"], amended["replaces"], "seen" in amended) == (2, 1, False)
    assert sign(first, 1).status_code == 409
    assert sign(first, None).json()["version"] == 3  # a script that asks for no such thing


def test_only_earlier_films_that_were_looked_at_are_compared(station):
    now = station.film(ROOT / "frontal.dcm")
    seen, unseen = (
        station.film(_dated(ROOT / "frontal.dcm", day)) for day in ("20200101", "20200202")
    )
    later = station.film(_dated(ROOT / "frontal.dcm", "20990101"))
    client = station.client("reviewer")
    ask = f"{API}/films/{now}/reports/draft"
    assert client.get(ask).json()["comparison"].splitlines() == [
        "Earlier film of 2020-02-02: not compared.",
        "Earlier film of 2020-01-01: not compared.",
    ]
    russian = client.get(ask + "?language=ru").json()["comparison"]
    assert "Более ранний снимок от 2020-02-02: сравнение не проводилось." in russian
    alone = f"{API}/films/{seen}/reports/draft"
    assert client.get(alone).json()["comparison"] == "None available."
    for film_id in (seen, later):
        client.post(f"{API}/films/{film_id}/opened")
    told = client.get(ask).json()["comparison"]
    assert told == "Chest radiograph of 2020-01-01."
    station.client("administrator").post(f"{API}/films/{unseen}/opened")
    assert client.get(ask).json()["comparison"] == told
    assert "Рентгенограмма от 2020-01-01" in client.get(ask + "?language=ru").json()["comparison"]


def test_a_film_without_a_date_is_not_called_the_only_one(station):
    now = station.film(ROOT / "frontal.dcm")
    client, undated = station.client("reviewer"), station.film(_dated(ROOT / "frontal.dcm", ""))
    told = "Other films of this patient: not compared, since a date is missing."
    for film_id in (now, undated):
        ask = f"{API}/films/{film_id}/reports/draft"
        assert client.get(ask).json()["comparison"] == told
        russian = client.get(ask + "?language=ru").json()["comparison"]
        assert russian == "Другие снимки этого пациента: сравнение не проводилось, нет даты."
    station.film(_dated(ROOT / "frontal.dcm", "20200101"))
    comparison = client.get(f"{API}/films/{now}/reports/draft").json()["comparison"].splitlines()
    assert comparison == ["Earlier film of 2020-01-01: not compared.", told]


def test_an_earlier_film_is_compared_by_the_same_model_and_where_it_may_be_seen(station):
    """And whose figures were told was seen: not read blind any more."""
    now = station.film(ROOT / "frontal.dcm")
    days = ("20200101", "20200202", "20200303")
    same, other, owed = (station.film(_dated(ROOT / "frontal.dcm", day)) for day in days)
    client, admin = station.client("reviewer"), station.client("administrator")
    for film_id in (same, other, owed):
        client.post(f"{API}/films/{film_id}/opened")
    people = admin.get(f"{API}/users").json()["items"]
    readers = [each["user_id"] for each in people if each["name"] == "reviewer-1"]
    body = {"name": "l", "film_ids": [owed], "readers": readers, "findings": ["covid-19"]}
    assert admin.post(f"{API}/lists", json=body | {"blind": True}).status_code == 201
    with station.service.store.write() as session:
        session.add(Model(checksum="f" * 64, identity="other 1 (ffffffff)", manifest={}))
        session.flush()
        for read in session.scalars(select(Read)):
            shares = {now: 0.12, other: 0.3}.get(read.film_id, 0.25)
            affected = [
                {"side": side, "zone": None, "share": shares, "kinds": {}}
                for side in (None, "right", "left")
            ]
            details = (read.reading.get("details") or {}) | {"affected": affected}
            read.reading = read.reading | {"details": details}
            if read.film_id == other:
                read.checksum = "f" * 64
    told = client.get(f"{API}/films/{now}/reports/draft").json()["comparison"].splitlines()
    assert told[:2] == [
        "Chest radiograph of 2020-03-03.",
        "Chest radiograph of 2020-02-02.",
    ]
    assert "2020-01-01" in told[2]
    assert "25 %" in told[2]
    assert "12 %" in told[2]
    with station.service.store.read() as session:
        seen = set(session.scalars(select(Seen.film_id).where(Seen.person_id == readers[0])))
    assert seen == {now, same}


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("length", [0, 200, 10_000])
def test_a_report_of_any_length_is_one_page(language, length):
    body = draft(None, language).model_dump() | {"findings": "Слово word " * (length // 11)}
    page = Sheet(body, "P1", "Draft, not signed", "by", "model").pdf()
    assert page.count(b"/Type /Page\n") == 1


@pytest.mark.parametrize("language", ["en", "ru"])
def test_no_line_of_the_foot_lies_under_the_notice(language):
    """Three lines of signature, and four of who wrote it and what read the film."""
    pypdf = pytest.importorskip("pypdf")
    end = 40 + 20  # of the foot, in points from below: there the box of the notice begins
    long = " ".join(f"word{number}" for number in range(60))
    page = Sheet(draft(None, language).model_dump(), "P1", long, long, long).pdf()
    feet: list[float] = []

    def note(said: str, _: Any, at: list[float], *__: Any) -> None:
        if "word" in said:
            feet.append(at[5])

    pypdf.PdfReader(BytesIO(page)).pages[0].extract_text(visitor_text=note)
    assert len(feet) == 3 + 2 + 2
    assert min(feet) > end + 2  # what hangs below a line


@pytest.mark.parametrize(
    ("language", "several", "clear"),
    [
        ("en", "Appearance: typical, or no pneumonia", "does not rule out an infection"),
        ("ru", "Вид снимка: типичный, или признаков", "не исключает инфекцию"),
    ],
)
def test_the_appearance_is_drafted_so_that_a_clear_film_is_no_proof(
    station, say_looks, language, several, clear
):
    film_id = station.film(ROOT / "frontal.dcm")
    got = station.client("reader").get(f"{API}/films/{film_id}/reading").json()["reading"]
    reading = Reading.model_validate(got)
    assert several in draft(say_looks(reading, "typical", "negative"), language).impression
    assert clear in draft(say_looks(reading, "negative"), language).impression
    assert several not in draft(reading, language).impression

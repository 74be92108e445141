"""A film's reading as DICOM objects, by the API."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from pydicom import Dataset, dcmread
from sqlalchemy import update

from hilum.apps.store import wanted
from hilum.apps.store.tables import Delivery, Received
from hilum.apps.web.settings import Settings
from hilum.serve.dicom import KINDS
from hilum.serve.samples import ROOT

API = "/api/v1"


def test_every_kind_is_given_for_the_film_and_stands_in_the_log(station):
    film_id = station.film(ROOT / "frontal.dcm")
    client = station.client("reader")
    film = dcmread(ROOT / "frontal.dcm", stop_before_pixels=True)
    for kind in ("sr", "gsps", "sc", "pdf"):
        answer = client.get(f"{API}/films/{film_id}/objects/{kind}.dcm")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/dicom"
        assert f"{film_id}.{kind}.dcm" in answer.headers["content-disposition"]
        dataset = dcmread(BytesIO(answer.content))
        assert dataset.SOPClassUID == KINDS[kind]
        assert dataset.StudyInstanceUID == film.StudyInstanceUID
        again = client.get(f"{API}/films/{film_id}/objects/{kind}.dcm")
        assert again.content == answer.content
    read_at = client.get(f"{API}/films/{film_id}/reading").json()["read_at"]
    assert dataset.ContentDate == read_at[:10].replace("-", "")
    assert (
        "TimezoneOffsetFromUTC" not in dataset
    )  # nobody has said in which zone the film was taken
    log = station.client("administrator").get(f"{API}/log").json()["items"]
    said = [each["data"]["what"] for each in log if each["action"] == "exported"]
    assert sorted(said) == sorted(2 * [f"object.{kind}" for kind in ("sr", "gsps", "sc", "pdf")])


def test_the_record_gets_the_bundle_that_the_command_line_writes(station):
    film_id = station.film(ROOT / "frontal.dcm")
    client = station.client("reader")
    answer = client.get(f"{API}/films/{film_id}/fhir")
    assert answer.headers["content-type"] == "application/fhir+json"
    bundle = Bundle.model_validate_json(answer.text)
    about = client.get(f"{API}/films/{film_id}/reading").json()
    (report,) = (
        each.resource for each in bundle.entry if isinstance(each.resource, DiagnosticReport)
    )
    film = dcmread(ROOT / "frontal.dcm", stop_before_pixels=True)
    assert report.subject.identifier.value == film.PatientID
    assert report.imagingStudy[0].identifier.value == f"urn:oid:{film.StudyInstanceUID}"
    read_at = datetime.fromisoformat(about["read_at"])
    assert report.issued == read_at.replace(microsecond=0)
    assert about["bundle"] in report.conclusion
    assert client.get(f"{API}/films/{film_id}/fhir").content == answer.content
    log = station.client("administrator").get(f"{API}/log").json()["items"]
    assert [each["data"]["what"] for each in log if each["action"] == "exported"] == ["fhir"] * 2


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_the_archive_gets_the_objects_that_the_page_gives(make_station, zone):
    seen = {"identity": {"name": "reader", "accession": "reader"}}
    settings = Settings.parse(seen | ({"zone": zone} if zone else {}), where="here")
    station = make_station(settings=settings)
    if zone:
        (station.service.data / "hilum.toml").write_text(f'zone = "{zone}"')
    film_id = station.film(ROOT / "frontal.dcm")
    with station.service.store.write() as session:
        session.add(Received(film_id=film_id, peer="pacs", address="127.0.0.1"))
        session.flush()
        wanted.want_once(session, film_id)
    making = wanted.claim_making(station.service.store)
    path = station.service.folder.path(making.sha256)
    made = list(station.worker._make(making, path, ("sr", "sc")))
    assert [kind for kind, *_ in made] == ["sc", "sr"]
    for kind, dataset, *_ in made:
        url = f"{API}/films/{film_id}/objects/{kind}.dcm"
        given = dcmread(BytesIO(station.client("reader").get(url).content))
        assert given.SOPInstanceUID == dataset.SOPInstanceUID
        assert given.get("TimezoneOffsetFromUTC") == ("+0900" if zone else None)


def test_who_may_not_see_name_and_accession_takes_out_neither(make_station):
    film = dcmread(ROOT / "frontal.dcm")
    film.PatientName, film.AccessionNumber, film.IssuerOfPatientID = "Yamada^Tarou", "A-2041", "St"
    asked = Dataset()
    asked.RequestedProcedureID = asked.AccessionNumber = film.StudyID = "A-2041"
    film.RequestAttributesSequence = [asked]
    out = BytesIO()
    film.save_as(out)
    identity = {"name": "reviewer", "accession": "administrator"}
    station = make_station(Settings.parse({"identity": identity}, where="here"))
    film_id = station.film(("film.dcm", out.getvalue()))
    uids = set()
    for role, told in (("reader", ()), ("reviewer", ("N",)), ("administrator", ("N", "A"))):
        client = station.client(role)
        taken = {"fhir": client.get(f"{API}/films/{film_id}/fhir").content}
        for kind in ("sr", "gsps", "sc", "pdf"):
            answer = client.get(f"{API}/films/{film_id}/objects/{kind}.dcm")
            assert answer.status_code == 200, answer.text
            taken[kind] = answer.content
            made = dcmread(BytesIO(answer.content))
            assert made.PatientID == film.PatientID
            assert made.PatientName == ("Yamada^Tarou" if "N" in told else "")
            assert made.AccessionNumber == made.StudyID == ("A-2041" if "A" in told else "")
            uids |= {made.SeriesInstanceUID, made.SOPInstanceUID}
            if kind == "sr":
                assert ("ReferencedRequestSequence" in made) == ("A" in told)
        assert "N" in told or not [each for each in taken.values() if b"Yamada" in each]
        held = {name for name, each in taken.items() if b"A-2041" in each}
        assert held == (set(taken) if "A" in told else set())
    assert len(uids) == 3 * 4 * 2  # nobody's objects are in a series of the archive's, or of others


def test_a_reviewer_takes_back_what_an_archive_has(station):
    film_id = station.film(ROOT / "frontal.dcm")
    reader, reviewer = station.client("reader"), station.client("reviewer")
    sent, retract = f"{API}/films/{film_id}/sent", f"{API}/films/{film_id}/retract"
    assert reader.get(sent).json() == {"items": [], "taking_back": False}
    assert reviewer.post(retract, json={"reason": "quality"}).status_code == 409
    station.sent(film_id, "pacs", "ward", "gone")
    with station.service.store.write() as session:
        session.execute(update(Delivery).where(Delivery.peer == "gone").values(state="dropped"))
    answer = reader.get(sent).json()
    last = answer["items"][0].pop("last_sent")
    assert last is not None
    none = {"has": 0, "waiting": 0, "dead": 0, "taken_back": 0}
    waits = none | {"peer": "ward", "waiting": 2, "last_sent": None}
    assert answer == {"items": [none | {"peer": "pacs", "has": 2}, waits], "taking_back": False}
    assert reader.post(retract, json={"reason": "quality"}).status_code == 403
    assert reviewer.post(retract, json={"reason": "whim"}).status_code == 422
    answer = reviewer.post(retract, json={"reason": "wrong-patient"}).json()
    assert answer["taking_back"]
    assert [each["taken_back"] for each in answer["items"]] == [2, 0, 2]
    making = wanted.claim_making(station.service.store)
    assert making.reject == ("wrong-patient", None)
    log = station.client("administrator").get(f"{API}/log").json()["items"]
    (line,) = (each for each in log if each["action"] == "results-retracted")
    assert (line["who"], line["data"]["reason"]) == ("reviewer-1", "wrong-patient")


def test_who_reads_blind_is_not_told_whether_results_were_sent(station):
    film_id = station.film(ROOT / "frontal.dcm")
    reviewer = station.client("reviewer")
    assert reviewer.put(f"{API}/me/blind", json={"on": True}).status_code == 200
    answer = reviewer.get(f"{API}/films/{film_id}/sent")
    assert (answer.status_code, answer.json()["code"]) == (409, "blind-read-pending")


def test_what_the_visitor_measured_goes_along_as_theirs(station):
    film_id = station.film(ROOT / "frontal.dcm")
    line = {"kind": "line", "points": [[310, 200], [310, 690]], "text": "here"}
    desk = {"version": 0, "choices": {}, "text": "", "corrected_label": None, "blind": False}
    reviewer = station.client("reviewer")
    kept = reviewer.put(f"{API}/films/{film_id}/desk", json=desk | {"marks": [line]})
    assert kept.status_code == 200, kept.text
    answer = reviewer.get(f"{API}/films/{film_id}/objects/gsps.dcm")
    layers = {
        each.GraphicLayer: each
        for each in dcmread(BytesIO(answer.content)).GraphicAnnotationSequence
    }
    said = layers["PERSON"].TextObjectSequence[0].UnformattedTextValue
    length = 490 * dcmread(ROOT / "frontal.dcm").ImagerPixelSpacing[0]
    assert said == f"line of reviewer-1: {length:.1f} mm at the detector: here"
    other = station.client("reader").get(f"{API}/films/{film_id}/objects/gsps.dcm")
    assert b"reviewer-1" not in other.content


@pytest.mark.parametrize(
    ("film", "kind", "status", "said"),
    [
        ("frontal.png", "sr", 415, "no DICOM file"),
        ("bare.dcm", "seg", 404, "does not say how far its pixels lie apart"),
        ("frontal.dcm", "rtss", 422, "sr"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    make_station, small_bundle, film, kind, status, said, tmp_path
):
    station = make_station(bundle=small_bundle)
    path = ROOT / film
    if film == "bare.dcm":
        bare = dcmread(ROOT / "frontal.dcm")
        del bare.ImagerPixelSpacing
        path = tmp_path / film
        bare.save_as(path)
    film_id = station.film(path)
    answer = station.client("reader").get(f"{API}/films/{film_id}/objects/{kind}.dcm")
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert "/films/" not in answer.json()["detail"]


def test_a_film_that_was_refused_has_none(station):
    film_id = station.film(ROOT / "lateral.png")
    answer = station.client("reader").get(f"{API}/films/{film_id}/objects/sc.dcm")
    reading = station.client("reader").get(f"{API}/films/{film_id}/reading").json()["reading"]
    if reading["status"] == "refused":
        assert (answer.status_code, answer.json()["code"]) == (409, "not-read")
    else:
        assert answer.status_code == 415

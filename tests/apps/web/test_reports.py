from __future__ import annotations

import pytest

from hilum.apps.web.draft import draft
from hilum.apps.web.sheet import Sheet
from hilum.core.reading import RESEARCH_USE, Reading
from hilum.serve.samples import ROOT

API = "/api/v1"


def test_a_report_is_prefilled_kept_by_version_and_given_as_a_page(station):
    film_id = station.film(ROOT / "frontal.dcm")
    client = station.client("reviewer")
    body = client.get(f"{API}/films/{film_id}/reports/draft").json()
    assert "covid-19" in body["findings"]
    assert body["technique"] == "DICOM DX, PA"
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


def test_a_refused_film_is_reported_without_a_probability(station):
    film_id = station.film(ROOT / "lateral.png")
    body = station.client("reader").get(f"{API}/films/{film_id}/reports/draft").json()
    reading = station.client("reader").get(f"{API}/films/{film_id}/reading").json()["reading"]
    if reading["status"] == "refused":
        assert "%" not in body["findings"]
        assert body["impression"] == ""


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("length", [0, 200, 10_000])
def test_a_report_of_any_length_is_one_page(language, length):
    body = draft(None, language, "PNG", "").model_dump() | {
        "findings": "Слово word " * (length // 11)
    }
    page = Sheet(body, "P1", "by", "model").pdf()
    assert page.count(b"/Type /Page\n") == 1


@pytest.mark.parametrize(
    ("language", "several", "clear"),
    [
        ("en", "cannot say which: typical", "does not rule out an infection"),
        ("ru", "модель не может сказать, какой из них: типичный", "не исключает инфекцию"),
    ],
)
def test_the_appearance_is_drafted_so_that_a_clear_film_is_no_proof(
    station, say_looks, language, several, clear
):
    film_id = station.film(ROOT / "frontal.dcm")
    got = station.client("reader").get(f"{API}/films/{film_id}/reading").json()["reading"]
    reading = Reading.model_validate(got)
    assert several in draft(say_looks(reading, "typical", "negative"), language, "", "").findings
    assert clear in draft(say_looks(reading, "negative"), language, "", "").findings
    assert several not in draft(reading, language, "", "").findings

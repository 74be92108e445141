from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime

import pytest

from hilum.core.reading import NOT_THE_INFECTION, RESEARCH_USE, Status
from hilum.serve.pdf import PAGES, PdfReport, write_pdf
from hilum.serve.pdf.blocks import PdfPage
from hilum.serve.reader import load_bundle

pypdf = pytest.importorskip("pypdf")

MADE = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def reader(calibrated_bundle):
    return load_bundle(calibrated_bundle)


@pytest.fixture(scope="module")
def film(reader, films):
    (examined,) = reader.examine([films / "a.png"], keep=True)
    return examined


@pytest.fixture(scope="module")
def refused(reader, films):
    (examined,) = reader.examine([films / "blank.png"], keep=True)
    assert examined.reading.status is Status.REFUSED
    return examined


def _written(tmp_path, examined, reader, **options):
    path = tmp_path / "film.pdf"
    write_pdf(path, examined, reader, made=MADE, **options)
    return path


def test_the_page_says_everything(tmp_path, film, reader, with_details, words):
    examined = with_details(film, notes=("the film was upside down and was turned",))
    (text,) = words(_written(tmp_path, examined, reader))
    for finding in examined.reading.findings:
        assert f"{finding.label} " in text
        assert f"{finding.probability:.3f}, " in text
    for said in (
        "a.png",
        "where 40.0 % have it (platt)",
        "at 90 % coverage",
        "both lungs 1 % 31 % 8 %",
        "Geographic extent 2.2",
        "80 % interval 0.5 to 4.8, scale 0 to 18",
        "research score",
        "1. far-away/film1",
        "distance 0.123; covid-19, not pneumonia",
        "the film was upside down and was turned",
        reader.bundle.identity,
        reader.bundle.checksum,
        "Shortcut audit: not audited.",
        "How far to trust it: not measured.",
        "made 2026-11-22 14:30",
        "name",
        "signature",
        "ground-glass",
        "Evidence for covid-19, in logits",
        "0.61",
    ):
        assert said in text, said
    assert text.count(RESEARCH_USE) == 2


def test_the_notice_stands_at_the_top_and_at_the_bottom(tmp_path, film, reader):
    heights = []

    def visit(text, matrix, text_matrix, *_rest):
        if RESEARCH_USE in text:
            heights.append(matrix[5] + text_matrix[5])

    pypdf.PdfReader(_written(tmp_path, film, reader)).pages[0].extract_text(visitor_text=visit)
    assert max(heights) > 0.93 * PAGES["A4"][1]
    assert min(heights) < 0.1 * PAGES["A4"][1]


@pytest.mark.parametrize("name", ["blank.png", "tiny.png", "broken.jpg", "notes.txt"])
def test_what_was_not_read_shows_why_and_no_probability(tmp_path, films, reader, words, name):
    (examined,) = reader.examine([films / name], keep=True)
    reading = examined.reading
    path = _written(tmp_path, examined, reader)
    (text,) = words(path)
    assert "Not read: " in text
    assert reading.hint in text
    assert "%" not in text
    assert "probability" not in text
    assert not re.search(r"\blikely|unlikely\b", text)
    if reading.refusal:
        assert f"[{reading.refusal.code}]" in text
        assert reading.refusal.measured in text
        if reading.refusal.limit is not None:
            assert f"limit {reading.refusal.limit:.4g}" in text
    pictures = len(pypdf.PdfReader(path).pages[0].images)
    assert pictures == (reading.status is Status.REFUSED)


def test_a_forced_film_says_so_before_its_findings(tmp_path, films, reader, words):
    (examined,) = reader.examine([films / "blank.png"], keep=True, force=True)
    (text,) = words(_written(tmp_path, examined, reader))
    assert text.index("Refused, and read all the same: [blank] blank") < text.index("Findings")


@pytest.mark.parametrize("page", sorted(PAGES))
def test_extremes_stay_on_one_page(tmp_path, film, reader, with_details, details, words, page):
    label = "a-label-that-is-forty-letters-long-000000"
    long = film.reading.findings[0].model_copy(
        update={"label": label, "operating_point": 60 * "p", "calibration": 80 * "c"}
    )
    films_like_it = tuple(
        each.model_copy(
            update={"case_id": 200 * "i", "distance": 0, "labels": {label: 1, label + "b": 0}}
        )
        for each in details.similar
    )
    examined = with_details(
        film,
        path="/" + "deep/" * 60 + 250 * "\u80ba" + ".png",
        findings=(film.reading.findings[0], *(long,) * 13),
        notes=tuple(f"note {place} " + 40 * "says much " for place in range(12)),
        details=details.model_copy(update={"similar": films_like_it, "boxes": details.boxes * 20}),
        reason=30 * "a long reason ",
        hint=30 * "a long hint ",
        forced=True,
    )
    path = _written(tmp_path, examined, reader, page=page)
    (text,) = words(path)
    assert text.count("\u2026") > 10
    assert "and 11 more labels: see the JSON" in text
    assert "more notes" in text
    assert "The model was trained on this film" in " ".join(text.split())
    assert text.count(RESEARCH_USE) == 2
    assert "signature" in text
    picture = _smallest_picture(path)
    assert picture > 110


def _smallest_picture(path):
    """Height in points, from the matrix before each picture is drawn."""
    content = pypdf.PdfReader(path).pages[0].get_contents().get_data().decode("latin-1")
    found = re.findall(r"([\d.]+) 0 0 ([\d.]+) [\d.]+ [\d.]+ cm\s*/\S+ Do", content)
    assert len(found) == 2
    return min(float(height) for _, height in found)


def test_nothing_lies_beyond_the_page(tmp_path, film, reader, with_details):
    beyond = []
    width, height = PAGES["Letter"]

    def visit(text, matrix, text_matrix, *_rest):
        x, y = text_matrix[4] + matrix[4], text_matrix[5] + matrix[5]
        if text.strip() and not (0 < x < width and 0 < y < height):
            beyond.append((text, x, y))

    path = _written(tmp_path, with_details(film), reader, page="Letter")
    page = pypdf.PdfReader(path).pages[0]
    page.extract_text(visitor_text=visit)
    assert (float(page.mediabox.width), float(page.mediabox.height)) == (width, height)
    assert beyond == []


def test_nobody_is_named(tmp_path, film, reader, with_details):
    secrets = {
        "patient_id": "SECRET-1",
        "study_uid": "1.2.3.4567",
        "study_date": "20200101",
        "sex": "F",
        "age_years": 71,
    }
    examined = with_details(film, film=film.reading.film | secrets, path="/ward/Doe^John/film.png")
    path = _written(tmp_path, examined, reader)
    document = pypdf.PdfReader(path)
    said = document.pages[0].extract_text() + str(document.metadata)
    for secret in ("SECRET-1", "4567", "20200101", "Doe", "71"):
        assert secret not in said


def test_the_file_describes_itself(tmp_path, film, reader):
    document = pypdf.PdfReader(_written(tmp_path, film, reader))
    known = document.metadata
    assert known.title == "Hilum reading: a.png"
    assert known.author == "Hilum"
    assert known.subject == RESEARCH_USE
    assert known.creation_date.replace(tzinfo=UTC) == MADE
    assert document.root_object["/Lang"] == "en"


def test_the_same_reading_gives_the_same_bytes(tmp_path, film, reader, with_details):
    first = _written(tmp_path, with_details(film), reader).read_bytes()
    assert _written(tmp_path, with_details(film), reader).read_bytes() == first
    other = tmp_path / "other.pdf"
    write_pdf(other, with_details(film), reader, made=MADE.replace(year=2027))
    assert other.read_bytes() != first


def test_a_large_film_gives_a_small_file(tmp_path, film, reader, with_details):
    import numpy as np

    noise = np.random.default_rng(0).random((1500, 1300), np.float32)
    radiograph = dataclasses.replace(film.radiograph, pixels=noise)
    examined = dataclasses.replace(with_details(film), radiograph=radiograph)
    noisy = _written(tmp_path, examined, reader).stat().st_size
    assert noisy < 900_000  # noise is the worst case; a film is a third of it


def test_many_films_are_one_file(tmp_path, film, refused, reader, words):
    report = PdfReport(reader.bundle, made=MADE)
    for examined in (film, refused, film):
        report.add(PdfPage.of(examined, reader))
    report.write(tmp_path / "sub" / "all.pdf")
    pages = words(tmp_path / "sub" / "all.pdf")
    assert [re.search(r"page \d", page).group() for page in pages] == ["page 1", "page 2", "page 3"]
    assert "Findings" in pages[2]
    assert "Findings" not in pages[1]
    assert pypdf.PdfReader(tmp_path / "sub" / "all.pdf").metadata.title == "Hilum: 3 readings"


def test_a_report_without_films_is_an_error(tmp_path, reader):
    with pytest.raises(ValueError, match="without a film"):
        PdfReport(reader.bundle).write(tmp_path / "none.pdf")
    assert not (tmp_path / "none.pdf").exists()


def test_marks_are_measured_on_the_film_and_not_on_its_thumbnail(film, reader, with_details):
    sheet = PdfPage.of(with_details(film), reader)
    assert sheet.shape == film.radiograph.shape
    assert sheet.marks[0].points == with_details(film).reading.details.lungs[0].outline


def test_the_appearance_stands_beneath_the_findings(
    tmp_path, film, reader, with_details, words, say_looks
):
    plain, said = with_details(film), say_looks(with_details(film), "negative")
    (text,) = words(_written(tmp_path, plain, reader))
    assert "Appearance" not in text
    (text,) = words(_written(tmp_path, said, reader))
    assert "No pneumonia seen on this film; that does not rule out an infection: many" in text
    assert "atypical 6 %, no pneumonia seen 9 %; set at 90 % coverage." in text
    assert NOT_THE_INFECTION in text

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from hilum.core.reading import RESEARCH_USE
from hilum.serve import report as report_module
from hilum.serve.inputs import find_films
from hilum.serve.reader import load_bundle
from hilum.serve.report import SIDE, Report


def _html(reader, paths):
    report = Report(reader)
    for examined in reader.examine(paths, keep=True):
        report.add(examined)
    return report.html()


@pytest.fixture(scope="module")
def page(small_bundle, films):
    return _html(load_bundle(small_bundle), find_films([films]))


class _Balance(HTMLParser):
    """Every element that opens closes, in order."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.outside = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.outside += [v for k, v in attrs if k in {"src", "href"} and v[:1] != "#"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_from_outside(page):
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    assert parser.outside
    assert all(address.startswith("data:image/jpeg;base64,") for address in parser.outside)
    assert "http" not in re.sub(r'src="data:[^"]*"', "", page)


def test_every_file_is_there_with_its_reason(page, films):
    for path in find_films([films]):
        assert str(path) in page
    assert "3 read, 2 refused, 2 not opened" in page
    assert "blank: grey levels" in page
    assert "text; expected a film" in page


def test_the_page_says_what_the_numbers_mean(page):
    text = " ".join(re.sub(r"<[^>]*>", "", page).split())
    assert RESEARCH_USE in text
    assert "It is not a probability" in text
    assert "this bundle has no calibration" in text
    assert "0.90 [0.80, 0.95] (n=40)" in text
    assert "blocks 0.0.1" in text
    assert "Made for tests" in text  # the card, rendered
    assert "How far to trust it: not measured." in text
    assert "preprocess: stretch to 64 x 64 pixels" in text


def test_pictures_are_film_and_one_heatmap_a_label(page):
    # Three films were read (1 + 2 pictures each); two were opened and refused (1 picture each).
    assert page.count('src="data:image/jpeg') == 3 * 3 + 2
    assert SIDE == 512


def test_a_page_does_not_grow_without_bound(small_bundle, films, monkeypatch):
    monkeypatch.setattr(report_module, "MAX_PICTURED", 2)
    html = _html(load_bundle(small_bundle), [films / "a.png"] * 5)
    assert html.count('src="data:image/jpeg') == 2 * 3
    assert html.count("shows the first 2 films") == 3


def test_names_are_escaped(small_bundle, films, tmp_path):
    odd = tmp_path / "<script>alert(1)<"
    odd.write_bytes((films / "a.png").read_bytes())
    html = _html(load_bundle(small_bundle), [odd])
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_nothing_that_names_a_patient_is_passed_on(small_bundle, films):
    reader = load_bundle(small_bundle)
    (examined,) = reader.examine([films / "a.png"], keep=True)
    facts = examined.reading.film | {
        "patient_id": "SECRET-1",
        "study_uid": "1.2.3.4567",
        "sex": "F",
    }
    reading = examined.reading.model_copy(update={"film": facts})
    report = Report(reader)
    report.add(type(examined)(reading, examined.radiograph, examined.evidence))
    assert "SECRET-1" not in report.html()
    assert "1.2.3.4567" not in report.html()
    assert "<dt>sex</dt><dd>F</dd>" in report.html()


def test_without_evidence_the_page_says_so(make_bundle, tmp_path, films):
    html = _html(load_bundle(make_bundle(tmp_path / "b", evidence=False)), [films / "a.png"])
    assert "this network has no evidence output" in html
    assert html.count('src="data:image/jpeg') == 1


def test_the_page_is_written_whole(small_bundle, films, tmp_path):
    report = Report(load_bundle(small_bundle), title="Ward 7")
    report.write(tmp_path / "sub" / "report.html")
    assert "<h1>Ward 7</h1>" in (tmp_path / "sub" / "report.html").read_text()

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from hilum.core.reading import NOT_THE_INFECTION, RESEARCH_USE
from hilum.serve import report as report_module
from hilum.serve.inputs import find_films
from hilum.serve.reader import load_bundle
from hilum.serve.report import SIDE, HtmlReport


def _html(reader, paths):
    report = HtmlReport(reader)
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
        assert path.name in page
    assert str(films) not in page  # folders are often named after patients
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
    report = HtmlReport(reader)
    report.add(type(examined)(reading, examined.radiograph, examined.evidence))
    assert "SECRET-1" not in report.html()
    assert "1.2.3.4567" not in report.html()
    assert "<dt>sex</dt><dd>F</dd>" in report.html()


def test_without_evidence_the_page_says_so(make_bundle, tmp_path, films):
    html = _html(load_bundle(make_bundle(tmp_path / "b", evidence=False)), [films / "a.png"])
    assert "this network has no evidence output" in html
    assert html.count('src="data:image/jpeg') == 1


def test_the_page_is_written_whole(small_bundle, films, tmp_path):
    report = HtmlReport(load_bundle(small_bundle), title="Ward 7")
    report.write(tmp_path / "sub" / "report.html")
    assert "<h1>Ward 7</h1>" in (tmp_path / "sub" / "report.html").read_text()


def _detailed(small_bundle, films, distance=0.5):
    from hilum.core.details import (
        Affected,
        Details,
        LungDetail,
        Opacity,
        OpacityBox,
        Scale,
        Severity,
        Side,
        Similar,
        Zone,
    )

    outline = ((20, 30), (70, 30), (70, 150), (20, 150))
    kinds = {Opacity.GROUND_GLASS: 0.2, Opacity.CONSOLIDATION: 0.1}
    found = Details(
        lungs=(LungDetail(side=Side.RIGHT, area=0.2, box=(20, 30, 50, 120), outline=outline),),
        affected=(
            *(Affected(side=side, zone=None, share=0.27, kinds=kinds) for side in (None, *Side)),
            Affected(side=Side.RIGHT, zone=Zone.LOWER, share=0.53, kinds=kinds),
        ),
        boxes=(OpacityBox(box=(20, 30, 10, 10), score=0.61),),
        severity=(Severity(scale=Scale.BRIXIA, value=9, low=6, high=20, coverage=0.8, maximum=18),),
        similar=(
            Similar(case_id="far/<1>", cohort="far", distance=distance, labels={"covid-19": 1}),
        ),
    )
    reader = load_bundle(small_bundle)
    (examined,) = reader.examine([films / "a.png"], keep=True)
    reading = examined.reading.model_copy(update={"details": found})
    report = HtmlReport(reader)
    report.add(type(examined)(reading, examined.radiograph, examined.evidence))
    return report.html()


def test_details_are_drawn_over_the_film_and_can_be_switched(small_bundle, films):
    html = _detailed(small_bundle, films)
    parser = _Balance()
    parser.feed(html)
    assert parser.open == []
    assert '<svg viewBox="0 0 160 200"' in html  # film pixels, whatever the thumbnail
    assert html.count('points="20,30 70,30 70,150 20,150 "') == 2  # the line and its casing
    for layer in ("lungs", "boxes"):
        assert f'class="show-{layer}" checked' in html
        assert f'class="layer-{layer}"' in html
        assert f".overlay:has(.show-{layer}:not(:checked)) .layer-{layer}" in html
    assert 'class="show-consolidation"' not in html  # nothing of it is drawn
    assert html.count('type="radio"') == 3  # no heatmap, and one a label


def test_details_are_in_words_too(small_bundle, films):
    html = _detailed(small_bundle, films)
    assert "right lung, lower zone: 53 %" in html
    assert "right lung, 20 % of the film; box, score 0.61" in html
    text = " ".join(re.sub(r"<[^>]*>", " ", html).split())
    assert "both lungs 27 % 20 % 10 %" in text
    assert "Severity (research score) Brixia 9.0 80 % interval 6.0 to 20.0, scale 0 to 18" in text
    assert "far/&lt;1&gt; distance 0.5; covid-19" in text
    assert "trained on this film" not in text
    assert "width: 66.7%" in html  # of 0 to 18, from 6 to no further than 18


def test_a_film_of_the_training_is_named_as_one(small_bundle, films):
    assert "The model was trained on this film" in _detailed(small_bundle, films, distance=0)


def test_letters_outside_of_pictures_change_with_the_dark_page(page):
    """A color of its own, on no background of its own, cannot be read on one of both pages."""
    style, _, dark = page.partition("prefers-color-scheme: dark")
    rules = re.findall(r"([^{}]+){([^{}]*)}", style.partition("<style>")[2])
    assert any("var(--warn)" in rule for _, rule in rules)
    fixed = [
        name.strip()
        for name, rule in rules
        if re.search(r"(?<![-\w])color: #", rule) and "background" not in rule
    ]
    assert [name for name in fixed if name not in dark] == []


def test_every_picture_has_words(small_bundle, films):
    html = _detailed(small_bundle, films)
    pictures = re.findall(r"<img [^>]*>", re.sub(r'src="data:[^"]*"', "", html))
    assert pictures
    assert all(re.search(r'alt="[^"]+"', each) for each in pictures)
    drawn = re.findall(r"<svg [^>]*>", html)
    assert all('aria-label="' in each or 'aria-hidden="true"' in each for each in drawn)


def test_the_page_says_what_a_film_looks_like_where_the_bundle_says_it(
    page, small_bundle, films, say_looks
):
    assert "Appearance" not in page  # a bundle that says none
    reader = load_bundle(small_bundle)
    (one,) = reader.examine([films / "a.png"], keep=True)
    report = HtmlReport(reader)
    report.add(say_looks(one, "indeterminate", "negative"))
    said = " ".join(re.sub(r"<[^>]+>", " ", report.html()).split())
    assert "cannot say which: indeterminate appearance, or no pneumonia seen (which" in said
    assert NOT_THE_INFECTION in said
    assert "typical 62 %, indeterminate 23 %, atypical 6 %, no pneumonia seen 9 %; set at" in said

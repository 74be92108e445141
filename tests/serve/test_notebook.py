"""A reading shows itself in a notebook."""

from __future__ import annotations

import base64
import re
from html import unescape

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from hilum.core.reading import RESEARCH_USE, Reading
from hilum.serve.marks import Layer, marks_of
from hilum.serve.reader import load_bundle
from hilum.serve.said import said_of
from hilum.serve.samples import ROOT


@pytest.fixture(scope="module")
def reader():
    return load_bundle()


def _picture(html):
    (packed,) = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', html)
    return cv2.imdecode(np.frombuffer(base64.b64decode(packed), np.uint8), cv2.IMREAD_COLOR_RGB)


def _text(html):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_the_film_carries_the_lines_and_the_words_are_those_of_every_page(reader):
    reading = reader.read(ROOT / "frontal.dcm", details=True)
    again = Reading.model_validate_json(reading.model_dump_json())
    html = again._repr_html_()
    assert html == reading._repr_html_()
    said, text = said_of(reading), _text(html)
    for each in said.findings:
        assert f"{each.label}: {each.answered}" in text
        assert each.chance in text
        assert each.grounds in text
    assert said.appearance.notice in text
    assert all(each.line in text for each in said.severity)
    assert RESEARCH_USE in text
    assert str(ROOT) not in html  # folders are often named after patients

    picture = _picture(html).astype(int)
    colored = np.ptp(picture, axis=2) > 40  # a film is grey
    scale = np.array(picture.shape[1::-1]) / [reading.film["width"], reading.film["height"]]
    near = np.zeros(colored.shape, np.uint8)
    for mark in marks_of(reading.details):
        points = (np.array(mark.points) * scale).round().astype(np.int32)
        cv2.polylines(near, [points], True, 1, 9)
        if mark.layer is Layer.LUNGS:
            assert (
                colored[cv2.polylines(np.zeros_like(near), [points], True, 1, 3) > 0].mean() > 0.1
            )
    assert colored.sum() > 500
    assert not (colored & (near == 0)).any()


def test_a_film_is_shown_as_it_was_read(reader, tmp_path):
    """Negative of a film: the gate puts it right, and the picture is that."""
    film = dcmread(ROOT / "frontal.dcm")
    film.PixelData = ((1 << film.BitsStored) - 1 - film.pixel_array).astype("<u2").tobytes()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.save_as(tmp_path / "negative.dcm")
    readings = [reader.read(path) for path in (ROOT / "frontal.dcm", tmp_path / "negative.dcm")]
    assert any(step.startswith("corrected: ") for step in readings[1].history)
    plain, right = (_picture(each._repr_html_()).astype(float) for each in readings)
    assert np.abs(plain - right).mean() < 3


def test_what_was_not_read_says_why(reader, tmp_path):
    reading = reader.read(ROOT / "lateral.png")
    assert reading.reason in _text(reading._repr_html_())
    (tmp_path / "<b>.png").write_bytes(b"no film")
    html = reader.read(tmp_path / "<b>.png")._repr_html_()
    assert "&lt;b&gt;.png" in html
    assert "<img" not in html


@pytest.mark.parametrize("other", [None, "1.2.3"])
def test_a_film_that_is_gone_or_another_is_not_shown(reader, tmp_path, other):
    """Another film of the same size at the same place: only its UID tells."""
    path = tmp_path / "film.dcm"
    path.write_bytes((ROOT / "frontal.dcm").read_bytes())
    reading = reader.read(path)
    assert "<img" in reading._repr_html_()
    film = dcmread(path)
    path.unlink()
    if other:
        film.SOPInstanceUID = other
        film.save_as(path)
    html = reading._repr_html_()
    assert "<img" not in html
    assert "another one now: no picture" in html


def test_a_film_without_a_uid_is_not_shown(reader):
    html = reader.read(ROOT / "frontal.png")._repr_html_()
    assert "<img" not in html
    assert "no SOP Instance UID" in html

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hilum
from hilum.core.errors import BundleError, ConfigError
from hilum.core.radiograph import Radiograph
from hilum.core.reading import RESEARCH_USE, Reading, Status
from hilum.serve.details import Detailer
from hilum.serve.inputs import find_films
from hilum.serve.reader import Reader, load_bundle
from hilum.serve.session import NetworkAnswer

FITS = ("stretch", "pad", "crop")


@pytest.fixture(scope="module")
def reader(small_bundle):
    return load_bundle(small_bundle)


@pytest.fixture(scope="module", params=FITS)
def plain(request, make_bundle, tmp_path_factory):
    """A reader whose input is the film itself: no grey normalisation, mean 0, std 1."""
    root = tmp_path_factory.mktemp("fits") / request.param
    how = {"low_percentile": None, "high_percentile": None, "mean": 0.0, "std": 1.0}
    return load_bundle(make_bundle(root, fit=request.param, **how))


def _phantom(height, width, y, x, radius):
    rows, columns = np.mgrid[:height, :width]
    blob = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * radius**2))
    return Radiograph(blob.astype(np.float32), "phantom", "PNG", 8)


def test_the_api_gives_a_reader(small_bundle):
    reader = hilum.load_bundle(small_bundle)
    assert isinstance(reader, Reader)
    assert reader.labels == ("covid-19", "pneumonia")
    assert reader.bundle.identity.startswith("blocks 0.0.1 (")


def test_a_reading_is_the_arithmetic_of_the_bundle(reader, films):
    reading = reader.read(films / "a.png")
    radiograph = hilum.open_radiograph(films / "a.png")
    mean = float(reader.preprocess(radiograph).mean())
    covid, pneumonia = reading.findings
    assert covid.logit == pytest.approx(3.0 * mean - 0.5, abs=1e-4)
    assert pneumonia.logit == pytest.approx(-1.5 * mean + 0.25, abs=1e-4)
    assert covid.score == pytest.approx(1 / (1 + math.exp(-covid.logit)))
    assert covid.present == (covid.score >= 0.5)
    assert reading.status is Status.READ
    assert reading.reason is None
    assert reading.bundle == reader.bundle.identity
    assert reading.notice == RESEARCH_USE
    assert reading.elapsed_ms > 0


def test_reading_many_is_reading_each_in_order(reader, films):
    paths = find_films([films])
    many = list(reader.read_many(paths, batch_size=2, workers=3))
    assert [reading.path for reading in many] == [str(path) for path in paths]
    for together, path in zip(many, paths, strict=True):
        alone = reader.read(path)
        assert (together.status, together.reason) == (alone.status, alone.reason)
        for one, other in zip(together.findings, alone.findings, strict=True):
            assert one.logit == pytest.approx(other.logit, abs=1e-5)


def test_a_film_that_is_not_read_has_no_number(reader, films):
    for name in ("notes.txt", "broken.jpg", "tiny.png", "gone.png"):
        reading = reader.read(films / name)
        assert reading.status is not Status.READ
        assert reading.reason
        assert reading.findings == ()


def test_readings_survive_json(reader, films):
    for reading in reader.read_many(find_films([films])):
        assert Reading.model_validate_json(reading.model_dump_json()) == reading


def test_an_operating_point_must_exist_before_anything_is_opened(reader):
    with pytest.raises(ConfigError, match="best"):
        reader.read_many(["gone.png"], operating_point="best")
    with pytest.raises(ConfigError, match="best"):
        reader.read("gone.png", operating_point="best")


def test_a_network_that_answers_nan_gives_an_error_row(reader, films, monkeypatch):
    def nan(inputs):
        return [NetworkAnswer(np.full(2, np.nan, np.float32), None, None)] * len(inputs)

    monkeypatch.setattr(reader._session, "answers", nan)
    reading = reader.read(films / "a.png")
    assert reading.status is Status.ERROR
    assert "nan" in (reading.reason or "")
    assert reading.findings == ()


def test_the_stream_is_lazy(reader, films):
    def endless():
        while True:
            yield films / "a.png"

    readings = reader.read_many(endless(), batch_size=2)
    assert [next(readings).status for _ in range(5)] == [Status.READ] * 5


def test_films_are_handed_over_only_if_asked(reader, films):
    (kept,) = reader.examine([films / "a.png"], keep=True)
    assert kept.radiograph is not None
    assert kept.radiograph.shape == (200, 160)
    assert kept.evidence is not None
    assert kept.evidence.shape == (2, 8, 8)
    (bare,) = reader.examine([films / "a.png"])
    assert bare.radiograph is None


def test_the_evidence_is_the_logit(plain):
    radiograph = _phantom(320, 192, 100, 120, 25)
    logits, evidence = plain.run(plain.preprocess(radiograph)[None])
    bias = [output.bias for output in plain.bundle.manifest.labels]
    np.testing.assert_allclose(evidence.mean((2, 3)) + bias, logits, atol=1e-5)


@pytest.mark.parametrize("label", [0, 1])
def test_the_mean_of_the_heatmap_over_the_input_is_the_logit(plain, label):
    """Exact where the film's sides are multiples of the map's: interpolation keeps the mean."""
    radiograph = _phantom(320, 192, 150, 110, 25)
    logits, evidence = plain.run(plain.preprocess(radiograph)[None])
    heatmap = plain.heatmap(radiograph, plain.labels[label])
    assert heatmap.shape == radiograph.shape
    seen = heatmap
    if plain.preprocess.fit == "pad":  # the input is wider than the film: put the film back
        seen = cv2.resize(evidence[0, label], (320, 320), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(seen[:, 64:256], heatmap)
    bias = plain.bundle.manifest.labels[label].bias
    assert float(np.nanmean(seen)) + bias == pytest.approx(logits[0, label], abs=1e-4)


def test_padding_keeps_the_film_and_crop_says_what_was_not_seen(plain):
    heatmap = plain.heatmap(_phantom(320, 192, 150, 110, 25), "covid-19")
    unseen = np.isnan(heatmap)
    assert unseen.any() == (plain.preprocess.fit == "crop")
    if plain.preprocess.fit == "crop":
        assert unseen[:64].all()
        assert unseen[-64:].all()
        assert not unseen[64:-64].any()


@settings(deadline=None, max_examples=25)
@given(
    shape=st.tuples(st.integers(200, 420), st.integers(200, 420)),
    where=st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
)
def test_the_peak_lies_where_the_blob_is(plain, shape, where):
    height, width = shape
    y, x = where[0] * height, where[1] * width
    cell_y, cell_x = height / 8, width / 8
    if plain.preprocess.fit != "stretch":
        side = max(shape) if plain.preprocess.fit == "pad" else min(shape)
        cell_y = cell_x = side / 8
    if plain.preprocess.fit == "crop":  # keep the blob inside what the network sees
        y = height / 2 + (where[0] - 0.5) * side
        x = width / 2 + (where[1] - 0.5) * side
    heatmap = plain.heatmap(_phantom(height, width, y, x, min(cell_y, cell_x) / 2), "covid-19")
    peak_y, peak_x = np.unravel_index(np.nanargmax(heatmap), heatmap.shape)
    assert abs(peak_y - y) <= cell_y
    assert abs(peak_x - x) <= cell_x


def test_a_heatmap_equals_a_plain_enlargement(reader):
    """Compare the way back to the film with cv2 alone, for the stretched input."""
    radiograph = _phantom(240, 400, 60, 300, 30)
    _, evidence = reader.run(reader.preprocess(radiograph)[None])
    expected = cv2.resize(evidence[0, 0], (400, 240), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(reader.heatmap(radiograph, "covid-19"), expected, atol=1e-6)


def test_no_evidence_means_no_heatmap_but_a_reading(make_bundle, tmp_path, films):
    reader = load_bundle(make_bundle(tmp_path / "b", evidence=False))
    assert reader.read(films / "a.png").status is Status.READ
    with pytest.raises(BundleError, match="no evidence output"):
        reader.heatmap(hilum.open_radiograph(films / "a.png"), "covid-19")


def test_a_label_that_was_never_learned_is_refused(reader):
    with pytest.raises(ConfigError, match="effusion"):
        reader.heatmap(_phantom(200, 200, 9, 9, 9), "effusion")
    with pytest.raises(ConfigError) as caught:
        reader.heatmap(_phantom(200, 200, 9, 9, 9), "covid19")
    assert caught.value.hint == "did you mean 'covid-19'?"


@pytest.mark.real_data
def test_real_films_are_read(reader, data_root):
    paths = find_films([data_root / "rsna-pneumonia", data_root / "originals"])
    readings = list(reader.read_many(paths))
    tables = [r for r in readings if r.path.endswith(".csv")]
    assert {r.status for r in tables} == {Status.ERROR}
    dicom = [r for r in readings if r.path.endswith(".dcm")]
    assert len(dicom) == 3
    assert {r.status for r in dicom} == {Status.READ}
    assert all(r.film["format"].startswith("DICOM") for r in dicom)


def test_films_wait_for_the_network_without_their_pixels(reader, films, monkeypatch):
    seen = []
    describe = Detailer.describe

    def watched(self, film, answer):
        seen.append(film)
        return describe(self, film, answer)

    monkeypatch.setattr(Detailer, "describe", watched)
    (reading,) = reader.read_many([films / "a.png"], details=True)
    assert [film.radiograph for film in seen] == [None]
    assert reading.details == reader.read(films / "a.png", details=True).details
    (kept,) = reader.examine([films / "a.png"], details=True, keep=True)
    assert kept.radiograph is not None

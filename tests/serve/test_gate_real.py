"""The built-in gate over real films. It was fitted on them: this guards the plumbing, and the
honest numbers are those of docs/explanation/gate.md."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.core.reading import Status
from hilum.core.refusal import Reason
from hilum.image.open import open_radiograph
from hilum.serve.reader import load_bundle
from hilum.serve.samples import read_samples


@pytest.fixture(scope="module")
def reader():
    reader = load_bundle()
    assert reader.gate is not None
    return reader


def test_the_built_in_frontal_films_are_read_and_the_lateral_is_not(reader):
    for sample in read_samples():
        reading = reader.read(sample.path)
        assert (reading.status is Status.READ) == sample.view.frontal, sample.file
        if not sample.view.frontal:
            assert reading.refusal is not None
            assert reading.refusal.code is Reason.LATERAL


def test_a_built_in_film_that_was_turned_or_inverted_is_put_right(reader, tmp_path):
    upright = open_radiograph(read_samples()[0].path).pixels
    expected = None
    for name, pixels in {
        "upright": upright,
        "left": np.rot90(upright),
        "right": np.rot90(upright, -1),
        "down": np.rot90(upright, 2),
        "inverted": 1 - upright,
    }.items():
        path = tmp_path / f"{name}.png"
        cv2.imwrite(str(path), np.rint(65535 * pixels).astype(np.uint16))
        reading = reader.read(path)
        assert reading.status is Status.READ, (name, reading.reason)
        corrected = [step for step in reading.history if step.startswith("corrected: ")]
        assert len(corrected) == (name != "upright")
        assert len(reading.notes) == len(corrected)
        logits = np.array([finding.logit for finding in reading.findings])
        if expected is None:
            expected = logits
        np.testing.assert_allclose(logits, expected, atol=0.02)
        height, width = upright.shape
        assert (reading.film["height"], reading.film["width"]) == (height, width)


def test_white_noise_and_a_blank_page_are_refused(reader, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (400, 380), dtype=np.uint8)
    page = np.full((400, 380), 250, np.uint8)
    cv2.putText(page, "no film", (60, 200), cv2.FONT_HERSHEY_SIMPLEX, 2, 0, 3)
    for name, picture in (("noise", noise), ("page", page)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
        assert reader.read(tmp_path / f"{name}.png").status is Status.REFUSED


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("chosen", "code"),
    [
        ("view == 'L' and source == 'covid-chestxray-dataset'", "lateral"),
        ("view.fillna('').str.startswith('CT')", "ct-slice"),
        ("source == 'kermany-pediatric'", "pediatric"),
    ],
)
def test_what_must_not_be_read_is_refused_for_its_reason(reader, data_root, chosen, code):
    manifest = pd.read_csv(data_root / "manifest.csv")
    some = manifest.query(chosen, engine="python").iloc[::4]
    readings = list(reader.read_many(data_root / path for path in some["path"]))
    codes = Counter(one.refusal.code.value if one.refusal else "read" for one in readings)
    assert codes[code] >= 0.9 * len(readings), codes
    assert all(not one.findings for one in readings if one.refusal)


@pytest.mark.real_data
def test_good_films_of_adults_are_read(reader, data_root):
    manifest = pd.read_csv(data_root / "manifest.csv")
    good = manifest[manifest["view"].isin(["PA", "AP", "AP Supine"]) & (manifest["age"] >= 18)]
    some = good.groupby("source").sample(8, random_state=0, replace=True).drop_duplicates("path")
    readings = list(reader.read_many(data_root / path for path in some["path"]))
    refused = [(one.path, one.reason) for one in readings if one.status is not Status.READ]
    assert len(refused) <= 1, refused

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


def test_12_bits_in_16_without_a_window_are_read_like_the_film_itself(reader, tmp_path):
    film = open_radiograph(read_samples()[0].path).pixels
    scores = []
    for name, top in (("itself", 65535), ("dark", 4095), ("darker", 1023)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.rint(film * top).astype(np.uint16))
        reading = reader.read(tmp_path / f"{name}.png")
        assert reading.status is Status.READ, reading.reason
        assert any("automatic window" in note for note in reading.notes) == (name != "itself")
        assert any("window: automatic" in step for step in reading.history) == (name != "itself")
        scores.append([finding.score for finding in reading.findings])
    np.testing.assert_allclose(scores[1:], [scores[0]] * 2, atol=0.05)


@pytest.mark.parametrize("how", ["one value", "noise", "a slow slope"])
def test_16_bits_with_nothing_on_them_are_still_blank(reader, tmp_path, how):
    picture = np.full((500, 480), 3000.0)
    if how == "noise":
        picture += np.random.default_rng(0).normal(0, 30, picture.shape)
    if how == "a slow slope":
        picture += np.linspace(0, 60, 480)
    cv2.imwrite(str(tmp_path / "blank.png"), np.rint(picture).astype(np.uint16))
    reading = reader.read(tmp_path / "blank.png")
    assert reading.refusal is not None
    assert reading.refusal.code is Reason.BLANK


@pytest.mark.real_data
def test_real_films_are_read_alike_in_8_bits_and_in_12_of_16(reader, data_root, tmp_path):
    """The 8-bit film as ever; the other through the automatic window, near to it."""
    rows = pd.read_csv(data_root / "manifest.csv")
    rows = rows[rows["view"] == "PA"].groupby("source").head(3)
    read = 0
    for path in rows["path"]:
        itself = reader.read(data_root / path)
        assert not any("automatic" in step for step in itself.history), path
        deep = np.rint(open_radiograph(data_root / path).pixels * 4095).astype(np.uint16)
        cv2.imwrite(str(tmp_path / "deep.png"), deep)
        dark = reader.read(tmp_path / "deep.png")
        if itself.status is not Status.READ or dark.status is not Status.READ:
            continue
        read += 1
        scores = [[finding.score for finding in each.findings] for each in (itself, dark)]
        np.testing.assert_allclose(scores[0], scores[1], atol=0.06, err_msg=path)
    assert read >= 10


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

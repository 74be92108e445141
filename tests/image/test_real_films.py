"""Real films: everything that README of the data promises to be a film opens."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest

from hilum.core.labels import View
from hilum.image.open import open_radiograph

pytestmark = pytest.mark.real_data


def test_every_20th_film(data_root):
    with (data_root / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))[::20]
    assert len(rows) >= 150
    for row in rows:
        opened = open_radiograph(data_root / row["path"])
        assert opened.shape == (int(row["height"]), int(row["width"])), row["path"]
        assert opened.pixels.min() >= 0
        assert opened.pixels.max() <= 1


def test_originals(data_root):
    kinds = {}
    for path in sorted((data_root / "originals").iterdir()):
        opened = open_radiograph(path)
        kinds[path.name] = opened.format
        theirs = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2GRAY)
        assert abs(opened.pixels - theirs / 255).max() < 0.02, path.name
        assert np.ptp(opened.pixels) > 0.3
    assert kinds["000001-12.jpg"] == "PNG"  # the name lies
    assert set(kinds.values()) == {"PNG", "JPEG", "WEBP"}


def test_dicom(data_root):
    folder = data_root / "rsna-pneumonia" / "stage_2_train_images"
    films = {p.name[:8] + p.stem[-12:]: open_radiograph(p) for p in sorted(folder.glob("*.dcm"))}
    assert len(films) == 3
    assert {f.metadata.view for f in films.values()} == {View.PA, View.AP}
    assert {f.metadata.age_years for f in films.values()} == {62, 68}
    true, fake = (
        next(
            f
            for n, f in films.items()
            if n.startswith("16d7f894") and ("fake" in f.path) == is_fake
        )
        for is_fake in (False, True)
    )
    np.testing.assert_allclose(fake.pixels, 1 - true.pixels, atol=1e-6)
    assert "polarity" in [s.name for s in fake.history]

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.radiograph import Radiograph
from hilum.image.nuisance import NUISANCE_FEATURES, nuisance_features


def _film(pixels) -> Radiograph:
    return Radiograph(np.asarray(pixels, np.float32), "film", "PNG", 8)


def test_twelve_numbers_measured_by_hand():
    pixels = np.full((100, 200), 0.5)
    pixels[:5], pixels[-5:], pixels[:, :5], pixels[:, -5:] = 0, 0, 0, 0  # a black frame of 5 %
    found = nuisance_features(_film(pixels))
    assert list(found) == list(NUISANCE_FEATURES)
    assert len(found) == 12
    frame = 100 * 200 - 90 * 190
    assert found["log_megapixels"] == pytest.approx(math.log(0.02))
    assert found["log_aspect"] == pytest.approx(math.log(2))
    assert found["long_side"] == 200
    assert found["mean"] == pytest.approx(0.5 * (1 - frame / 20000))
    assert found["dark"] == pytest.approx(frame / 20000)
    assert found["bright"] == 0
    assert found["border_mean"] == found["border_std"] == 0
    assert found["border_dark"] == 1
    assert found["corner_mean"] == pytest.approx(0.5 * 0.25)  # corners of 10 x 10, 5 x 5 inside
    assert found["corner_spread"] == 0


def test_one_bright_corner_is_a_spread():
    pixels = np.zeros((50, 50))
    pixels[:5, :5] = 1
    found = nuisance_features(_film(pixels))
    assert found["corner_spread"] == 1
    assert found["corner_mean"] == 0.25


def test_what_lies_between_border_and_middle_moves_only_the_overall_numbers():
    """Changing the lungs must not change border and corners."""
    rng = np.random.default_rng(0)
    plain = rng.random((120, 100))
    lungs = plain.copy()
    lungs[30:90, 20:80] = rng.random((60, 60))
    one, two = nuisance_features(_film(plain)), nuisance_features(_film(lungs))
    for name in NUISANCE_FEATURES:
        if name.startswith(("border", "corner", "log", "long")):
            assert one[name] == two[name]
    assert one["mean"] != two["mean"]


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_finite_on_every_shape(height, width, seed):
    pixels = np.random.default_rng(seed).random((height, width))
    found = nuisance_features(_film(pixels))
    assert all(math.isfinite(value) for value in found.values())


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(2, 40))
def test_a_mirrored_film_has_the_same_numbers(height, width):
    pixels = np.random.default_rng(height * 41 + width).random((height, width))
    one, other = nuisance_features(_film(pixels)), nuisance_features(_film(pixels[:, ::-1]))
    for name, value in one.items():
        assert other[name] == pytest.approx(value, abs=1e-9), name

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.core.reading import RESEARCH_USE
from hilum.serve.heatmap import (
    AGAINST,
    FOR,
    MIN_LIMIT,
    OPACITY,
    limit_of,
    overlay,
    thumbnail,
    with_legend,
)


@given(st.floats(0, 1e4))
def test_the_scale_is_round_and_holds_the_map(strongest):
    limit = limit_of(np.array([[strongest, 0.0]], np.float32))
    assert limit >= max(strongest, MIN_LIMIT) * (1 - 1e-5)
    assert limit <= 2.5 * max(strongest, MIN_LIMIT) * (1 + 1e-5)
    assert f"{limit:.0e}"[0] in "125"


def test_the_scale_ignores_what_was_not_seen():
    assert limit_of(np.array([[np.nan, -1.7]], np.float32)) == 2.0
    assert limit_of(np.full((2, 2), np.nan, np.float32)) == MIN_LIMIT


def test_no_evidence_leaves_the_film_as_it_is():
    film = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    for nothing in (0.0, np.nan):
        plain = overlay(film, np.full(film.shape, nothing, np.float32), 1.0)
        np.testing.assert_array_equal(plain, np.repeat(np.arange(256).reshape(16, 16, 1), 3, 2))


def test_signs_have_their_color_and_strength_its_opacity():
    film = np.zeros((1, 3), np.float32)
    picture = overlay(film, np.array([[2.0, -1.0, 9.0]], np.float32), 2.0)[0]
    np.testing.assert_allclose(picture[0], np.array(FOR) * OPACITY, atol=0.5)
    np.testing.assert_allclose(picture[1], np.array(AGAINST) * OPACITY / 2, atol=0.5)
    np.testing.assert_array_equal(picture[2], picture[0])


def test_the_two_colors_differ_for_every_eye():
    """Red-green color blindness keeps the axis from blue to yellow."""
    orange, blue = np.array(FOR, float), np.array(AGAINST, float)
    assert orange[2] - blue[2] < -150  # the short-wave cones alone tell them apart
    assert orange[0] > orange[2] + 150


@pytest.mark.parametrize("width", [64, 224, 1000, 3000])
def test_the_legend_lies_beneath_and_moves_nothing(width):
    picture = np.random.default_rng(0).integers(0, 255, (100, width, 3), dtype=np.uint8)
    whole = with_legend(picture, "covid-19: evidence in logits", 2.0)
    assert whole.dtype == np.uint8
    assert whole.shape[1] == width
    assert whole.shape[0] > 120
    np.testing.assert_array_equal(whole[:100], picture)
    assert (whole[100:] > 128).any()


def test_the_notice_stands_in_every_legend(monkeypatch):
    picture = np.zeros((10, 400, 3), np.uint8)
    strip = with_legend(picture, "covid-19", 2.0)[10:]
    monkeypatch.setattr("hilum.serve.heatmap.RESEARCH_USE", " ")
    without = with_legend(picture, "covid-19", 2.0)[10:]
    changed = (strip != without).any((1, 2)).nonzero()[0]
    assert changed.min() > len(strip) / 2
    assert changed.max() < len(strip) - 1  # nothing is cut
    assert (strip[changed] > 100).any()


@pytest.mark.parametrize("width", [64, 100, 130, 400])
def test_a_narrow_legend_says_title_and_notice_to_the_end(width, monkeypatch):
    picture = np.zeros((10, width, 3), np.uint8)
    strip = with_legend(picture, "covid-19: evidence in logits, mean + bias = -1.23", 2.0)
    other = with_legend(picture, "covid-19: evidence in logits, mean + bias = -1.28", 2.0)
    assert strip.shape[1] == width
    assert (strip != other).any()
    monkeypatch.setattr("hilum.serve.heatmap.RESEARCH_USE", RESEARCH_USE.replace("ice.", "ize."))
    other = with_legend(picture, "covid-19: evidence in logits, mean + bias = -1.23", 2.0)
    assert (strip != other).any()


def test_a_map_is_drawn_whatever_its_order_in_memory():
    random = np.random.default_rng(0)
    film = random.random((70, 30), np.float32)
    heat = random.normal(size=(70, 30)).astype(np.float32)
    expected = overlay(film, heat, 2.0).transpose(1, 0, 2)
    np.testing.assert_array_equal(overlay(film.T, heat.T, 2.0), expected)


def test_numbers_without_end_do_not_end_the_run():
    heat = np.array([[np.inf, -1.7, np.nan]], np.float32)
    assert limit_of(heat) == 2.0
    assert limit_of(np.full((2, 2), -np.inf, np.float32)) == MIN_LIMIT
    picture = overlay(np.zeros((1, 3), np.float32), heat, 2.0)[0]
    np.testing.assert_allclose(picture[0], np.array(FOR) * OPACITY, atol=0.5)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2000, 1000), (512, 256)), ((300, 512), (300, 512)), ((5000, 2), (512, 1))],
)
def test_a_thumbnail_is_bounded_and_never_enlarged(shape, expected):
    assert thumbnail(np.zeros(shape, np.float32), 512).shape == expected

from __future__ import annotations

import numpy as np
import pytest

from hilum.image.lungs import Lungs
from hilum.serve.explain.picture import PANEL, color_map, draw_map, scale_of


def _lungs() -> Lungs:
    mask = np.zeros((100, 80), bool)
    mask[20:80, 10:35] = mask[20:80, 45:70] = True
    return Lungs.drawn(mask)


def test_a_signed_scale_is_symmetric_and_holds_every_number() -> None:
    scale = scale_of(np.array([[-4.4, np.nan, 1.0]], np.float32), signed=True, unit="logits")
    assert scale.low == -scale.high
    assert scale.high == 5.0


def test_the_scale_of_brightness_below_zero_starts_below_zero() -> None:
    scale = scale_of(np.array([[-4.4, 120.0]], np.float32), signed=False, unit="")
    assert (scale.low, scale.high) == (-5.0, 150.0)


def test_an_empty_map_has_a_scale() -> None:
    assert scale_of(np.full((2, 2), np.nan, np.float32), signed=True, unit="").high > 0
    assert scale_of(np.zeros((2, 2), np.float32), signed=False, unit="").high > 0


@pytest.mark.parametrize("signed", [True, False])
def test_colors_say_for_and_against_and_nothing(signed: bool) -> None:
    film = np.full((1, 4), 0.5, np.float32)
    heat = np.array([[2.0, -2.0, 0.0, np.nan]], np.float32)
    scale = scale_of(np.maximum(heat, 0) if not signed else heat, signed=signed, unit="")
    colored = color_map(film, heat, scale)[0].astype(int)
    assert colored[0, 0] > colored[0, 2] + 50  # orange or yellow: red beats blue
    assert (np.ptp(colored[2]), np.ptp(colored[3])) == (0, 0)
    if signed:
        assert colored[1, 2] > colored[1, 0] + 50


@pytest.mark.parametrize("shape", [(100, 80), (100, 20), (60, 200), (1500, 1200)])
def test_the_picture_holds_both_panels_and_all_text(shape: tuple[int, int]) -> None:
    film = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    heat = np.full(shape, np.nan, np.float32)
    heat[10:50, 5:15] = 1.0
    scale = scale_of(heat, signed=True, unit="logits")
    long = "word " * 60
    picture = draw_map(film, heat, _lungs(), scale, ["short", long], peak=(10, 30))
    assert picture.dtype == np.uint8
    assert picture.shape[0] > PANEL + 100
    assert picture.shape[1] >= 600
    text = picture[PANEL:]
    assert text.max() == 255
    assert not text[:, -6:].any()  # no line runs off the edge


def test_lungs_are_outlined_on_both_panels() -> None:
    film = np.zeros((100, 80), np.float32)
    scale = scale_of(film, signed=True, unit="")
    with_lungs = draw_map(film, film, _lungs(), scale, ["x"])[:PANEL].astype(int)
    green = with_lungs[..., 1] > with_lungs[..., 0] + 100
    middle = with_lungs.shape[1] // 2
    assert green[:, :middle].any()
    assert green[:, middle:].any()
    without = draw_map(film, film, None, scale, ["x"])[:PANEL]
    assert not without.any()

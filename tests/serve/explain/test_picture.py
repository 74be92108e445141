from __future__ import annotations

import numpy as np
import pytest

from hilum.image.lungs import Lungs
from hilum.serve.explain import PANEL, draw_map


def _lungs() -> Lungs:
    mask = np.zeros((100, 80), bool)
    mask[20:80, 10:35] = mask[20:80, 45:70] = True
    return Lungs.drawn(mask)


@pytest.mark.parametrize("shape", [(100, 80), (100, 20), (60, 200), (1500, 1200)])
def test_the_picture_holds_both_panels_and_all_text(shape: tuple[int, int]) -> None:
    film = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    heat = np.full(shape, np.nan, np.float32)
    heat[10:50, 5:15] = 1.0
    long = "word " * 60
    picture = draw_map(film, heat, _lungs(), 1.0, "logits", ["short", long], peak=(10, 30))
    assert picture.dtype == np.uint8
    assert picture.shape[0] > PANEL + 100
    assert picture.shape[1] >= 600
    text = picture[PANEL:]
    assert text.max() == 255
    assert not text[:, -4:].any()  # no line runs off the edge


def test_lungs_are_outlined_on_both_panels() -> None:
    film = np.zeros((100, 80), np.float32)
    with_lungs = draw_map(film, film, _lungs(), 1.0, "logits", ["x"])[:PANEL].astype(int)
    green = with_lungs[..., 1] > with_lungs[..., 0] + 100
    middle = with_lungs.shape[1] // 2
    assert green[:, :middle].any()
    assert green[:, middle:].any()
    without = draw_map(film, film, None, 1.0, "logits", ["x"])[:PANEL]
    assert not without.any()

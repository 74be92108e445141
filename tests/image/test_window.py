"""The window of a network's input is where its pixels lie on the film."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess

SIDE = 64


def lungs(shape: tuple[int, int]) -> Lungs:
    mask = np.zeros(shape, bool)
    mask[shape[0] // 4 : shape[0] // 2, shape[1] // 8 : shape[1] // 2] = True
    mask[shape[0] // 4 : shape[0] // 2, shape[1] * 5 // 8 : shape[1] * 7 // 8] = True
    return Lungs.drawn(mask)


@pytest.mark.parametrize("shape", [(200, 160), (160, 201), (128, 128)])
@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("region", ["film", "lung-field"])
def test_a_bright_spot_lies_in_the_square_where_the_window_says(region, fit, shape) -> None:
    how = Preprocess(size=SIDE, region=region, fit=fit, low_percentile=None, high_percentile=None)
    found = lungs(shape)
    center = shape[0] * 3 // 8, shape[1] // 2
    pixels = np.zeros(shape, np.float32)
    pixels[center[0] - 3 : center[0] + 4, center[1] - 3 : center[1] + 4] = 1
    square = how.square(Radiograph(pixels, "made", "PNG", 8), found)
    left, top, width, height = how.window(shape, found)
    down, across = (np.argwhere(square > 0.5 * square.max()).mean(axis=0) + 0.5) / SIDE
    assert left + across * width == pytest.approx(center[1] + 0.5, abs=2)
    assert top + down * height == pytest.approx(center[0] + 0.5, abs=2)


def test_the_whole_film_is_its_own_window() -> None:
    assert Preprocess().window((200, 160)) == (0, 0, 160, 200)
    assert Preprocess(fit="pad").window((200, 160)) == (-20, 0, 200, 200)
    assert Preprocess(fit="crop").window((200, 160)) == (0, 20, 160, 160)

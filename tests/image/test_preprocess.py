"""Preprocess: one object, three fits, and the way back into film coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.radiograph import Radiograph
from hilum.image.preprocess import Preprocess

FITS = ("stretch", "pad", "crop")


def film(pixels: np.ndarray) -> Radiograph:
    return Radiograph(pixels.astype(np.float32), path="a.png", format="PNG", bits=8)


def blob(shape: tuple[int, int], row: float, column: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance = (rows - row * shape[0]) ** 2 + (columns - column * shape[1]) ** 2
    return np.exp(-distance / (2 * radius**2)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(20, 90),
    st.integers(20, 90),
    st.sampled_from(FITS),
    st.sampled_from([1, 3]),
    st.integers(0, 2**31),
)
def test_shape_dtype_and_range(h: int, w: int, fit: str, channels: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).random((h, w))
    preprocess = Preprocess(size=32, channels=channels, fit=fit)
    square = preprocess.square(film(pixels))
    assert square.shape == (32, 32)
    assert square.dtype == np.float32
    assert 0 <= square.min() <= square.max() <= 1
    array = preprocess(film(pixels))
    assert array.shape == (channels, 32, 32)
    np.testing.assert_allclose(array[-1] * preprocess.std + preprocess.mean, square, atol=1e-6)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(200, 120), (120, 200), (160, 160)])
def test_a_map_returns_to_where_it_was_on_the_film(fit: str, shape: tuple[int, int]) -> None:
    pixels = blob(shape, 0.45, 0.6, 6)
    preprocess = Preprocess(size=64, fit=fit, low_percentile=None, high_percentile=None)
    back = preprocess.to_film(preprocess.square(film(pixels)), shape)
    assert back.shape == shape
    found = np.unravel_index(np.nanargmax(back), shape)
    expected = np.unravel_index(pixels.argmax(), shape)
    assert np.abs(np.subtract(found, expected)).max() <= 3


def test_crop_says_where_it_did_not_look() -> None:
    preprocess = Preprocess(size=32, fit="crop")
    back = preprocess.to_film(np.ones((32, 32), np.float32), (100, 40))
    assert np.isnan(back[:30]).all()
    assert np.isnan(back[70:]).all()
    assert (back[30:70] == 1).all()


def test_brightness_and_contrast_do_not_matter_with_percentiles() -> None:
    pixels = np.random.default_rng(0).random((64, 64))
    preprocess = Preprocess(size=64)
    np.testing.assert_allclose(
        preprocess.square(film(pixels)), preprocess.square(film(0.2 + 0.5 * pixels)), atol=1e-5
    )


def test_a_constant_film_is_black_not_nan() -> None:
    assert (Preprocess(size=16).square(film(np.full((40, 40), 0.7))) == 0).all()


def test_json_round_trip() -> None:
    preprocess = Preprocess(size=96, channels=1, fit="pad", mean=0.4)
    assert Preprocess.model_validate_json(preprocess.model_dump_json()) == preprocess

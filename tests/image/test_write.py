from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from hilum.core.errors import UnsupportedImageError
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored
from hilum.image.write import jpeg, write_png


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pixels=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20),
        elements=st.floats(0, 1, width=32),
    ),
    bits=st.sampled_from([8, 16]),
)
def test_round_trip(tmp_path, pixels, bits):
    write_png(tmp_path / "a.png", pixels, bits=bits)
    opened = open_stored(tmp_path / "a.png")  # before any window
    assert opened.top == 2**bits - 1
    assert abs(opened.values / opened.top - pixels).max() <= 0.5 / opened.top + 1e-6


@pytest.mark.parametrize("bits", [8, 16])
def test_the_order_of_pixels_in_memory_does_not_matter(tmp_path, bits):
    pixels = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    for turned in (pixels.T, pixels[::-1, ::-1]):
        write_png(tmp_path / "a.png", turned, bits=bits)
        opened = open_radiograph(tmp_path / "a.png")
        assert abs(opened.pixels - turned).max() <= 0.5 / (2**bits - 1) + 1e-6


def test_clips_and_writes_rgb(tmp_path):
    write_png(tmp_path / "x" / "a.png", np.array([[-1.0, 2.0]]))
    assert np.asarray(Image.open(tmp_path / "x" / "a.png")).tolist() == [[0, 255]]
    rgb = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    write_png(tmp_path / "b.png", rgb)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), rgb)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 2), int),
        np.zeros((2, 2, 2)),
        np.zeros((0, 3)),
        np.zeros((0, 4, 3), np.uint8),
        np.array([[np.nan]]),
        np.zeros(3),
    ],
)
def test_refuses(tmp_path, pixels):
    with pytest.raises(UnsupportedImageError):
        write_png(tmp_path / "a.png", pixels)
    assert list(tmp_path.iterdir()) == []


def test_jpeg_keeps_colors_in_their_order():
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[:] = (200, 100, 20)
    shown = np.asarray(Image.open(io.BytesIO(jpeg(rgb, 95))))
    assert abs(shown.astype(int) - (200, 100, 20)).max() <= 4
    grey = Image.open(io.BytesIO(jpeg(np.full((16, 8), 0.5, np.float32), 95)))
    assert (grey.mode, grey.size) == ("L", (8, 16))
    assert abs(np.asarray(grey).astype(int) - 128).max() <= 2
    with pytest.raises(UnsupportedImageError):
        jpeg(np.full((4, 4), np.nan), 95)

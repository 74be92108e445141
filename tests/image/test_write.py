from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from hilum.core.errors import UnsupportedImageError
from hilum.image.open import open_radiograph
from hilum.image.write import write_png


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
    opened = open_radiograph(tmp_path / "a.png")
    assert opened.bits == bits
    assert abs(opened.pixels - pixels).max() <= 0.5 / (2**bits - 1) + 1e-6


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

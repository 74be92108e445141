from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import UnsupportedImageError
from hilum.image.grey import TINTED, check_colour, flatten, scale, to_grey


def test_equal_channels_keep_every_value():
    grey = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    assert np.array_equal(to_grey(rgb, "f")[0], grey)
    assert np.array_equal(to_grey((rgb >> 8).astype(np.uint8), "f")[0], grey >> 8)


def test_tinted_film_is_grey_in_content(film):
    tint = np.stack([film**1.4, film**1.2, film], axis=2) * 255
    detail = check_colour(tint.astype(np.uint8), "f")
    assert detail.startswith(TINTED)


def test_small_coloured_marks_are_borne(film):
    rgb = np.repeat(np.rint(film * 255).astype(np.uint8)[..., None], 3, axis=2)
    rgb[5:15, 5:45] = (255, 30, 30)
    assert "marks" in check_colour(rgb, "f")


def colour_pictures() -> dict[str, np.ndarray]:
    y, x = np.mgrid[0:255:100j, 0:255:120j]
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    return {
        "gradients": np.stack([x, y, 255 - x], axis=2),
        "noise": noise,
        "red": np.zeros((50, 50, 3)) + np.array([255, 0, 0]),
    }


@pytest.mark.parametrize("name", ["gradients", "noise", "red"])
def test_colour_is_refused(name):
    with pytest.raises(UnsupportedImageError, match="colour"):
        check_colour(colour_pictures()[name].astype(np.uint8), "f")


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_colour_of_few_of_16_bits_is_refused(bits):
    picture = colour_pictures()["gradients"] * (2**bits - 1) / 255
    with pytest.raises(UnsupportedImageError, match="colour"):
        check_colour(picture.astype(np.uint16), "f")


def test_real_colour_photographs_are_refused():
    datasets = pytest.importorskip("sklearn.datasets")
    for photograph in datasets.load_sample_images().images:
        with pytest.raises(UnsupportedImageError, match="colour"):
            to_grey(photograph, "f")


def test_scale_and_flatten():
    assert scale(np.array([0, 255], np.uint8), 8).tolist() == [0.0, 1.0]
    assert scale(np.array([0, 4095], np.uint16), 12).tolist() == pytest.approx([0.0, 1.0])
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0]]], np.uint8)
    laid, transparent = flatten(rgba)
    assert transparent
    assert laid.tolist() == [[[200, 100, 50], [0, 0, 0]]]

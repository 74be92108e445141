from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics.meandice import compute_dice
from scipy import ndimage

from hilum.core.errors import ConfigError
from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess

NO_EMBEDDING = np.zeros(0, np.float32)


def film(pixels: np.ndarray) -> Radiograph:
    return Radiograph(pixels=np.asarray(pixels, np.float32), path="made", format="PNG", bits=8)


def ellipses(shape: tuple[int, int], gap: float = 0.06) -> np.ndarray:
    """Two lungs on a film (H, W), as fractions of its sides."""
    down, across = np.mgrid[0 : shape[0], 0 : shape[1]]
    y, x = (down + 0.5) / shape[0], (across + 0.5) / shape[1]
    right = ((y - 0.5) / 0.35) ** 2 + ((x - 0.35 + gap / 2) / 0.13) ** 2 < 1
    left = ((y - 0.5) / 0.33) ** 2 + ((x - 0.66 - gap / 2) / 0.12) ** 2 < 1
    return np.asarray(right | left)


@pytest.mark.parametrize("seed", range(6))
def test_parts_are_those_of_scipy(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(random.standard_normal((96, 96)), 5) > 0.03
    lungs = Lungs(mask, NO_EMBEDDING)
    named, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = ndimage.sum_labels(mask, named, range(1, count + 1)) / mask.size
    kept = [i for i in range(count) if areas[i] >= 0.15 * areas.max()]
    kept.sort(key=lambda i: -areas[i])
    assert [part.area for part in lungs.parts] == pytest.approx([areas[i] for i in kept])
    assert lungs.area == pytest.approx(sum(areas[i] for i in kept))
    slices = ndimage.find_objects(named)
    for part, i in zip(lungs.parts, kept, strict=True):
        rows, columns = slices[i]
        found = (rows.start / 96, columns.start / 96, rows.stop / 96, columns.stop / 96)
        assert part.box == pytest.approx(found)
        y, x = ndimage.center_of_mass(named == i + 1)
        assert part.center == pytest.approx(((x + 0.5) / 96, (y + 0.5) / 96))


def test_specks_are_no_lung() -> None:
    mask = ellipses((128, 128))
    mask[2:5, 2:5] = True
    lungs = Lungs(mask, NO_EMBEDDING)
    assert len(lungs.parts) == 2
    assert lungs.box()[0] > 0.1


def test_a_film_without_lungs_is_its_own_box() -> None:
    lungs = Lungs(np.zeros((64, 64), bool), NO_EMBEDDING)
    assert (lungs.parts, lungs.area, lungs.box(0.1)) == ((), 0, (0.0, 0.0, 1.0, 1.0))
    assert not lungs.on_film((30, 50)).any()


@given(st.floats(0, 1), st.floats(-0.1, 0.3))
@settings(max_examples=40, deadline=None)
def test_the_margin_widens_the_box_and_stays_on_the_film(margin: float, gap: float) -> None:
    lungs = Lungs(ellipses((96, 96), gap), NO_EMBEDDING)
    top, left, bottom, right = lungs.box()
    wide = lungs.box(margin)
    expected = (
        max(top - margin * (bottom - top), 0),
        max(left - margin * (right - left), 0),
        min(bottom + margin * (bottom - top), 1),
        min(right + margin * (right - left), 1),
    )
    assert wide == pytest.approx(expected)


@given(st.integers(80, 400), st.integers(80, 400), st.floats(0, 0.2))
@settings(max_examples=30, deadline=None)
def test_a_drawn_mask_comes_back_onto_its_film(height: int, width: int, gap: float) -> None:
    drawn = ellipses((height, width), gap)
    back = Lungs.drawn(drawn).on_film((height, width))
    assert back.shape == (height, width)
    pair = (torch.from_numpy(each).float()[None, None] for each in (back, drawn))
    assert compute_dice(*pair).item() > 0.97


@given(st.integers(60, 300), st.integers(60, 300), st.floats(0, 0.4))
@settings(max_examples=30, deadline=None)
def test_the_crop_goes_back_to_where_it_came_from(height: int, width: int, margin: float) -> None:
    how = Preprocess(size=64, region="lung-field", margin=margin, low_percentile=None)
    lungs = Lungs.drawn(ellipses((height, width)))
    down, across = np.mgrid[0:height, 0:width]
    pixels = (0.6 * down / height + 0.4 * across / width).astype(np.float32)
    back = how.to_film(how.square(film(pixels), lungs), (height, width), lungs)
    looked = np.isfinite(back)
    top, left, bottom, right = lungs.box(margin)
    inside = np.zeros((height, width), bool)
    inside[int(top * height) : round(bottom * height), int(left * width) : round(right * width)] = 1
    np.testing.assert_array_equal(looked, inside)
    assert np.abs(back[looked] - pixels[looked]).max() < 0.02


def test_the_lung_field_is_the_film_cut_by_hand() -> None:
    random = np.random.default_rng(1)
    pixels = random.random((120, 100), np.float32)
    pixels[:5, :20] = 1  # a burned-in marker, outside the box
    mask = np.zeros((120, 100), bool)
    mask[30:90, 20:80] = True
    lungs = Lungs.drawn(mask, size=600)
    cut = Preprocess(size=32, region="lung-field", margin=0.0)
    whole = Preprocess(size=32)
    expected = whole.square(film(pixels[30:90, 20:80]))
    np.testing.assert_allclose(cut.square(film(pixels), lungs), expected)
    changed = pixels.copy()
    changed[:5, :20] = 0
    np.testing.assert_array_equal(cut.square(film(pixels), lungs), cut.square(film(changed), lungs))


def test_lungs_only_is_black_outside_and_the_lung_field_inside() -> None:
    pixels = 0.2 + 0.6 * np.random.default_rng(2).random((200, 160), np.float32)
    lungs = Lungs.drawn(ellipses((200, 160)))
    only, field = (
        Preprocess(size=96, region=region, margin=0.1).square(film(pixels), lungs)
        for region in ("lungs-only", "lung-field")
    )
    outside = only == 0
    assert 0.3 < outside.mean() < 0.7
    np.testing.assert_array_equal(only[~outside], field[~outside])
    assert only[0, 0] == 0
    assert only[48, 48] == 0  # between the lungs


def test_lungs_removed_depends_on_nothing_inside_them() -> None:
    random = np.random.default_rng(3)
    pixels = 0.2 + 0.6 * random.random((200, 160), np.float32)
    lungs = Lungs.drawn(ellipses((200, 160)))
    changed = pixels.copy()
    inside = lungs.on_film((200, 160))
    changed[inside] = random.random(int(inside.sum()), np.float32)
    how = Preprocess(size=96, region="lungs-removed")
    np.testing.assert_array_equal(how.square(film(pixels), lungs), how.square(film(changed), lungs))
    changed[~inside] = 0.5
    assert np.abs(how.square(film(pixels), lungs) - how.square(film(changed), lungs)).max() > 0.1
    assert how.to_film(np.ones((4, 4), np.float32), (200, 160), lungs).min() == 1  # it saw all


@pytest.mark.parametrize("region", ["lung-field", "lungs-only", "lungs-removed"])
def test_a_region_of_the_lungs_needs_them(region: str) -> None:
    how = Preprocess(size=32, region=region)
    assert how.needs_lungs
    with pytest.raises(ConfigError, match="needs the lungs"):
        how(film(np.zeros((64, 64))))
    assert not Preprocess().needs_lungs


def test_no_lungs_found_is_the_whole_film() -> None:
    pixels = np.random.default_rng(4).random((90, 70), np.float32)
    none = Lungs(np.zeros((64, 64), bool), NO_EMBEDDING)
    np.testing.assert_array_equal(
        Preprocess(size=32, region="lung-field").square(film(pixels), none),
        Preprocess(size=32).square(film(pixels)),
    )

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics.meandice import compute_dice
from scipy import ndimage

from hilum.core.details import Opacity, Side, Zone
from hilum.core.errors import ConfigError
from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs, affected, split_sides, split_zones
from hilum.image.opacities import Opacities
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


SIZE = 96


def _lungs(*boxes):
    mask = np.zeros((SIZE, SIZE), bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return Lungs(mask, np.zeros(0, np.float32))


RIGHT = (12, 10, 84, 40)
LEFT = (12, 56, 84, 86)


def test_two_lungs_are_told_apart_by_the_patients_side():
    sides = split_sides(_lungs(RIGHT, LEFT))
    assert sides[Side.RIGHT][:, :48].sum() == 72 * 30
    assert sides[Side.LEFT][:, 48:].sum() == 72 * 30
    assert not (sides[Side.RIGHT] & sides[Side.LEFT]).any()


def test_lungs_that_grew_together_are_cut_in_the_middle():
    sides = split_sides(_lungs(RIGHT, LEFT, (30, 40, 60, 56)))
    assert sides[Side.RIGHT].sum() == sides[Side.LEFT].sum() == 72 * 30 + 30 * 8


def test_one_lung_that_fills_a_narrow_film_is_not_cut():
    down, across = (np.mgrid[0:SIZE, 0:SIZE] + 0.5) / SIZE
    lung = np.hypot((across - 0.45) / 0.42, (down - 0.5) / 0.47) < 1  # stretched: as wide as high
    sides = split_sides(Lungs(lung, np.zeros(0, np.float32)))
    assert sides[Side.RIGHT].sum() == lung.sum()
    assert not sides[Side.LEFT].any()


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_lung_of_a_few_pixels_is_one_lung(side):
    sides = split_sides(_lungs((10, 10, 10 + side, 10 + side)))
    assert sides[Side.RIGHT].sum() == side**2
    assert not sides[Side.LEFT].any()


@pytest.mark.parametrize(("box", "side"), [(RIGHT, Side.RIGHT), (LEFT, Side.LEFT)])
def test_a_single_lung_goes_to_its_side_of_the_film(box, side):
    sides = split_sides(_lungs(box))
    assert sides.pop(side).sum() == 72 * 30
    assert not next(iter(sides.values())).any()


def test_specks_belong_to_no_lung():
    sides = split_sides(_lungs(RIGHT, LEFT, (0, 46, 4, 50)))
    assert sum(int(mask.sum()) for mask in sides.values()) == 2 * 72 * 30


def test_no_lungs_no_rows():
    empty = _lungs()
    assert not any(mask.any() for mask in split_sides(empty).values())
    assert affected(_opacities(), empty) == ()


def test_zones_are_thirds_that_share_no_pixel_and_miss_none():
    lung = _lungs(RIGHT).mask
    zones = split_zones(lung)
    assert list(zones) == [Zone.UPPER, Zone.MIDDLE, Zone.LOWER]
    assert (np.sum(list(zones.values()), axis=0) == lung).all()
    assert {int(mask.sum()) for mask in zones.values()} == {24 * 30}
    assert not any(mask.any() for mask in split_zones(np.zeros_like(lung)).values())


def _opacities(ground_glass=(), consolidation=()):
    scores = np.zeros((2, SIZE, SIZE), np.float32)
    for kind, boxes in enumerate((ground_glass, consolidation)):
        for top, left, bottom, right in boxes:
            scores[kind, top:bottom, left:right] = 0.9
    return Opacities(scores, (0.5, 0.5))


def test_shares_of_lungs_sides_and_zones():
    opacities = _opacities([(60, 10, 84, 40)], [(72, 10, 84, 40)])
    rows = {(row.side, row.zone): row for row in affected(opacities, _lungs(RIGHT, LEFT))}
    assert len(rows) == 9
    assert rows[None, None].share == pytest.approx(24 * 30 / (2 * 72 * 30), abs=1e-4)
    assert rows[Side.RIGHT, None].share == pytest.approx(1 / 3, abs=1e-4)
    assert rows[Side.LEFT, None].share == 0
    assert rows[Side.RIGHT, Zone.LOWER].kinds == {
        Opacity.GROUND_GLASS: 1.0,
        Opacity.CONSOLIDATION: 0.5,
    }
    assert rows[Side.RIGHT, Zone.UPPER].share == 0


def test_opacities_on_film_keep_their_place():
    opacities = _opacities([(24, 48, 48, 72)])
    on_film = opacities.on_film((192, 480), Opacity.GROUND_GLASS)
    rows, columns = np.nonzero(on_film)
    assert (rows.min(), rows.max() + 1) == (48, 96)
    assert (columns.min(), columns.max() + 1) == (240, 360)
    assert not opacities.on_film((192, 480), Opacity.CONSOLIDATION).any()

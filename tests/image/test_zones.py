from __future__ import annotations

import numpy as np
import pytest

from hilum.core.details import Opacity, Side, Zone
from hilum.image.lungs import Lungs, affected, split_sides, split_zones
from hilum.image.opacities import Opacities

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
    assert opacities.scores_on_film((192, 480), Opacity.GROUND_GLASS).max() == pytest.approx(0.9)

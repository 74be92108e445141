from __future__ import annotations

import numpy as np
import pytest

from hilum.core.details import Details, Lesion, LungDetail, Opacity, OpacityBox, Side
from hilum.serve.marks import STYLES, Layer
from hilum.serve.pictures import draw_details, key_of, with_key

BOX = (40, 20, 100, 160)
SQUARE = ((40, 20), (140, 20), (140, 180), (40, 180))
LUNGS = Details(lungs=(LungDetail(side=Side.RIGHT, area=0.1, box=BOX, outline=SQUARE),))
SHAPE = (300, 400)


def _drawn(details, side=1.0, **options):
    blank = np.full((round(SHAPE[0] * side), round(SHAPE[1] * side), 3), 90, np.uint8)
    picture = draw_details(blank, details, SHAPE, **options)
    return picture, (picture != 90).any(2)


def _like(picture, layer):
    return np.abs(picture.astype(int) - STYLES[layer].color).max(2) < 50


@pytest.mark.parametrize("side", [1.0, 0.5, 2.0])
def test_lines_lie_where_the_details_say_at_every_size(side):
    _, changed = _drawn(LUNGS, side)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    ends = np.array([rows[0], rows[-1], columns[0], columns[-1]]) / side
    np.testing.assert_allclose(ends, [20, 180, 40, 140], atol=3 / side)
    assert not changed[round(100 * side), round(90 * side)]


def test_the_line_has_the_color_of_its_layer():
    picture, _ = _drawn(LUNGS)
    assert _like(picture, Layer.LUNGS).sum() > 400
    assert not _like(picture, Layer.GROUND_GLASS).any()


def _gaps(layer, details):
    """How many dashes lie on the upper edge."""
    picture, _ = _drawn(details)
    near = _like(picture[20:21, 50:130], layer)[0]
    return int((np.diff(near.astype(int)) == 1).sum())


def test_layers_can_be_told_apart_without_color():
    def lesion(kind):
        return Details(lesions=(Lesion(kind=kind, area=0, score=0.5, box=BOX, outline=SQUARE),))

    boxes = Details(boxes=(OpacityBox(box=BOX, score=0.5),))
    counts = [
        _gaps(Layer.LUNGS, LUNGS),
        _gaps(Layer.BOXES, boxes),
        _gaps(Layer.GROUND_GLASS, lesion(Opacity.GROUND_GLASS)),
        _gaps(Layer.CONSOLIDATION, lesion(Opacity.CONSOLIDATION)),
    ]
    assert counts[0] == 0
    assert counts == sorted(set(counts))


def test_a_layer_can_be_left_out_and_the_picture_is_not_changed_in_place():
    _, changed = _drawn(LUNGS, layers=(Layer.BOXES,))
    assert not changed.any()


def test_a_box_at_the_upper_edge_keeps_its_score_on_the_picture():
    boxes = Details(boxes=(OpacityBox(box=(380, 0, 20, 40), score=0.87),))
    picture, changed = _drawn(boxes)
    assert picture.shape == (*SHAPE, 3)
    assert changed[3:12, 365:].any()


def test_the_key_names_what_is_drawn():
    picture, _ = _drawn(LUNGS)
    with_lungs = with_key(picture, key_of(LUNGS))
    assert with_lungs.shape[0] > SHAPE[0]
    np.testing.assert_array_equal(with_lungs[: SHAPE[0]], picture)
    assert _like(with_lungs[SHAPE[0] :], Layer.LUNGS).any()
    assert with_key(picture, ()) is picture

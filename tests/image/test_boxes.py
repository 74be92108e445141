"""Boxes from maps: every setting does what it says; an independent labelling agrees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from hilum.core.errors import ConfigError
from hilum.image.boxes import BoxSettings, boxes_of, opacity_boxes
from hilum.image.opacities import KINDS, Opacities

PLAIN = BoxSettings(threshold=0.5, minimum_area=0, gap=0, most=1000)


def map_of(*pieces: tuple[int, int, int, int, float], shape: tuple[int, int] = (100, 80)):
    """Rectangles of (left, top, width, height, score) on zero."""
    scores = np.zeros(shape, np.float32)
    for left, top, width, height, score in pieces:
        scores[top : top + height, left : left + width] = score
    return scores


def test_a_rectangle_is_its_own_box() -> None:
    (box,) = boxes_of(map_of((10, 20, 30, 15, 0.8)), PLAIN)
    assert box.box == (10, 20, 30, 15)
    assert box.score == pytest.approx(0.8)


def test_the_highest_score_comes_first_and_only_the_most_are_kept() -> None:
    scores = map_of((5, 5, 10, 10, 0.6), (40, 40, 10, 10, 0.9), (5, 60, 10, 10, 0.7))
    assert [box.score for box in boxes_of(scores, PLAIN)] == pytest.approx([0.9, 0.7, 0.6])
    assert len(boxes_of(scores, PLAIN.model_copy(update={"most": 2}))) == 2


def test_below_the_threshold_and_where_nothing_was_looked_at_there_is_no_box() -> None:
    assert boxes_of(map_of((10, 20, 30, 15, 0.49)), PLAIN) == ()
    scores = map_of((10, 20, 30, 15, 0.9))
    scores[:, 25:] = np.nan
    (box,) = boxes_of(scores, PLAIN)
    assert box.box == (10, 20, 15, 15)
    assert boxes_of(np.full((10, 10), np.nan, np.float32), BoxSettings(threshold=0)) == ()


def test_specks_are_dropped() -> None:
    scores = map_of((10, 10, 20, 20, 0.9), (60, 60, 2, 2, 1.0))
    assert len(boxes_of(scores, PLAIN)) == 2
    (box,) = boxes_of(scores, PLAIN.model_copy(update={"minimum_area": 0.001}))
    assert box.box == (10, 10, 20, 20)


def test_pieces_that_are_near_become_one_box_without_the_bridge() -> None:
    scores = map_of((10, 10, 20, 20, 0.9), (10, 34, 20, 20, 0.7))
    (box,) = boxes_of(scores, PLAIN.model_copy(update={"gap": 0.06}))
    assert box.box == (10, 10, 20, 44)
    assert box.score == pytest.approx(0.8)
    assert len(boxes_of(scores, PLAIN.model_copy(update={"gap": 0.02}))) == 2


def test_the_score_is_the_mean_or_the_largest_of_the_piece() -> None:
    scores = map_of((10, 10, 20, 20, 0.6), (10, 10, 20, 10, 1.0))
    assert boxes_of(scores, PLAIN)[0].score == pytest.approx(0.8)
    assert boxes_of(scores, PLAIN.model_copy(update={"score": "max"}))[0].score == 1.0


def test_boxes_grow_about_their_center_and_stay_on_the_film() -> None:
    grown = PLAIN.model_copy(update={"grow": 1.5})
    assert boxes_of(map_of((20, 20, 20, 20, 0.9)), grown)[0].box == (15, 15, 30, 30)
    assert boxes_of(map_of((0, 0, 80, 100, 0.9)), grown)[0].box == (0, 0, 80, 100)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="threshold"):
        BoxSettings.parse({"threshold": 2}, where="test")


@settings(max_examples=60, deadline=None)
@given(scores=arrays(np.float32, (17, 13), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])))
def test_pieces_are_those_of_another_library(scores: np.ndarray) -> None:
    marks, count = ndimage.label(scores >= 0.5, structure=np.ones((3, 3)))
    expected = {
        (part[1].start, part[0].start, part[1].stop - part[1].start, part[0].stop - part[0].start)
        for part in ndimage.find_objects(marks)
    }
    found = boxes_of(scores, PLAIN)
    assert len(found) == count
    assert {box.box for box in found} == expected
    assert [box.score for box in found] == sorted((box.score for box in found), reverse=True)


def test_boxes_of_opacities_lie_on_the_film_whatever_its_shape_and_the_kind() -> None:
    scores = np.zeros((len(KINDS), 224, 224), np.float32)
    scores[0, 56:112, 28:84] = 0.9
    scores[1, 140:196, 140:196] = 0.7
    first, second = opacity_boxes(Opacities(scores, (0.5, 0.5)), (2000, 1000), PLAIN)
    assert first.box == pytest.approx((125, 500, 250, 500), abs=17)
    assert second.box == pytest.approx((625, 1250, 250, 500), abs=17)
    assert first.score > second.score
    left, top, width, height = second.box
    assert left + width <= 1000
    assert top + height <= 2000


def test_there_is_no_box_where_nothing_is_shown() -> None:
    scores = np.zeros((len(KINDS), 224, 224), np.float32)
    scores[0, 56:112, 28:84], scores[0, 140:196, 140:196] = 0.9, 0.9
    regions = np.zeros((224, 224), bool)
    regions[140:196, 140:196] = True
    (box,) = opacity_boxes(Opacities(scores, (0.5, 0.5), regions), (2000, 1000), PLAIN)
    assert box.box == pytest.approx((625, 1250, 250, 500), abs=17)


def test_a_box_lies_around_the_whole_of_what_is_shown_in_part() -> None:
    scores = np.zeros((len(KINDS), 224, 224), np.float32)
    scores[0, 56:112, 28:84] = 0.3
    scores[0, 70:84, 42:56] = 0.9
    found = Opacities(scores, (0.2, 0.2), scores[0] > 0.5, chance=0.5)
    rule = PLAIN.model_copy(update={"threshold": 0.2, "score": "max"})
    (box,) = opacity_boxes(found, (2000, 1000), rule)
    assert box.box == pytest.approx((125, 500, 250, 500), abs=17)
    assert box.score == pytest.approx(0.45)  # of the piece, times that of the film
    assert opacity_boxes(Opacities(scores, (0.2, 0.2), scores[0] > 1), (2000, 1000), rule) == ()

"""Regions begin where their numbers can be read, and stay the regions that they were."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset

from hilum.serve.dicom.spread import spread

SHAPE = (1000, 1024)
FILM = [[0, 0], [1024, 0], [1024, 1000], [0, 1000]]
LETTER, LINE, AWAY = (1000 / 840 * each for each in (7.6, 18, 25))
"""Of OHIF's text on a film that is 840 pixels high on the screen, in pixels of the film."""


def _group(points, *names, closed=True):
    rows = []
    for name in names:
        code, number, unit, value = (Dataset() for _ in range(4))
        code.CodeMeaning, unit.CodeValue = name, "%"
        number.ValueType, number.ConceptNameCodeSequence = "NUM", [code]
        value.MeasurementUnitsCodeSequence = [unit]
        number.MeasuredValueSequence = [value]
        rows.append(number)
    region = Dataset()
    region.ValueType = "SCOORD"
    region.GraphicData = np.array([*points, *points[:closed]], float).ravel().tolist()
    group = Dataset()
    group.ContentSequence = [*rows, region]
    return [group]


def _points(group):
    return np.array(group[0].ContentSequence[-1].GraphicData).reshape(-1, 2)


def _mask(points):
    return cv2.fillPoly(np.zeros(SHAPE, np.uint8), [np.rint(points).astype(np.int32)], (1,))


def _text(group):
    """Where OHIF 3.12 writes it (getTextBoxCoordsCanvas of its first two points)."""
    first, second = _points(group)[:2]
    left, top = max(first[0], second[0]) + AWAY, (first[1] + second[1]) / 2 + AWAY
    names = [row.ConceptNameCodeSequence[0].CodeMeaning for row in group[0].ContentSequence[:-1]]
    wide = max(len(f"{name}: 00.00 %") for name in names) * LETTER
    return left, top, left + wide, top + len(names) * LINE


def _overlap(one, other):
    wide, high = (min(one[at + 2], other[at + 2]) - max(one[at], other[at]) for at in (0, 1))
    return wide > 0 and high > 0


def _circle(x, y, radius, count=300):
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def test_numbers_of_one_place_are_written_apart_and_on_the_film():
    names = ("probability", "score, not a probability", "threshold on the score")
    groups = [_group(FILM, *names) for _ in range(4)]
    groups += [_group(_circle(300, 500, 200), *names), _group(_circle(310, 500, 190), *names)]
    groups += [_group([[200, 300], [500, 300], [500, 700], [200, 700]], "score of the box")]
    before = [_text(each) for each in groups]
    assert sum(_overlap(*pair) for pair in combinations(before, 2)) >= 6
    spread(groups, SHAPE, FILM)
    after = [_text(each) for each in groups]
    assert not any(_overlap(*pair) for pair in combinations(after, 2))
    assert all(right <= SHAPE[1] and bottom <= SHAPE[0] for _, _, right, bottom in after)


@pytest.mark.parametrize(
    "points", [FILM, _circle(500, 400, 300, 399), [[10, 10], [700, 30], [60, 900]]]
)
def test_a_region_stays_what_it_was(points):
    groups = [_group(points, "a number") for _ in range(3)]
    spread(groups, SHAPE, FILM)
    begun = {tuple(_points(each)[:2].ravel()) for each in groups}
    assert len(begun) == 3
    for group in groups:
        found = _points(group)
        assert (found[0] == found[-1]).all()
        assert len(found) <= len(points) + (2 if points is FILM else 1)
        assert {tuple(each) for each in found} >= {tuple(map(float, each)) for each in points}
        one, other = _mask(found), _mask(np.array(points))
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.999


def test_only_the_rectangle_of_the_whole_film_gets_a_fifth_point():
    """OHIF takes five points, four corners and the first again, for a rectangle."""
    tall = [[100, 20], [400, 20], [400, 580], [100, 580]]
    wide = [[60, 600], [900, 600], [900, 990], [60, 990]]
    groups = [_group(each, "score of the box") for each in 3 * [tall, wide]]
    whole = [_group(FILM, "probability") for _ in range(9)]
    spread([*groups, *whole], SHAPE, FILM)
    assert {len(_points(each)) for each in groups} == {5}
    assert max(len(_points(each)) for each in whole) == 6


def test_what_is_no_polygon_is_left_as_it_was_drawn():
    line, point = [[10, 20], [300, 400]], [[50, 60]]
    groups = [_group(line, "length", closed=False), _group(point, "place", closed=False)]
    spread(groups, SHAPE, FILM)
    assert [_points(each).tolist() for each in groups] == [line, point]

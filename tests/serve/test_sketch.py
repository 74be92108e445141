from __future__ import annotations

import cv2
import numpy as np

from hilum.core.details import Affected, Side, Zone
from hilum.serve.sketch import HEIGHT, WIDTH, zone_shapes

SOME = (
    Affected(side=None, zone=None, share=0.4, kinds={}),
    Affected(side=Side.RIGHT, zone=Zone.LOWER, share=0.62, kinds={}),
    Affected(side=Side.LEFT, zone=Zone.UPPER, share=0.003, kinds={}),
)


def test_six_zones_with_their_numbers():
    texts = {shape.words: shape.text for shape in zone_shapes(SOME)}
    assert len(texts) == 6
    assert texts["right lung, lower zone: 62 %"] == "62 %"
    assert texts["left lung, upper zone: < 1 %"] == "< 1 %"
    assert texts["right lung, upper zone: not known"] == "-"


def test_zones_do_not_overlap_and_hold_their_numbers():
    painted = np.zeros((int(HEIGHT), int(WIDTH)), np.uint8)
    for shape in zone_shapes(SOME):
        polygon = np.array(shape.outline, np.float32)
        assert polygon.min() >= 0
        assert (polygon.max(0) <= (WIDTH, HEIGHT)).all()
        assert cv2.pointPolygonTest(polygon, shape.center, measureDist=True) > 8
        one = np.zeros_like(painted)
        cv2.fillPoly(one, [polygon.astype(np.int32)], 1)
        painted += cv2.erode(one, np.ones((3, 3), np.uint8))
    assert painted.max() == 1


def test_the_patients_right_lies_on_the_left_and_upper_lies_above():
    centers = {shape.words.partition(":")[0]: shape.center for shape in zone_shapes(())}
    assert centers["right lung, middle zone"][0] < WIDTH / 2 < centers["left lung, middle zone"][0]
    assert centers["left lung, upper zone"][1] < centers["left lung, lower zone"][1]


def test_more_is_darker_and_dark_letters_stay_readable():
    lights = [sum(shape.color) for shape in zone_shapes(SOME) if shape.share is not None]
    assert lights[0] < lights[1] < 3 * 255
    full = Affected(side=Side.LEFT, zone=Zone.LOWER, share=1, kinds={})
    assert min(sum(shape.color) for shape in zone_shapes((full,))) > 400

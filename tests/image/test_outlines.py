from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.details import Opacity, Side
from hilum.image.lungs import Lungs
from hilum.image.opacities import Opacities
from hilum.image.outlines import box_of, describe_lesions, describe_lungs, outline_of

SIZE = 96


def _blank():
    return np.zeros((SIZE, SIZE), bool)


def _ellipse(center, axes):
    return cv2.ellipse(np.zeros((SIZE, SIZE), np.uint8), center, axes, 0, 0, 360, 1, -1) > 0


def _iou(one, other):
    return (one & other).sum() / (one | other).sum()


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(150, 1500),
    width=st.integers(150, 1500),
    across=st.integers(12, 30),
    down=st.integers(12, 40),
)
def test_an_outline_filled_again_is_the_mask(height, width, across, down):
    mask = _ellipse((48, 46), (across, down))
    outline = np.array(outline_of(mask, (height, width)))
    drawn = cv2.fillPoly(np.zeros((height, width), np.uint8), [outline.astype(np.int32)], 1) > 0
    stretched = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    assert _iou(drawn, stretched > 0) > 0.93


def test_an_outline_is_of_the_largest_region():
    mask = _ellipse((30, 50), (15, 30)) | _ellipse((80, 50), (4, 4))
    assert max(x for x, _ in outline_of(mask, (SIZE, SIZE))) < 50
    assert outline_of(_blank(), (300, 200)) == ()


def test_a_box_is_in_film_pixels():
    mask = _blank()
    mask[24:48, 12:36] = True
    assert box_of(mask, (SIZE, SIZE)) == (12, 24, 24, 24)
    assert box_of(mask, (960, 192)) == (24, 240, 48, 240)


def _lungs():
    mask = _ellipse((25, 48), (14, 36)) | _ellipse((70, 48), (14, 36))
    return Lungs(mask, np.zeros(0, np.float32))


def test_lungs_right_first():
    lungs = describe_lungs(_lungs(), (480, 960))
    assert [lung.side for lung in lungs] == [Side.RIGHT, Side.LEFT]
    right, left = lungs
    assert right.box[0] + right.box[2] < 480 < left.box[0]
    assert right.area == pytest.approx(_lungs().mask[:, :48].mean() / 2, abs=1e-5)
    assert describe_lungs(Lungs(_blank(), np.zeros(0, np.float32)), (480, 960)) == ()


def test_lesions_largest_first_with_their_scores_and_without_specks():
    scores = np.zeros((2, SIZE, SIZE), np.float32)
    scores[0, 50:70, 15:35] = 0.8
    scores[1, 50:60, 65:75] = 0.6
    scores[1, 20:21, 65:66] = 0.9
    lesions = describe_lesions(Opacities(scores, (0.5, 0.5)), _lungs(), (SIZE, SIZE))
    assert [lesion.kind for lesion in lesions] == [Opacity.GROUND_GLASS, Opacity.CONSOLIDATION]
    assert lesions[0].box == (15, 50, 20, 20)
    assert lesions[0].area == pytest.approx(400 / _lungs().mask.sum(), abs=1e-4)
    assert lesions[1].score == pytest.approx(0.6)

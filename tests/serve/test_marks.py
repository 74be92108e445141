from __future__ import annotations

import pytest

from hilum.core.details import Details, Lesion, LungDetail, Opacity, OpacityBox, Side
from hilum.serve.heatmap import AGAINST, FOR
from hilum.serve.marks import STYLES, Layer, layers_of, marks_of, share

SQUARE = ((10, 10), (40, 10), (40, 60), (10, 60))
DETAILS = Details(
    lungs=(LungDetail(side=Side.RIGHT, area=0.1, box=(10, 10, 30, 50), outline=SQUARE),),
    lesions=(
        Lesion(
            kind=Opacity.CONSOLIDATION, area=0.04, score=0.7, box=(10, 10, 30, 50), outline=SQUARE
        ),
    ),
    boxes=(OpacityBox(box=(12, 20, 30, 15), score=0.61),),
)


def test_every_detail_is_a_mark_with_words():
    lung, lesion, box = marks_of(DETAILS)
    assert (lung.layer, lung.points, lung.words) == (
        Layer.LUNGS,
        SQUARE,
        "right lung, 10 % of the film",
    )
    assert lesion.words == "consolidation, 4 % of the lungs, score 0.70"
    assert box.points == ((12, 20), (42, 20), (42, 35), (12, 35))
    assert (box.tag, box.corner) == ("0.61", (12, 20))
    assert layers_of(marks_of(DETAILS)) == (Layer.LUNGS, Layer.CONSOLIDATION, Layer.BOXES)
    assert marks_of(None) == ()


def test_a_mark_without_an_inside_is_left_out():
    lung = DETAILS.lungs[0].model_copy(update={"outline": ((1, 1), (2, 2))})
    assert marks_of(Details(lungs=(lung,))) == ()


def test_layers_differ_by_line_and_by_color():
    assert len({style.dash for style in STYLES.values()}) == len(Layer)
    colors = [style.color for style in STYLES.values()]
    assert len(set(colors)) == len(Layer)
    assert not {FOR, AGAINST} & set(colors)


@pytest.mark.parametrize(("value", "said"), [(0, "0 %"), (1e-9, "< 1 %"), (0.999, "> 99 %")])
def test_a_share_is_never_rounded_to_nothing_or_to_all(value, said):
    assert share(value) == said

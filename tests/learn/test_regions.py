"""The rules that say what of a map is shown are chosen on films, and hold what is asked of them."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.image.boxes import opacity_boxes
from hilum.image.opacities import Opacities, Regions, find_regions
from hilum.learn import regions
from hilum.learn.dense import BOXED, CLEAR, DRAWN
from hilum.learn.regions import RULES, Mapped, choose_boxes, choose_regions

SIDE, FILM = 64, (320, 160)
LUNG = np.zeros((SIDE, SIDE), bool)
LUNG[8:56, 4:60] = True
SPOT = slice(12, 36), slice(10, 34)


def films_of(*kinds: tuple[int, float, float, float]) -> Mapped:
    """Make films of (material, score of the rim, score of the middle, chance), one opacity each."""
    size = len(kinds)
    scores = np.zeros((size, SIDE, SIDE), np.float16)
    truth = np.zeros((size, SIDE, SIDE), bool)
    rows = []
    for row, (material, rim, middle, _) in enumerate(kinds):
        scores[row][SPOT] = rim
        scores[row, 18:30, 16:28] = middle
        truth[row][SPOT] = material != CLEAR
        box = {"label": "lung-opacity", "x": 25.0, "y": 60.0, "width": 60.0, "height": 120.0}
        rows.append({
            "case_id": str(row), "cohort": "ab"[row % 2], "lesion_masks": "",
            "boxes": json.dumps([box]) if material == BOXED else "",
            "lung-opacity": {CLEAR: 0.0, BOXED: 1.0}.get(material, np.nan),
        })  # fmt: skip
    return Mapped(
        pd.DataFrame(rows),
        np.array([kind[0] for kind in kinds]),
        scores,
        np.stack([LUNG] * size),
        np.array([kind[3] for kind in kinds]),
        dict.fromkeys(range(size), FILM),
        truth,
    )


def test_areas_are_those_of_find_regions_for_every_rule() -> None:
    random = np.random.default_rng(0)
    soft = cv2.GaussianBlur(random.random((SIDE, SIDE)), (0, 0), 4)
    soft = np.where(LUNG, (soft - soft.min()) / np.ptp(soft), 0)
    films = films_of((DRAWN, 0, 0, 1))._replace(scores=soft.astype(np.float16)[None])
    found = regions._areas(films, 0)
    sparse, lungs = films.film(0)[:, ::2, ::2], LUNG[::2, ::2]
    for rule, areas in zip(RULES, found, strict=True):
        shown = find_regions(sparse, lungs, rule)
        assert areas[0] == shown.sum()
        assert areas[1] == (shown & films.truth[0, ::2, ::2]).sum()
    assert len({tuple(row) for row in found}) > 10


def test_the_rule_shows_what_readers_drew_and_hardly_anything_on_clear_films() -> None:
    seen = [(DRAWN, 0.3, 0.9, 0.9), (BOXED, 0.3, 0.9, 0.9)] * 3
    clear = [(CLEAR, 0.3, 0.35, 0.1)] * 40
    films = films_of(*seen, *clear)
    rule, said = choose_regions(films)
    for row, (material, *_) in enumerate([*seen, *clear]):
        shown = find_regions(films.film(row), LUNG, rule)
        assert np.array_equal(shown, films.truth[row] & (material != CLEAR))
    assert said["dice"] == {"outlined": 1.0, "boxes": 1.0}
    assert said["films"] == {"outlined": 3, "boxes": 3, "clear": 40}
    assert said["clear films over a tenth, by collection"] == {"a (n=20)": 0.0, "b (n=20)": 0.0}


def test_limits_on_clear_films_come_before_agreement() -> None:
    films = films_of(*[(DRAWN, 0.3, 0.9, 0.9)] * 3, *[(CLEAR, 0.3, 0.9, 0.1)] * 20)
    rule, said = choose_regions(films)
    assert said["clear films over a tenth"] == 0
    assert find_regions(films.film(0), LUNG, rule).sum() < films.truth[0].sum() / 2


def test_where_no_rule_keeps_the_limits_the_fewest_clear_films_are_wide() -> None:
    films = films_of(*[(CLEAR, 0.95, 0.95, 0.9)] * 9, (CLEAR, 0.3, 0.3, 0.1))
    _, said = choose_regions(films)
    assert said["clear films over a tenth"] == 0.9
    assert said["dice"] == {}


def test_boxes_are_those_that_lie_on_the_readers_best() -> None:
    films = films_of(*[(BOXED, 0.35, 0.9, 0.9)] * 4, *[(CLEAR, 0.35, 0.9, 0.2)] * 4)
    rule = Regions(reach=0.2, core=0.8)
    settings, said = choose_boxes(films, rule)
    assert settings is not None
    shown = find_regions(films.film(0), LUNG, rule)
    found = Opacities(films.film(0), (rule.reach,), shown, 0.9)
    (box,) = opacity_boxes(found, FILM, settings)
    assert box.box == pytest.approx((25, 60, 60, 120), abs=14)
    assert said["mAP of boxes"]["all"] == 1.0  # clear films have boxes, too, of a lower score
    assert choose_boxes(films_of((CLEAR, 0.5, 0.9, 0.1)), rule) == (None, {})

"""Average precision and FROC: by hand, and against pycocotools."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.judge.detection import (
    FilmBoxes,
    average_precision,
    estimate_detection,
    hits,
    iou,
    match,
    recall_at,
)

SQUARE = [10, 10, 20, 20]
ELSEWHERE = [60, 60, 20, 20]


def random_films(seed: int, films: int = 12) -> list[FilmBoxes]:
    """Readers' boxes, copies of them that are moved a little, and boxes at random places."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(films):
        truth = random.uniform([0, 0, 10, 10], [60, 60, 40, 40], (random.integers(0, 4), 4))
        near = truth + random.normal(0, 4, truth.shape)
        stray = random.uniform([0, 0, 10, 10], [60, 60, 40, 40], (random.integers(0, 4), 4))
        found = np.vstack([near, near[:1], stray])
        found[:, 2:] = found[:, 2:].clip(1)
        made.append(FilmBoxes.of(truth, found, random.permutation(len(found)) + random.random()))
    return made


def by_pycocotools(films: list[FilmBoxes]) -> float:
    coco_module = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    annotations = [
        {"image_id": i, "category_id": 1, "bbox": box.tolist(), "iscrowd": 0}
        | {"area": float(box[2] * box[3])}
        for i, film in enumerate(films, start=1)
        for box in film.truth
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    results = [
        {"image_id": i, "category_id": 1, "bbox": box.tolist(), "score": float(score)}
        for i, film in enumerate(films, start=1)
        for box, score in zip(film.found, film.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_module.COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(1, len(films) + 1)],
            "categories": [{"id": 1, "name": "opacity"}],
            "annotations": annotations,
        }
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.params.iouThrs = np.array([0.5])
        judge.evaluate()
        judge.accumulate()
    return float(judge.eval["precision"][0, :, 0, 0, -1].mean())


@pytest.mark.parametrize("seed", range(8))
def test_average_precision_is_that_of_pycocotools(seed: int) -> None:
    films = random_films(seed)
    ours = average_precision(match(films))[0]
    assert 0 < ours < 1
    assert ours == pytest.approx(by_pycocotools(films), abs=1e-12)


def test_average_precision_by_hand() -> None:
    # best first: right, wrong, right, of three: precision 1 up to recall 1/3, then 2/3 up to 2/3
    film = FilmBoxes.of(
        [SQUARE, [40, 10, 20, 20], ELSEWHERE],
        [SQUARE, [0, 80, 5, 5], [41, 10, 20, 20]],
        [0.9, 0.8, 0.7],
    )
    expected = (34 * 1 + 33 * 2 / 3) / 101
    assert average_precision(match([film]))[0] == pytest.approx(expected)


def test_a_perfect_detector_and_a_silent_one() -> None:
    perfect = FilmBoxes.of([SQUARE, ELSEWHERE], [ELSEWHERE, SQUARE], [0.2, 0.9])
    silent = FilmBoxes.of([SQUARE], [], [])
    assert average_precision(match([perfect]))[0] == 1
    assert recall_at(match([perfect]))[0] == 1
    assert average_precision(match([silent]))[0] == 0
    assert recall_at(match([silent]))[0] == 0


def test_without_a_box_of_a_reader_nothing_is_defined() -> None:
    films = [FilmBoxes.of([], [SQUARE], [0.5]), FilmBoxes.of([], [], [])]
    assert np.isnan(average_precision(match(films))).all()
    assert np.isnan(recall_at(match(films))).all()
    assert "no film has" in estimate_detection(films, ["a", "b"], folds=10)["map"].note


def test_overlap_of_exactly_the_threshold_counts() -> None:
    half = FilmBoxes.of([[0, 0, 10, 10]], [[0, 0, 10, 5]], [1.0])
    assert iou(half.found, half.truth)[0, 0] == 0.5
    assert hits(half).all()
    assert not hits(half, overlap=0.51).any()


def test_boxes_that_touch_or_are_empty_do_not_overlap() -> None:
    boxes = np.array([[0, 0, 10, 10], [10, 0, 10, 10], [3, 3, 0, 0]], float)
    assert np.array_equal(iou(boxes, boxes), np.diag([1.0, 1.0, 0.0]))


def test_recall_at_a_quarter_by_hand() -> None:
    # four films: one false box is allowed, so the threshold lies below the first false one
    films = [
        FilmBoxes.of([SQUARE], [SQUARE, ELSEWHERE], [0.9, 0.4]),
        FilmBoxes.of([SQUARE], [SQUARE], [0.5]),
        FilmBoxes.of([SQUARE], [SQUARE], [0.3]),
        FilmBoxes.of([], [ELSEWHERE], [0.6]),
    ]
    matches = match(films)
    assert recall_at(matches)[0] == pytest.approx(2 / 3)
    assert recall_at(matches, false_boxes=0.5)[0] == 1
    assert recall_at(matches, false_boxes=0.0)[0] == pytest.approx(1 / 3)


def test_films_without_a_box_count_in_the_false_boxes_of_a_film() -> None:
    noisy = FilmBoxes.of([SQUARE], [ELSEWHERE, SQUARE], [0.9, 0.8])
    assert recall_at(match([noisy]))[0] == 0
    assert recall_at(match([noisy, *[FilmBoxes.of([], [], [])] * 3]))[0] == 1


def test_equal_scores_stand_or_fall_together() -> None:
    films = [FilmBoxes.of([SQUARE], [SQUARE, ELSEWHERE], [0.5, 0.5])]
    assert recall_at(match(films))[0] == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_weights_are_films_taken_several_times(seed: int) -> None:
    films = random_films(seed, films=5)
    weights = np.random.default_rng(seed).integers(0, 3, 5)
    again = [film for film, weight in zip(films, weights, strict=True) for _ in range(weight)]
    if not sum(len(film.truth) for film in again):
        return
    row = weights[None].astype(float)
    matches = match(films)
    assert recall_at(matches, row)[0] == pytest.approx(recall_at(match(again))[0])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_only_the_order_of_scores_and_no_unit_matters(seed: int, scale: float) -> None:
    films = random_films(seed, films=5)
    other = [
        FilmBoxes(scale * film.truth, scale * film.found, np.tanh(film.scores / 50))
        for film in films
    ]
    one, two = match(films, 0.45), match(other, 0.45)
    assert np.array_equal(average_precision(one), average_precision(two), equal_nan=True)
    assert np.array_equal(recall_at(one), recall_at(two), equal_nan=True)


def test_intervals_hold_the_value_and_draw_patients() -> None:
    films = random_films(1, films=60)
    found = estimate_detection(films, np.arange(60) // 2, folds=200)
    assert found["map"].n == 60
    for each in found.values():
        assert each.low < each.value < each.high
    alone = estimate_detection(films, np.arange(60), folds=200)
    assert alone["map"].value == found["map"].value
    assert alone["map"].low != found["map"].low

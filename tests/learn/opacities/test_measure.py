from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.metrics.meandice import compute_dice
from sklearn.metrics import roc_auc_score

from hilum.core.errors import CohortError
from hilum.learn.opacities.films import Films
from hilum.learn.opacities.measure import (
    GRID,
    best_threshold,
    compare,
    count,
    dice_of,
    measure_films,
    summarize,
    thresholds_of,
)


def noisy(films: Films, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    scores = 0.35 * films.truth + 0.3 + 0.3 * random.random(films.truth.shape)
    return scores.astype(np.float32)


def test_dice_is_that_of_monai(films_of: Callable[..., Films]) -> None:
    films = films_of()
    scores = noisy(films)
    measured = measure_films(films, scores, rules=())
    for row in range(8):
        limit = thresholds_of(films, scores, films.cases["fold"][row])[0]
        found = torch.from_numpy(scores[row, 0] >= limit).float()[None, None]
        truth = torch.from_numpy(films.truth[row, 0]).float()[None, None]
        ours = dice_of(measured, "ground-glass")[row]
        assert ours == pytest.approx(float(compute_dice(found, truth)))


def test_a_kind_that_was_not_drawn_has_no_dice(films_of: Callable[..., Films]) -> None:
    measured = measure_films(films_of(), noisy(films_of()))
    assert dice_of(measured, "consolidation").isna().all()
    assert dice_of(measured, "union")[:8].notna().all()
    assert dice_of(measured, "union")[8:].isna().all()


def test_the_threshold_is_the_best_of_the_grid(films_of: Callable[..., Films]) -> None:
    films = films_of()
    scores, truth = noisy(films)[:8, 0], films.truth[:8, 0]
    chosen = best_threshold(count(scores, truth), np.ones(8, bool))

    def pooled(limit: float) -> float:
        found = scores >= limit
        return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))

    assert pooled(chosen) == max(pooled(limit) for limit in GRID)


def test_a_film_has_no_say_in_its_own_threshold(films_of: Callable[..., Films]) -> None:
    films = films_of()
    scores = noisy(films)
    odd = scores.copy()
    odd[(films.cases["fold"] == 1).to_numpy()] **= 3  # another scale in fold 1
    assert thresholds_of(films, scores, skip=1.0) == thresholds_of(films, odd, skip=1.0)
    assert thresholds_of(films, scores, skip=2.0) != thresholds_of(films, odd, skip=2.0)


def test_detection_is_that_of_scikit_learn(films_of: Callable[..., Films]) -> None:
    films = films_of(drawn=12, clear=12)
    scores = noisy(films)
    measured = measure_films(films, scores)
    kept = measured[measured["material"] != "boxed"]
    expected = roc_auc_score(kept["material"] == "drawn", kept["score"])
    assert summarize(measured, folds=50)["auroc"].value == pytest.approx(expected)


def test_a_perfect_map_scores_one(films_of: Callable[..., Films]) -> None:
    films = films_of()
    numbers = summarize(measure_films(films, films.truth.astype(np.float32)), folds=50)
    assert numbers["dice ground-glass"].value == 1
    assert numbers["pooled dice union"].value == 1
    assert numbers["share on clear films"].value == 0
    assert numbers["dice union"].n == 8
    assert np.isnan(numbers["dice consolidation"].value)


def test_without_clear_films_detection_is_undefined(films_of: Callable[..., Films]) -> None:
    films = films_of(clear=0, boxed=0)
    numbers = summarize(measure_films(films, noisy(films)), folds=50)
    assert np.isnan(numbers["auroc"].value)
    assert np.isnan(numbers["auroc boxes"].value)
    assert numbers["auroc boxes"].n == 0


def test_false_opacity_is_told_for_each_collection(films_of: Callable[..., Films]) -> None:
    films = films_of(clear=6)
    clear = np.flatnonzero(films.cases["material"] == "clear")
    films.cases.loc[clear[:2], "cohort"] = "elsewhere"
    measured = measure_films(films, noisy(films))
    numbers = summarize(measured, folds=50)
    there = numbers["share on clear films, elsewhere"]
    assert there.n == 2
    assert there.value == pytest.approx(measured["share"].iloc[clear[:2]].mean())
    assert numbers["share on clear films, made"].n == 4
    assert numbers["share on clear films"].n == 6
    wide = (measured["share"].iloc[clear] > 0.1).mean()
    assert numbers["over a tenth on clear films"].value == pytest.approx(wide)
    assert numbers["over a tenth on clear films, elsewhere"].n == 2


def test_the_share_of_drawn_films_is_judged_with_its_sign(films_of: Callable[..., Films]) -> None:
    films = films_of()
    measured = measure_films(films, noisy(films), rules=())
    numbers = summarize(measured, folds=50)
    drawn = measured[measured["material"] == "drawn"]
    more = (drawn["share"] - drawn["share_drawn"]).to_numpy()
    assert numbers["share bias"].value == pytest.approx(more.mean())
    assert numbers["share error"].value == pytest.approx(np.abs(more).mean())
    assert numbers["share error"].n == 8


def test_differences_are_paired_by_patient(films_of: Callable[..., Films]) -> None:
    films = films_of(drawn=12, clear=12, boxed=6)
    one, other = (measure_films(films, noisy(films, seed)) for seed in (0, 1))
    random = np.random.default_rng(7)
    one["share"], other["share"] = random.random((2, len(one)))
    found, ours, theirs = compare(one, other), summarize(one), summarize(other)
    assert found.keys() == ours.keys()
    for name, each in found.items():
        if np.isnan(ours[name].value):
            assert np.isnan(each.value)
            continue
        assert each.value == pytest.approx(ours[name].value - theirs[name].value)
        assert each.n == ours[name].n
    # by hand: the same patients are drawn for both
    clear = one["material"] == "clear"
    gaps = (one["share"] - other["share"])[clear].to_numpy()
    drawn = np.random.default_rng(0).integers(0, len(gaps), (4000, len(gaps)))
    low, high = np.percentile(gaps[drawn].mean(1), [2.5, 97.5])
    each = found["share on clear films"]
    assert (each.low, each.high) == pytest.approx((low, high), abs=0.15 * (high - low))
    same = compare(one, one)["auroc"]
    assert (same.value, np.isnan(same.low)) == (0, True)
    with pytest.raises(CohortError, match="different films"):
        compare(one, other[::-1])

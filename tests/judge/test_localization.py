from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import auc, roc_auc_score

from hilum.judge import localization as judge

HEAT = np.array([[4.0, 1.0, -3.0], [2.0, np.nan, 1.0]])
TARGET = np.array([[True, False, True], [False, True, True]])


def test_share_inside_by_hand() -> None:
    assert judge.share_inside(HEAT, TARGET) == pytest.approx((4 + 1) / 8)
    domain = np.array([[True, True, True], [False, False, False]])
    assert judge.share_inside(HEAT, TARGET, domain) == pytest.approx(4 / 5)


@pytest.mark.parametrize("heat", [-np.abs(HEAT), np.full((2, 3), np.nan), np.zeros((2, 3))])
def test_a_map_that_speaks_for_nothing_has_no_share(heat: np.ndarray) -> None:
    assert math.isnan(judge.share_inside(heat, TARGET))


def test_pointing_by_hand() -> None:
    assert judge.points_at(HEAT, TARGET) == 1.0
    assert judge.points_at(HEAT, ~TARGET) == 0.0
    assert judge.points_at(np.ones((2, 3)), TARGET) == pytest.approx(4 / 6)
    assert math.isnan(judge.points_at(np.full((2, 3), np.nan), TARGET))


def test_chance_is_what_a_uniform_map_gets() -> None:
    domain = np.array([[True, True, False], [True, True, False]])
    uniform = np.where(domain, 1.0, np.nan)
    level = judge.chance(TARGET, domain)
    assert level == pytest.approx(2 / 4)
    assert judge.share_inside(uniform, TARGET) == pytest.approx(level)
    assert judge.points_at(uniform, TARGET) == pytest.approx(level)
    assert math.isnan(judge.chance(TARGET, np.zeros((2, 3), bool)))


@given(st.integers(0, 2**31))
def test_pixel_auroc_is_that_of_sklearn(seed: int) -> None:
    random = np.random.default_rng(seed)
    heat = random.integers(0, 6, (8, 9)).astype(float)
    target, domain = random.random((2, 8, 9)) > 0.5
    expected = roc_auc_score(target[domain], heat[domain])
    assert judge.pixel_auroc(heat, target, domain) == pytest.approx(expected)


def test_pixel_auroc_leaves_out_what_the_network_did_not_see() -> None:
    heat = np.array([[1.0, 2.0, np.nan]])
    target = np.array([[False, True, False]])
    assert judge.pixel_auroc(heat, target, np.ones((1, 3), bool)) == 1.0


@given(st.integers(0, 2**31))
def test_rank_correlation_does_not_see_monotone_changes(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.normal(size=(2, 6, 7))
    found = judge.rank_correlation(one, other)
    ranks = [stats.rankdata(each) for each in (one, other)]
    assert found == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert judge.rank_correlation(np.exp(one), other) == pytest.approx(found)
    assert judge.rank_correlation(-one, other) == pytest.approx(-found)


def test_rank_correlation_of_a_flat_map_is_undefined() -> None:
    assert math.isnan(judge.rank_correlation(np.ones((3, 3)), np.arange(9.0).reshape(3, 3)))


def test_strongest_first_takes_ever_more_of_the_domain() -> None:
    domain = np.array([[True, True, False], [True, True, True]])
    masks = list(judge.strongest_first(HEAT, domain, 5))
    assert [int(mask.sum()) for mask in masks] == [0, 1, 2, 3, 4, 5]
    assert masks[1][0, 0]
    assert masks[2][1, 0]
    assert not masks[4][1, 1]  # NaN goes last
    assert (masks[5] == domain).all()
    assert all((later | earlier == later).all() for earlier, later in pairwise(masks))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_area_under_is_that_of_sklearn(scores: list[float]) -> None:
    expected = auc(np.linspace(0, 1, len(scores)), scores)
    assert judge.area_under(scores) == pytest.approx(expected)


def test_mean_over_films_counts_patients_and_leaves_out_what_is_undefined() -> None:
    values = [0.0, 1.0, 0.5, np.nan]
    found = judge.mean_over_films(values, ["a", "b", "b", "c"])
    assert found.value == pytest.approx(0.5)
    assert found.n == 3
    assert found.low <= 0.5 <= found.high
    assert judge.mean_over_films([np.nan], ["a"]).n == 0


def test_an_interval_is_wider_where_films_are_of_few_patients() -> None:
    values = np.random.default_rng(0).normal(size=8).repeat(8)
    alone = judge.mean_over_films(values, np.arange(64))
    together = judge.mean_over_films(values, np.arange(8).repeat(8))
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_all_hits_have_an_exact_interval() -> None:
    found = judge.mean_over_films([1.0] * 10, np.arange(10), proportion=True)
    assert 0.6 < found.low < 0.75
    assert found.high == 1.0

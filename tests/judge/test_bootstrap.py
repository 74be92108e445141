"""The bootstrap against the naive one, resample by resample, and against known coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hilum.core.estimate import Estimate
from hilum.judge.bootstrap import Support, bootstrap, bootstrap_all, resample
from hilum.judge.metrics import accuracy, auroc, bin_of, brier, confusion, ece
from hilum.judge.panel import ScoredCases, measure


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(0, 99), st.integers(1, 200)
)
def test_resamples_do_not_depend_on_how_many_are_held_at_once(groups, seed, cells):
    whole = np.concatenate(list(resample(groups, folds=20, seed=seed)))
    parts = np.concatenate(list(resample(groups, folds=20, seed=seed, cells=cells)))
    np.testing.assert_array_equal(whole, parts)
    assert whole.shape == (20, len(groups))


def test_a_resample_draws_whole_patients_as_often_as_there_are():
    groups = np.array(["a", "b", "a", "c", "c", "c"])
    for weights in resample(groups, folds=50, seed=0):
        for row in weights:
            per_group = {name: set(row[groups == name]) for name in "abc"}
            assert all(len(values) == 1 for values in per_group.values())
            assert sum(values.pop() for values in per_group.values()) == 3


def test_intervals_equal_the_naive_resampling_of_patients():
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 60, 150)
    truth = (groups % 2).astype(float)
    score = np.round(np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1), 1)  # many ties
    names, index = np.unique(groups, return_inverse=True)
    naive = []
    generator = np.random.default_rng(11)
    for _ in range(300):
        drawn = generator.integers(0, names.size, names.size)
        rows = np.concatenate([np.flatnonzero(index == group) for group in drawn])
        naive.append(roc_auc_score(truth[rows], score[rows]))
    found = bootstrap(auroc, truth, score, groups, folds=300, seed=11)
    assert found.value == pytest.approx(roc_auc_score(truth, score))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(naive, [2.5, 97.5])))
    assert found.n == 150


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    rng = np.random.default_rng(4)
    truth, score = rng.integers(0, 2, 80), rng.random(80)
    one, same, other = (bootstrap(auroc, truth, score, folds=200, seed=s) for s in (1, 1, 2))
    assert one == same
    assert (one.low, one.high) != (other.low, other.high)


def test_films_of_one_patient_widen_the_interval():
    rng = np.random.default_rng(5)
    truth = np.repeat(rng.integers(0, 2, 40), 10)
    score = np.repeat(rng.random(40), 10)
    apart = bootstrap(auroc, truth, score, folds=400)
    together = bootstrap(auroc, truth, score, np.repeat(np.arange(40), 10), folds=400)
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Normal scores one standard deviation apart: AUROC = Phi(1 / sqrt 2) = 0.7602."""
    rng = np.random.default_rng(6)
    truth = np.arange(120) % 2
    covered = 0
    for trial in range(150):
        found = bootstrap(auroc, truth, rng.normal(truth, 1), folds=200, seed=trial)
        covered += found.low <= 0.7602 <= found.high
    assert 0.88 <= covered / 150 <= 0.99


def test_the_interval_of_ece_holds_its_value_and_what_it_estimates():
    """Logits stated 1.3 times too large. The true ECE is that of every chance there is."""
    chances = np.linspace(0.0005, 0.9995, 100_000)

    def stated(chance):
        return 1 / (1 + ((1 - chance) / chance) ** 1.3)

    gap = stated(chances) - chances
    true = np.abs(np.bincount(bin_of(stated(chances), 10), weights=gap)).sum() / chances.size
    rng = np.random.default_rng(8)
    covered = 0
    for trial in range(60):
        chance = rng.random(200)
        truth = rng.random(200) < chance
        found = bootstrap(ece, truth, stated(chance), folds=200, seed=trial)
        assert 0 <= found.low <= found.value <= found.high
        covered += found.low <= true <= found.high
    assert covered / 60 >= 0.85


def test_the_interval_of_ece_holds_a_distance_that_chance_has_hidden():
    """Always 0.5, where 0.56 are positive: one bin, whose distance is often seen too small."""
    rng = np.random.default_rng(9)
    covered = 0
    for trial in range(60):
        truth = rng.random(100) < 0.56
        found = bootstrap(ece, truth, np.full(100, 0.5), folds=200, seed=trial)
        covered += found.low <= 0.06 <= found.high
    assert covered / 60 >= 0.85


def test_ece_has_the_same_interval_in_the_panel_and_alone():
    """The low end takes off what the resamples put on, up to 0; the high end is not below that."""
    rng = np.random.default_rng(10)
    truth, chance = rng.random(80) < 0.4, rng.random(80)
    groups = np.repeat(np.arange(40), 2).astype(str)
    cases = ScoredCases(truth, chance, chance, chance >= 0.5, groups)
    panel = measure(cases, prevalence=0.1, names=("ece", "brier"), folds=200, seed=3)
    alone = bootstrap(ece, truth, chance, groups, folds=200, seed=3)
    assert panel["ece"] == alone
    seen = [ece(truth, chance, w)[0] for w in resample(groups, folds=200, seed=3, cells=1)]
    low, high = np.percentile(seen, [2.5, 97.5])
    assert alone.low == pytest.approx(max(0, 2 * alone.value - high))
    assert alone.high == pytest.approx(high)
    assert alone.low != pytest.approx(low)
    assert panel["brier"] == bootstrap(brier, truth, chance, groups, folds=200, seed=3)


@pytest.mark.parametrize(
    ("truth", "note"),
    [
        ([], "no cases"),
        ([math.nan, math.nan], "no cases"),
        ([1, 1, math.nan], "one class only: every case is positive"),
        ([0, 0, 0], "one class only: every case is negative"),
    ],
)
def test_undefined_is_nan_with_the_reason(truth, note):
    found = bootstrap(auroc, truth, np.linspace(0, 1, len(truth)), folds=10)
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert found.note == note
    assert found.n == np.sum(~np.isnan(np.array(truth, float)))


def test_a_perfect_auroc_claims_no_interval_of_zero_width():
    found = bootstrap(auroc, [0] * 8 + [1] * 8, np.arange(16), folds=200)
    assert found.value == 1
    assert math.isnan(found.low)
    assert "same value" in found.note


def test_a_perfect_share_has_the_exact_interval_over_patients():
    """Clopper-Pearson for 10 of 10: 0.025 ** (1 / 10) = 0.6915."""
    truth = np.ones(30)

    def statistics(weights):
        return {"accuracy": accuracy(confusion(truth, truth == 1, weights))}

    support = {"accuracy": Support(30, 10, proportion=True)}
    found = bootstrap_all(statistics, np.arange(30) % 10, support, folds=50)["accuracy"]
    assert (found.low, found.high) == pytest.approx((0.69150, 1.0), abs=1e-5)
    assert "10 patients" in found.note


def test_rare_positives_are_noted_as_folds_left_out():
    truth = np.array([1] + [0] * 20)
    found = bootstrap(auroc, truth, np.linspace(1, 0, 21) ** 2 * (1 - truth) + 0.5 * truth)
    assert "of 1000 folds" in found.note


def test_no_folds_is_a_value_without_interval():
    found = bootstrap(brier, [0, 1], [0.5, 0.5], folds=0)
    assert found.value == 0.25
    assert math.isnan(found.low)
    assert isinstance(found, Estimate)

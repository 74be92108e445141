from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from hilum.core.errors import CohortError, ConfigError
from hilum.core.labels import Label
from hilum.judge.operating import choose_operating_point, choose_threshold

CASES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 20).map(lambda i: i / 20)), min_size=2, max_size=40
).filter(lambda cases: len({truth for truth, _ in cases}) == 2)


def _rates(truth, score, threshold):
    called = score >= threshold
    return called[truth].mean(), (~called[~truth]).mean()


@given(CASES)
def test_youden_is_the_best_of_all_thresholds(cases):
    truth, score = np.array([c[0] for c in cases]), np.array([c[1] for c in cases])
    false, true, _ = roc_curve(truth, score)
    sensitivity, specificity = _rates(truth, score, choose_threshold(truth, score))
    assert sensitivity + specificity - 1 == pytest.approx(max(true - false))


@given(CASES, st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_a_target_is_reached_at_the_least_cost(cases, target):
    truth, score = np.array([c[0] for c in cases]), np.array([c[1] for c in cases])
    threshold = choose_threshold(truth, score, rule="sensitivity", target=target)
    sensitivity, specificity = _rates(truth, score, threshold)
    assert sensitivity >= target - 1e-12
    reached = [_rates(truth, score, level) for level in score]
    assert specificity == pytest.approx(max(sp for se, sp in reached if se >= target - 1e-12))


def test_a_threshold_stands_between_scores_so_that_rounding_flips_nobody():
    truth, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.6, 0.9])
    threshold = choose_threshold(truth, score)
    assert min(abs(score - threshold)) == pytest.approx(0.1)


def test_the_point_carries_its_cost_with_intervals_and_n():
    rng = np.random.default_rng(0)
    truth = np.r_[np.ones(60), np.zeros(60), np.nan]
    score = np.clip(rng.normal(np.nan_to_num(truth) * 0.3 + 0.3, 0.15), 0, 1)
    point = choose_operating_point(
        truth,
        score,
        np.arange(121) // 2,
        label=Label.COVID_19,
        name="sensitive",
        chosen_on="val",
        rule="sensitivity",
        target=0.9,
        folds=100,
    )
    assert point.sensitivity.value >= 0.9
    assert point.sensitivity.low < point.sensitivity.value
    assert (point.sensitivity.n, point.specificity.n) == (60, 60)
    assert point.rule == "sensitivity of at least 0.9"


def test_one_class_and_odd_targets_are_refused():
    with pytest.raises(CohortError, match="one class"):
        choose_threshold([1, 1], [0.2, 0.4])
    with pytest.raises(ConfigError, match="target"):
        choose_threshold([0, 1], [0.2, 0.4], rule="sensitivity", target=1.5)

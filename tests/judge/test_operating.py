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


def _by_source():
    """Three sources of negatives alone, one of which scores high, and one with positives."""
    rng = np.random.default_rng(1)
    parts = {"east": (0, 0.30), "west": (0, 0.55), "few": (0, 0.95), "north": (1, 0.70)}
    sizes = {"east": 300, "west": 60, "few": 5, "north": 200}
    truth = np.concatenate([np.full(sizes[s], parts[s][0]) for s in parts])
    score = np.concatenate([rng.normal(parts[s][1], 0.1, sizes[s]) for s in parts]).clip(0, 1)
    return truth, score, np.repeat(list(parts), list(sizes.values()))


def test_the_worst_source_holds_the_threshold_up_and_small_ones_do_not():
    truth, score, sources = _by_source()
    free = choose_threshold(truth, score)
    held = choose_threshold(truth, score, rule="worst-source", target=0.9, sources=sources)
    false_positives = {s: (score >= held)[sources == s].mean() for s in ("east", "west", "few")}
    assert (score >= free)[sources == "west"].mean() > 0.1
    assert false_positives["east"] <= 0.1
    assert false_positives["west"] <= 0.1
    assert false_positives["few"] > 0.1
    levels = np.append(score[score < held], -1.0)  # any lower one lets too many of west through
    assert (score[sources == "west"] >= levels.max()).mean() > 0.1


def test_the_worst_source_rule_is_youden_where_nothing_holds_it_up():
    truth, score, sources = _by_source()
    easy = sources != "west"
    truth, score, sources = truth[easy], score[easy], sources[easy]
    held = choose_threshold(truth, score, rule="worst-source", target=0.9, sources=sources)
    assert held == choose_threshold(truth, score)


def test_the_cost_is_given_for_each_source_with_enough_films():
    truth, score, sources = _by_source()
    point = choose_operating_point(
        truth,
        score,
        np.arange(truth.size),
        label=Label.COVID_19,
        name="balanced",
        chosen_on="left-out sources",
        sources=sources,
        rule="worst-source",
        folds=50,
    )
    costs = {cost.source: cost for cost in point.sources}
    assert set(costs) == {"east", "west", "north"}
    assert costs["west"].specificity.value == pytest.approx(
        (score[sources == "west"] < point.threshold).mean()
    )
    assert np.isnan(costs["west"].sensitivity.value)
    assert costs["west"].sensitivity.note == "fewer than 20 films"
    assert (costs["north"].positives, costs["north"].negatives) == (200, 0)
    assert "every source of negatives alone" in point.rule


def test_the_worst_source_needs_the_sources():
    with pytest.raises(ConfigError, match="needs the source"):
        choose_threshold([0, 1], [0.2, 0.4], rule="worst-source")


def test_one_class_and_odd_targets_are_refused():
    with pytest.raises(CohortError, match="one class"):
        choose_threshold([1, 1], [0.2, 0.4])
    with pytest.raises(ConfigError, match="target"):
        choose_threshold([0, 1], [0.2, 0.4], rule="sensitivity", target=1.5)

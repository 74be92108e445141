from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hilum.core.errors import CohortError, ConfigError
from hilum.core.labels import Label
from hilum.judge.calibration import Calibration, restate, scored
from hilum.judge.calibrators import fit_calibration
from hilum.judge.conformal import fit_conformal
from hilum.judge.operating import choose_operating_point, choose_threshold

CHANCE = st.floats(0.001, 0.999)
PART = st.floats(0.01, 0.99)


def test_the_identity_leaves_the_score_and_holds_for_no_prevalence():
    same = Calibration()
    assert same(np.array([0.0, 0.3, 1.0])).tolist() == [0.0, 0.3, 1.0]
    with pytest.raises(ConfigError, match="no calibration was fitted"):
        same.at(0.05, 0.3)


@given(st.floats(-12, 12), st.floats(0, 4), st.floats(-3, 3))
def test_platt_is_a_line_on_the_logit(logit, slope, shift):
    score = 1 / (1 + np.exp(-logit))
    found = Calibration(method="platt", a=slope, b=slope, c=shift)(score)
    assert found == pytest.approx(1 / (1 + np.exp(-(slope * logit + shift))), abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0, 4), st.floats(0, 4))
def test_a_higher_score_never_means_a_lower_probability(scores, a, b):
    ordered = np.sort(scores)
    beta = Calibration(method="beta", a=a, b=b, c=0.4)
    steps = Calibration(method="isotonic", knots=((0.1, 0.0), (0.4, 0.4), (0.9, 0.7)))
    for calibration in (beta, steps):
        found = calibration(ordered)
        assert (np.diff(found) >= 0).all()
        assert ((found >= 0) & (found <= 1)).all()


def test_scores_of_exactly_0_and_1_are_finite():
    found = Calibration(method="beta", a=2.0, b=0.5, c=1.0)(np.array([0.0, 1.0]))
    assert np.isfinite(found).all()


def test_knots_must_rise_and_belong_to_isotonic():
    with pytest.raises(ValidationError, match="knots must rise"):
        Calibration(method="isotonic", knots=((0.1, 0.5), (0.4, 0.4)))
    with pytest.raises(ValidationError, match="isotonic has knots"):
        Calibration(method="platt", knots=((0.1, 0.5), (0.4, 0.6)))


def test_what_an_old_bundle_says_is_still_read():
    old = Calibration.model_validate({"method": "identity", "fitted_on": ""})
    assert old == Calibration()


@given(CHANCE, PART, PART, PART)
def test_restating_twice_is_restating_once(chance, first, second, third):
    once = restate(chance, first, third)
    assert restate(restate(chance, first, second), second, third) == pytest.approx(once)
    assert restate(chance, first, first) == pytest.approx(chance)


def test_a_restated_probability_is_the_share_among_cases_of_that_prevalence():
    """Draw films at one prevalence, weight them to another, and count."""
    rng = np.random.default_rng(0)
    truth = rng.random(400_000) < 0.4
    level = rng.normal(truth * 1.5, 1)
    log_ratio = 1.5 * level - 1.5**2 / 2  # of the two normal densities
    chance = 1 / (1 + np.exp(-log_ratio - np.log(0.4 / 0.6)))
    weight = np.where(truth, 0.05 / 0.4, 0.95 / 0.6)
    restated = restate(chance, 0.4, 0.05)
    for low, high in ((0.0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1.0)):
        part = (restated >= low) & (restated < high)
        seen = np.average(truth[part], weights=weight[part])
        assert np.average(restated[part], weights=weight[part]) == pytest.approx(seen, abs=0.02)


@pytest.mark.parametrize("prevalence", [0.0, 1.0, 5.0])
def test_a_prevalence_that_is_none_is_refused(prevalence):
    with pytest.raises(ConfigError, match="prevalence"):
        restate(0.5, 0.5, prevalence)


@pytest.mark.parametrize(
    ("truth", "score", "said"),
    [
        ([1, 2, 1, 2], [0.1, 0.2, 0.3, 0.4], r"truth\[1\]: 2; expected 1, 0 or NaN"),
        ([1, 0, 1, 0], [0.1, np.nan, 0.3, 0.4], r"score\[1\]: nan; expected a number in \[0, 1\]"),
        ([1, 0, 1, 0], [10, 20, 30, 99], r"score\[0\]: 10"),
        ([1, 0, 1], [0.1, 0.2], "3 truths and 2 scores"),
    ],
)
def test_what_is_no_truth_or_score_is_refused_by_everything_that_is_fitted(truth, score, said):
    owners = ["a", "b", "c", "d"][: len(truth)]
    with pytest.raises(CohortError, match=said):
        fit_calibration(truth, score, owners, fitted_on="these")
    with pytest.raises(CohortError, match=said):
        fit_conformal(truth, score, fitted_on="these")
    with pytest.raises(CohortError, match=said):
        choose_operating_point(
            truth, score, owners, label=Label.COVID_19, name="balanced", chosen_on="these"
        )


def test_a_score_of_an_unknown_truth_may_be_missing():
    truths, scores = scored([1, 0, np.nan], [0.5, 0.5, np.nan])
    assert truths.shape == scores.shape == (3,)


def test_a_rule_or_method_that_is_none_is_refused():
    known = ([1, 0], [0.9, 0.1])
    with pytest.raises(ConfigError, match="no rule 'yuden'") as error:
        choose_threshold(*known, rule="yuden")
    assert "youden" in error.value.hint
    with pytest.raises(ConfigError, match="'plat' is not known"):
        fit_calibration(*known, ["a", "b"], fitted_on="these", method="plat")
    with pytest.raises(ConfigError, match="below 0 or above 1"):
        restate([2, -1], 0.5, 0.2)

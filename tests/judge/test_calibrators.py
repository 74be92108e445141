from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from hilum.core.errors import CohortError, ConfigError
from hilum.judge.calibration import alike
from hilum.judge.calibrators import (
    FITTERS,
    LEAST_PER_CLASS,
    fit_calibration,
    log_losses,
    patient_folds,
)


def _cases(n=600, a=1.0, b=1.0, c=0.0, seed=0):
    """Scores whose true probability is a beta calibration with these numbers; two films each."""
    rng = np.random.default_rng(seed)
    score = rng.beta(1, 1, n)
    logit = a * np.log(score) - b * np.log1p(-score) + c
    truth = rng.random(n) < 1 / (1 + np.exp(-logit))
    return truth.astype(float), score, np.arange(n) // 2


def _fit(method, truth, score):
    return FITTERS[method](truth == 1, score, np.ones(len(score)))


def test_platt_is_the_logistic_regression_of_scikit_learn():
    truth, score, _ = _cases(4000, a=0.6, b=0.6, c=-0.7)
    logit = np.log(score / (1 - score))
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logit[:, None], truth)
    ours = _fit("platt", truth, score)
    assert ours.a == ours.b == pytest.approx(theirs.coef_[0, 0], abs=5e-3)
    assert ours.c == pytest.approx(theirs.intercept_[0], abs=5e-3)


def test_beta_is_that_of_its_authors():
    from betacal import BetaCalibration

    truth, score, _ = _cases(20_000, a=0.5, b=1.6, c=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, about the options that betacal passes
        theirs = BetaCalibration(parameters="abm").fit(score, truth)
        expected = theirs.predict(np.linspace(0.01, 0.99, 99))
    ours = _fit("beta", truth, score)
    np.testing.assert_allclose(ours(np.linspace(0.01, 0.99, 99)), expected, atol=2e-3)
    assert (ours.a, ours.b) == pytest.approx((0.5, 1.6), abs=0.15)


def test_temperature_finds_the_slope_and_has_no_shift():
    truth, score, _ = _cases(6000, a=0.4, b=0.4)
    found = _fit("temperature", truth, score)
    assert found.a == found.b == pytest.approx(0.4, abs=0.03)
    assert found.c == 0


def test_isotonic_is_that_of_scikit_learn_in_numbers_alone():
    truth, score, _ = _cases(500, a=0.5, b=2)
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, truth)
    asked = np.linspace(0, 1, 301)
    ours = _fit("isotonic", truth, score)
    np.testing.assert_allclose(ours(asked), theirs.predict(asked), atol=1e-12)


def test_complete_separation_gives_finite_numbers():
    truth, score = np.r_[np.zeros(40), np.ones(40)], np.r_[np.full(40, 0.3), np.full(40, 0.6)]
    for method in ("temperature", "platt", "beta"):
        found = _fit(method, truth, score)
        assert 0 < found(0.3) < 0.5 < found(0.6) < 1, method
    assert _fit("platt", truth, score)(0.6) == pytest.approx(41 / 42, abs=1e-3)


def test_a_score_that_runs_backward_is_flattened_never_turned_around():
    truth, score, groups = _cases(400, seed=4)
    found = fit_calibration(1 - truth, score, groups, fitted_on="here", method="platt")
    assert found.a == 0
    assert found(0.1) == found(0.9) == pytest.approx(np.mean(1 - truth), abs=0.01)
    said = "the score does not rank these films; the probability is the same for all"
    assert found.note == said
    steps = fit_calibration(
        np.sort(truth)[::-1], np.sort(score), groups, fitted_on="here", method="isotonic"
    )
    assert (len(set(steps([0.0, 0.5, 1.0]))), steps.note) == (1, said)
    assert fit_calibration(truth, score, groups, fitted_on="here", method="platt").note == ""


def test_the_choice_is_cross_validated_by_patient_with_proper_scores():
    truth, score, groups = _cases(500, a=0.3, b=0.3)
    found = fit_calibration(truth, score, groups, fitted_on="val: 500 films")
    assert [c.method for c in found.choice] == ["identity", "temperature", "platt", "beta"]
    stated = np.empty(500)
    for fit, held in patient_folds(truth == 1, groups.astype(str)):
        assert not set(groups[fit]) & set(groups[held])
        stated[held] = _fit("platt", truth[fit], score[fit])(score[held])
    platt = found.choice[2]
    assert platt.log_loss == pytest.approx(log_loss(truth, stated))
    assert platt.brier == pytest.approx(brier_score_loss(truth, stated))
    assert found.fitted_on == "val: 500 films"
    assert found.prevalence == pytest.approx(truth.mean())


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, "identity"),
        ({"a": 0.3, "b": 0.3}, "temperature"),
        ({"a": 1.0, "b": 1.0, "c": -2.0}, "platt"),
        ({"a": 0.2, "b": 4.0}, "beta"),
    ],
)
def test_the_simplest_method_that_does_as_well_is_taken(numbers, expected):
    truth, score, groups = _cases(900, **numbers)
    assert fit_calibration(truth, score, groups, fitted_on="here").method == expected


def test_isotonic_is_tried_only_where_it_does_not_overfit():
    few = fit_calibration(*_cases(998), fitted_on="here")
    many = fit_calibration(*_cases(1000), fitted_on="here")
    assert "isotonic" not in [c.method for c in few.choice]
    assert "isotonic" in [c.method for c in many.choice]


def test_two_levels_that_no_sigmoid_joins_are_left_to_isotonic():
    rng = np.random.default_rng(0)
    score = rng.random(3000)
    truth = rng.random(3000) < np.select([score < 0.2, score < 0.5], [0.02, 0.5], 0.55)
    found = fit_calibration(truth.astype(float), score, np.arange(3000), fitted_on="here")
    assert found.method == "isotonic"


def test_too_few_patients_give_the_identity_and_say_so():
    truth, score, _ = _cases(400)
    groups = np.where(truth == 1, np.arange(400) % (LEAST_PER_CLASS - 1), 1000 + np.arange(400))
    found = fit_calibration(truth, score, groups, fitted_on="here")
    assert found.method == "identity"
    assert found.note == "19 patients of one class; a calibration needs 20 of each"
    assert found.prevalence is None


def test_a_score_that_is_right_already_keeps_itself_and_knows_its_prevalence():
    found = fit_calibration(*_cases(900), fitted_on="val")
    assert (found.method, found.fitted_on, found.fitted) == ("identity", "val", True)
    assert found.at(found.prevalence, 0.3) == pytest.approx(0.3)
    assert found.at(0.05, 0.3) < 0.3
    nothing = fit_calibration(*_cases(900), fitted_on="val", method="identity")
    assert (nothing.fitted, nothing.fitted_on) == (False, "")


def test_unknown_truths_are_left_out():
    truth, score, groups = _cases(400, a=0.5, b=0.5)
    more = np.r_[truth, np.full(50, np.nan)], np.r_[score, np.full(50, 0.99)], np.arange(450) // 2
    ours = fit_calibration(*more, fitted_on="here", method="platt")
    assert ours == fit_calibration(truth, score, groups, fitted_on="here", method="platt")


def test_the_same_seed_gives_the_same_calibration():
    one, same = (fit_calibration(*_cases(), fitted_on="here", seed=3) for _ in range(2))
    assert one == same


def test_an_unknown_method_and_odd_lengths_are_refused():
    with pytest.raises(ConfigError, match="calibration method 'plat'") as caught:
        fit_calibration(*_cases(), fitted_on="here", method="plat")
    assert caught.value.hint == "did you mean 'platt'?"
    with pytest.raises(CohortError, match="2 truths and 3 scores"):
        fit_calibration([0, 1], [0.1, 0.2, 0.3], [1, 2], fitted_on="here")


def test_log_losses_are_those_of_scikit_learn():
    truth, score, _ = _cases(200)
    assert log_losses(truth == 1, score).mean() == pytest.approx(log_loss(truth, score))


def test_with_sources_each_counts_alike_within_a_class_and_classes_do():
    truth, score, groups = _cases(900, a=0.6, b=0.6, c=-0.7)
    sources = np.array(["large"] * 600 + ["middle"] * 240 + ["small"] * 60)
    counts = {(t, s): np.sum((truth == t) & (sources == s)) for t in (0, 1) for s in set(sources)}
    weight = [1 / counts[t, s] for t, s in zip(truth, sources, strict=True)]
    logit = np.log(score / (1 - score))[:, None]
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logit, truth, sample_weight=weight)
    ours = fit_calibration(truth, score, groups, fitted_on="here", sources=sources, method="platt")
    assert (ours.a, ours.c) == pytest.approx(
        (theirs.coef_[0, 0], theirs.intercept_[0]), abs=0.02
    )  # Platt's correction of the truths is theirs not
    assert ours.prevalence == pytest.approx(0.5)


def test_with_sources_the_method_is_the_one_that_holds_on_a_source_left_out():
    """Within each source the score is far too sure; what is right in one is wrong in another."""
    rng = np.random.default_rng(0)
    parts = []
    for place, shift in enumerate((-1.5, 0.0, 1.5)):
        logit = rng.normal(0, 3, 600)
        truth = rng.random(600) < 1 / (1 + np.exp(-0.4 * logit))
        parts.append((truth, 1 / (1 + np.exp(-(logit + shift))), np.full(600, place)))
    truth, score, sources = (np.concatenate(each) for each in zip(*parts, strict=True))
    found = fit_calibration(
        truth.astype(float), score, np.arange(1800), fitted_on="here", sources=sources
    )
    assert found.method == "temperature"
    assert [each.method for each in found.choice] == ["identity", "temperature", "platt", "beta"]
    for each in found.choice:  # and its loss is that of a fit by hand without the source
        losses = []
        for place in range(3):
            fit = sources != place
            weights = alike(truth[fit], sources[fit].astype(str))
            chance = FITTERS[each.method](truth[fit], score[fit], weights)(score[~fit])
            losses.append(log_losses(truth[~fit], chance))
        weights = alike(truth, sources.astype(str))
        assert each.log_loss == pytest.approx(np.average(np.concatenate(losses), weights=weights))


@pytest.mark.parametrize("wards", [0, 1])
def test_where_too_few_sources_can_be_spared_patients_are_held_out(wards):
    """No method is chosen by the positives alone that are left when a ward cannot be held out."""
    truth, score, groups = _cases(400, a=0.25, b=0.25)
    only = ["a", "b"] if wards else ["the only one with positives"]
    rng = np.random.default_rng(0)
    sources = np.where(truth == 1, rng.choice([*only, "ward"] if wards else only, 400), "ward")
    asked = {"groups": groups, "fitted_on": "here"}
    found = fit_calibration(truth, score, **asked, sources=sources)
    plain = fit_calibration(truth, score, **asked)
    assert "identity" not in (found.method, plain.method)
    assert found.choice[0].log_loss == pytest.approx(plain.choice[0].log_loss, rel=0.2)
    assert (found.sources_alike, plain.sources_alike) == (True, False)

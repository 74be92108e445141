from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression

from hilum.judge.bootstrap import resample
from hilum.judge.metrics import calibration_intercept, calibration_slope


@pytest.fixture(scope="module")
def stated():
    rng = np.random.default_rng(0)
    chance = rng.beta(0.7, 0.7, 300)
    logit = np.log(chance / (1 - chance))
    truth = rng.random(300) < 1 / (1 + np.exp(-(0.6 * logit - 0.8)))
    return truth.astype(float), chance, np.arange(300) // 2


def _logit(chance):
    chance = np.clip(chance, 1e-6, 1 - 1e-6)
    return np.log(chance / (1 - chance))


def test_the_slope_of_every_resample_is_that_of_scikit_learn(stated):
    truth, chance, groups = stated
    weights = np.concatenate(list(resample(groups, folds=20, seed=1)))
    found = calibration_slope(truth, chance, weights)
    for row, slope in zip(weights, found, strict=True):
        fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000)
        fitted.fit(_logit(chance)[:, None], truth, sample_weight=row)
        assert slope == pytest.approx(fitted.coef_[0, 0], abs=1e-4)


def test_the_intercept_of_every_resample_makes_the_mean_right(stated):
    truth, chance, groups = stated
    weights = np.concatenate(list(resample(groups, folds=20, seed=1)))
    for row, intercept in zip(weights, calibration_intercept(truth, chance, weights), strict=True):
        expected = brentq(
            lambda shift, row=row: row @ (1 / (1 + np.exp(-_logit(chance) - shift)) - truth), -9, 9
        )
        assert intercept == pytest.approx(expected, abs=1e-7)


def test_perfect_probabilities_have_slope_1_and_intercept_0():
    rng = np.random.default_rng(0)
    chance = rng.random(60_000)
    truth = rng.random(60_000) < chance
    assert calibration_slope(truth, chance) == pytest.approx(1, abs=0.03)
    assert calibration_intercept(truth, chance) == pytest.approx(0, abs=0.03)


def test_twice_as_confident_is_half_the_slope(stated):
    truth, chance, _ = stated
    chance = np.clip(chance, 0.01, 0.99)
    bold = 1 / (1 + np.exp(-2 * _logit(chance)))
    assert calibration_slope(truth, bold) == pytest.approx(calibration_slope(truth, chance) / 2)


@pytest.mark.parametrize("truth", [np.ones(10), np.zeros(10)])
def test_one_class_has_neither(truth):
    chance = np.linspace(0.1, 0.9, 10)
    assert np.isnan(calibration_slope(truth, chance))
    assert np.isnan(calibration_intercept(truth, chance))
    assert np.isnan(calibration_slope(truth, chance, np.ones((3, 10)))).all()


def test_classes_that_do_not_overlap_have_no_slope_and_one_value_has_none():
    truth = np.r_[np.zeros(20), np.ones(20)]
    assert np.isnan(calibration_slope(truth, np.linspace(0.1, 0.9, 40)))
    assert np.isnan(calibration_slope(truth, np.full(40, 0.3)))
    assert calibration_intercept(truth, np.full(40, 0.3)) == pytest.approx(np.log(0.7 / 0.3))


def test_a_resample_of_one_class_alone_is_undefined(stated):
    truth, chance, _ = stated
    weights = np.stack([np.ones(300), truth])
    found = calibration_slope(truth, chance, weights)
    assert np.isfinite(found[0])
    assert np.isnan(found[1])

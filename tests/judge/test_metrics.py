"""Every metric against scikit-learn: random data, ties, unknown truths and single classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from hilum.judge import metrics as m
from hilum.judge.bootstrap import resample
from hilum.judge.metrics import calibration_intercept, calibration_slope

SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.5, 0.75, 0.9, 1.0])
CASES = st.lists(st.tuples(st.sampled_from([0.0, 1.0, np.nan]), SCORES), max_size=40)


def _split(cases):
    truth = np.array([c[0] for c in cases], float)
    score = np.array([c[1] for c in cases], float)
    known = ~np.isnan(truth)
    return truth, score, truth[known], score[known]


def _same(ours, theirs):
    assert float(ours) == pytest.approx(theirs, abs=1e-12, nan_ok=True)


@given(CASES)
def test_curves_equal_scikit_learn(cases):
    truth, score, known, known_score = _split(cases)
    both = len(set(known)) == 2
    _same(m.auroc(truth, score), sk.roc_auc_score(known, known_score) if both else np.nan)
    some = known.any()
    expected = sk.average_precision_score(known, known_score) if some else np.nan
    _same(m.average_precision(truth, score), expected)


@given(CASES.filter(lambda cases: any(t == t for t, _ in cases)), SCORES)
def test_counts_equal_scikit_learn(cases, threshold):
    truth, score, known, known_score = _split(cases)
    table = m.confusion(truth, score >= threshold)
    called = known_score >= threshold
    tn, fp, fn, tp = sk.confusion_matrix(known, called, labels=[0, 1]).ravel()
    assert (table.true_negative, table.false_positive) == (tn, fp)
    assert (table.false_negative, table.true_positive) == (fn, tp)
    for ours, target in ((table, 1), (table.flipped, 0)):
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            known, called, labels=[target], zero_division=np.nan
        )
        _same(m.precision(ours), precision[0])
        _same(m.sensitivity(ours), recall[0])
        _same(m.f1(ours), f1[0])
    assert float(m.specificity(table)) == pytest.approx(
        float(m.sensitivity(table.flipped)), nan_ok=True
    )


@given(CASES.filter(lambda cases: len({t for t, _ in cases if t == t}) == 2), SCORES)
def test_summaries_equal_scikit_learn(cases, threshold):
    truth, score, known, known_score = _split(cases)
    table = m.confusion(truth, score >= threshold)
    called = known_score >= threshold
    _same(m.accuracy(table), sk.accuracy_score(known, called))
    _same(m.balanced_accuracy(table), sk.balanced_accuracy_score(known, called))
    if len(set(called)) == 2:  # scikit-learn says 0 where the correlation is undefined
        _same(m.mcc(table), sk.matthews_corrcoef(known, called))
    else:
        assert np.isnan(m.mcc(table))


@given(CASES.filter(lambda cases: any(t == t for t, _ in cases)))
def test_brier_and_ece_equal_scikit_learn(cases):
    truth, score, known, known_score = _split(cases)
    _same(m.brier(truth, score), np.mean((known - known_score) ** 2))
    if len(set(known)) == 2:
        _same(m.brier(truth, score), sk.brier_score_loss(known, known_score))
        seen, stated = calibration_curve(known, known_score, n_bins=10)
        edges = np.linspace(0, 1, 11)
        sizes = np.bincount(np.searchsorted(edges[1:-1], known_score), minlength=10)
        expected = np.sum(sizes[sizes > 0] * np.abs(seen - stated)) / known.size
        _same(m.ece(truth, score), expected)


@settings(max_examples=50)
@given(CASES, st.data())
def test_weights_equal_repeating_the_cases(cases, data):
    """The heart of the bootstrap: a weight of two is the same as the case standing twice."""
    truth, score, *_ = _split(cases)
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(cases), max_size=len(cases)))
    weights = np.array([counts, np.ones(len(cases))], float).reshape(2, len(cases))
    again, again_score = np.repeat(truth, counts), np.repeat(score, counts)
    for metric in (m.auroc, m.average_precision, m.brier, m.ece):
        both = metric(truth, score, weights)
        assert both.shape == (2,)
        _same(both[0], float(metric(again, again_score)))
        _same(both[1], float(metric(truth, score)))
    weighted = m.confusion(truth, score >= 0.5, weights)
    repeated = m.confusion(again, again_score >= 0.5)
    for function in (m.sensitivity, m.specificity, m.precision, m.f1, m.mcc, m.balanced_accuracy):
        _same(function(weighted)[0], float(function(repeated)))


def test_predictive_values_at_the_sample_prevalence_are_the_sample_values():
    rng = np.random.default_rng(0)
    truth, called = rng.random(500) < 0.3, rng.random(500) < 0.4
    table = m.confusion(truth, called)
    assert float(m.ppv_at(table, truth.mean())) == pytest.approx(sk.precision_score(truth, called))
    assert float(m.npv_at(table, truth.mean())) == pytest.approx(
        sk.precision_score(~truth, ~called)
    )
    # by hand: sensitivity 0.9, specificity 0.8, prevalence 0.1
    table = m.confusion([1] * 10 + [0] * 10, [1] * 9 + [0] + [1] * 2 + [0] * 8)
    assert float(m.ppv_at(table, 0.1)) == pytest.approx(0.09 / 0.27)
    assert float(m.npv_at(table, 0.1)) == pytest.approx(0.72 / 0.73)


def test_roc_curve_passes_through_the_points_of_scikit_learn():
    rng = np.random.default_rng(1)
    truth, score = rng.random(200) < 0.4, rng.integers(0, 20, 200) / 20
    false, true = m.roc_curve(truth, score)
    expected_false, expected_true, _ = sk.roc_curve(truth, score, drop_intermediate=False)
    np.testing.assert_allclose(false, expected_false, atol=1e-12)
    np.testing.assert_allclose(true, expected_true, atol=1e-12)


def test_precision_recall_curve_has_the_points_of_scikit_learn():
    rng = np.random.default_rng(2)
    truth, score = rng.random(200) < 0.4, rng.integers(0, 20, 200) / 20
    precision, recall = m.precision_recall_curve(truth, score)
    expected_precision, expected_recall, _ = sk.precision_recall_curve(truth, score)
    np.testing.assert_allclose(precision, expected_precision[-2::-1], atol=1e-12)
    np.testing.assert_allclose(recall, expected_recall[-2::-1], atol=1e-12)


def test_without_cases_everything_is_undefined():
    for metric in (m.auroc, m.average_precision, m.brier, m.ece):
        assert np.isnan(metric([], []))
        assert np.isnan(metric([np.nan], [0.5]))
    for metric in (m.sensitivity, m.specificity, m.precision, m.f1, m.accuracy, m.mcc):
        assert np.isnan(metric(m.confusion([], [])))


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


@pytest.mark.parametrize("edge", [0.4, 0.1, 0.01, 0.0])
def test_separated_scores_have_no_slope_however_far_apart(edge):
    """Newton stalls at some number; the slope of most likelihood is infinite."""
    truth = np.r_[np.zeros(72), np.ones(77)]
    chance = np.where(truth == 1, 1 - edge, edge)
    drawn = np.concatenate(list(resample(np.arange(149), folds=20, seed=0)))
    for stated in (chance, 1 - chance):
        assert np.isnan(calibration_slope(truth, stated))
        assert np.isnan(calibration_slope(truth, stated, drawn)).all()


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.2, 0.3, 0.5, 0.6, 0.9])), max_size=9),
    st.integers(0, 9),
)
def test_a_slope_is_given_just_where_no_cut_divides_the_classes(cases, seed):
    """A maximum exists unless a cut leaves each class on a side of its own, edges shared or not
    (Albert and Anderson, Biometrika 1984); the edges are tried one by one."""
    truth = np.array([present for present, _ in cases], bool)
    chance = np.array([stated for _, stated in cases], float)
    weights = np.random.default_rng(seed).integers(0, 3, (4, truth.size)).astype(float)
    for row, slope in zip(weights, calibration_slope(truth, chance, weights), strict=True):
        ones, zeros = chance[truth & (row > 0)], chance[~truth & (row > 0)]
        divided = any(
            ((low <= cut).all() and (high >= cut).all())
            for cut in (0.0, *chance)
            for low, high in ((zeros, ones), (ones, zeros))
        )
        assert np.isnan(slope) == (divided or not ones.size or not zeros.size)


def test_a_steep_slope_of_classes_that_overlap_is_given():
    """Timid to within a thousandth: the slope is past 100, and finite."""
    rng = np.random.default_rng(0)
    chance = 1 / (1 + np.exp(-rng.normal(0, 0.01, 4000)))
    truth = rng.random(4000) < 1 / (1 + np.exp(-120 * _logit(chance)))
    drawn = np.concatenate(list(resample(np.arange(4000), folds=3, seed=0)))
    for row, slope in zip(drawn, calibration_slope(truth, chance, drawn), strict=True):
        fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000)
        fitted.fit(100 * _logit(chance)[:, None], truth, sample_weight=row)
        assert slope == pytest.approx(100 * fitted.coef_[0, 0], rel=1e-4)
        assert slope > 100


def test_classes_that_hardly_overlap_have_the_slope_of_most_likelihood():
    """One pair out of order by a hair: full Newton steps circle the maximum here for good."""
    truth = np.arange(136) % 2
    logit = np.random.default_rng(5179).normal(3 * truth, 0.5)

    def loss(numbers):
        stated = numbers[0] + numbers[1] * (logit - logit.mean())
        return np.sum(np.logaddexp(0, stated) - truth * stated)

    expected = minimize(loss, [0, 1], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    assert expected.success
    assert calibration_slope(truth, 1 / (1 + np.exp(-logit))) == pytest.approx(
        expected.x[1], rel=1e-4
    )

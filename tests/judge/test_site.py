from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from hilum.core.errors import CohortError
from hilum.core.labels import Label
from hilum.judge.decisions import fit_decisions
from hilum.judge.site import LEAST_PATIENTS, MEASURES, fit_site

WHERE = {"label": Label.COVID_19, "fitted_on": "here", "folds": 50}


def _films(patients, shift=0.0, seed=0, share=0.4):
    """Two films a patient, scores whose distribution is shifted."""
    rng = np.random.default_rng(seed)
    truth = np.repeat((rng.random(patients) < share).astype(float), 2)
    logit = rng.normal(-1 + 2 * truth + shift, 1.2)
    return truth, 1 / (1 + np.exp(-logit)), np.repeat(np.arange(patients), 2)


@pytest.fixture(scope="module")
def home():
    return fit_decisions(*_films(400), **WHERE)


def test_a_shifted_site_gets_its_probabilities_and_points_back(home):
    truth, score, groups = _films(300, shift=1.5, seed=1)
    decisions, record = fit_site(truth, score, groups, before=home, **WHERE)
    before, after = record.before, record.after
    assert list(before) == list(after) == list(MEASURES)
    assert before["log_loss"].value == pytest.approx(log_loss(truth, home.calibration(score)))
    assert before["brier"].value == pytest.approx(brier_score_loss(truth, home.calibration(score)))
    ranked = roc_auc_score(truth, score)
    assert before["auroc"].value == after["auroc"].value == pytest.approx(ranked)
    called = score >= home.operating_points[0].threshold
    assert before["specificity"].value == pytest.approx((~called)[truth == 0].mean())
    assert after["log_loss"].high < before["log_loss"].low
    assert (
        abs(after["calibration_intercept"].value) < 0.3 < abs(before["calibration_intercept"].value)
    )
    assert before["coverage_negative"].value < 0.8 < after["coverage_negative"].value
    assert decisions.operating_points[0].threshold > home.operating_points[0].threshold
    assert decisions.operating_points[0].chosen_on == "here"


def test_after_is_judged_without_the_patient_so_noise_gains_nothing(home):
    """Scores that say nothing: fitted on the same films they would seem to help."""
    rng = np.random.default_rng(3)
    groups = np.arange(160)
    truth, score = (groups % 2).astype(float), rng.random(160)
    _, record = fit_site(truth, score, groups, before=home, **WHERE)
    sum_of_both = record.after["sensitivity"].value + record.after["specificity"].value
    assert sum_of_both == pytest.approx(1, abs=0.15)
    assert record.after["log_loss"].value > 0.66


def test_patients_are_counted_not_films(home):
    truth, score, _ = _films(400)
    positives = LEAST_PATIENTS - 1
    groups = np.where(truth == 1, np.arange(800) % positives, 1000 + np.arange(800))
    with pytest.raises(CohortError, match=r"49 positive and .* at least 50 of each"):
        fit_site(truth, score, groups, before=home, **WHERE)
    groups = np.where(truth == 1, np.arange(800) % LEAST_PATIENTS, 1000 + np.arange(800))
    _, record = fit_site(truth, score, groups, before=home, **WHERE)
    assert record.positives == LEAST_PATIENTS


def test_a_bundle_without_sets_says_so_before(home):
    bare = fit_decisions(*_films(8, share=0.5), **WHERE)
    assert bare.conformal is None
    _, record = fit_site(*_films(300), before=bare, **WHERE)
    assert record.before["coverage_positive"].note == "no conformal sets"
    assert record.after["coverage_positive"].value > 0.8

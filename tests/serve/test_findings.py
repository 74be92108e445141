from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.bundle.folder import open_bundle
from hilum.core.errors import ConfigError
from hilum.serve.findings import check_prevalence, choose_points, findings_of, sigmoid


@pytest.fixture(scope="module")
def manifest(small_bundle):
    return open_bundle(small_bundle).manifest


@given(st.floats(-700, 700))
def test_sigmoid_is_the_logistic_function(logit):
    assert sigmoid(np.array(logit)) == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-15)


def test_findings_are_the_labels_in_order(manifest):
    covid, pneumonia = findings_of(manifest, np.array([0.0, -3.0], np.float32), None)
    assert (covid.label, covid.code, covid.score) == ("covid-19", "840539006", 0.5)
    assert covid.present
    assert (covid.operating_point, covid.threshold) == ("balanced", 0.5)
    assert pneumonia.label == "pneumonia"
    assert not pneumonia.present
    assert pneumonia.probability == pneumonia.score
    assert pneumonia.calibration == "identity"


def test_another_operating_point_changes_the_decision_alone(manifest):
    logits = np.array([-1.0, -1.0], np.float32)
    balanced = findings_of(manifest, logits, "balanced")
    sensitive = findings_of(manifest, logits, "sensitive")
    assert [f.present for f in balanced] == [False, False]
    assert [f.present for f in sensitive] == [True, True]
    assert [f.score for f in balanced] == [f.score for f in sensitive]


def test_an_unknown_operating_point_suggests_one(manifest):
    with pytest.raises(ConfigError, match="sensitiv") as caught:
        choose_points(manifest, "sensitiv")
    assert caught.value.hint == "did you mean 'sensitive'?"


@pytest.fixture(scope="module")
def calibrated(calibrated_bundle):
    return open_bundle(calibrated_bundle).manifest


def test_a_reading_states_the_prevalence_of_the_bundle_unless_told_another(calibrated):
    labels = [each.model_copy(update={"prevalence": 0.2}) for each in calibrated.labels]
    sober = calibrated.model_copy(update={"labels": tuple(labels)})
    logits = np.array([1.0, -1.0], np.float32)
    for one, before in zip(
        findings_of(sober, logits, None), findings_of(calibrated, logits, None), strict=True
    ):
        assert (one.prevalence, before.prevalence) == (0.2, 0.4)
        odds, were = (p / (1 - p) for p in (one.probability, before.probability))
        assert odds == pytest.approx(were * (0.2 / 0.8) / (0.4 / 0.6))
        assert (one.score, one.present) == (before.score, before.present)
        assert one.prediction_set == before.prediction_set
    asked, again = (findings_of(each, logits, None, 0.07)[0] for each in (sober, calibrated))
    assert asked == again
    assert asked.prevalence == 0.07


def test_an_old_bundle_has_no_prediction_set(manifest):
    covid, _ = findings_of(manifest, np.array([0.0, 0.0], np.float32), None)
    assert (covid.prediction_set, covid.coverage, covid.prevalence) == (None, None, None)


def test_a_calibrated_finding_says_method_prevalence_and_set(calibrated):
    logits = np.array([0.0, 3.0], np.float32)
    covid, pneumonia = findings_of(calibrated, logits, None)
    assert covid.calibration == "platt"
    assert covid.probability == pytest.approx(1 / (1 + math.exp(0.25)))
    assert covid.prevalence == 0.4
    assert (covid.prediction_set, covid.coverage) == ("indeterminate", 0.9)
    assert pneumonia.prediction_set == "present"


def test_another_prevalence_moves_the_probability_alone(calibrated):
    logits = np.array([0.0, 0.0], np.float32)
    before, _ = findings_of(calibrated, logits, None)
    after, _ = findings_of(calibrated, logits, None, 0.05)
    odds = before.probability / (1 - before.probability) * (0.05 / 0.95) / (0.4 / 0.6)
    assert after.probability == pytest.approx(odds / (1 + odds))
    assert after.prevalence == 0.05
    same = {"probability": 0, "prevalence": None}
    assert after.model_copy(update=same) == before.model_copy(update=same)


def test_a_prevalence_needs_a_calibration_and_a_share(manifest, calibrated):
    with pytest.raises(ConfigError, match="'covid-19': no calibration was fitted"):
        check_prevalence(manifest, 0.05)
    with pytest.raises(ConfigError, match="prevalence 5"):
        check_prevalence(calibrated, 5)
    check_prevalence(manifest, None)


def test_a_label_without_calibration_stays_as_it_is_beside_one_that_is_restated(
    manifest, calibrated
):
    labels = (calibrated.labels[0], manifest.labels[1])
    mixed = calibrated.model_copy(update={"labels": labels})
    assert check_prevalence(mixed, 0.05) == ("pneumonia",)
    assert check_prevalence(calibrated, 0.05) == ()
    with pytest.raises(ConfigError, match="'covid-19': prevalence 5"):
        check_prevalence(mixed, 5)
    logits = np.array([0.0, 1.0], np.float32)
    covid, pneumonia = findings_of(mixed, logits, None, 0.05)
    assert covid == findings_of(calibrated, logits, None, 0.05)[0]
    assert pneumonia == findings_of(manifest, logits, None)[1]
    assert pneumonia.prevalence is None


def test_a_prevalence_is_no_other_labels_where_that_of_covid_cannot_be_stated(manifest, calibrated):
    covid, pneumonia = manifest.labels[0], calibrated.labels[1]
    pneumonia = pneumonia.model_copy(update={"calibration": calibrated.labels[0].calibration})
    for labels in ((covid, pneumonia), (pneumonia, covid)):
        mixed = calibrated.model_copy(update={"labels": labels})
        with pytest.raises(ConfigError, match="'covid-19': no calibration was fitted"):
            check_prevalence(mixed, 0.05)
        logits = np.array([0.2, 0.5], np.float32)
        assert findings_of(mixed, logits, None, 0.05) == findings_of(mixed, logits, None)


def test_one_prevalence_is_that_of_covid_and_keeps_which_answer_is_likelier(calibrated):
    covid, other = calibrated.labels
    other = other.model_copy(update={"calibration": covid.calibration, "prevalence": 0.4})
    covid = covid.model_copy(update={"prevalence": 0.2})
    manifest = calibrated.model_copy(update={"labels": (other, covid)})
    logits = np.array([0.2, 0.5], np.float32)
    usual = {each.label: each for each in findings_of(manifest, logits, None)}
    for asked in (0.01, 0.05, 0.2, 0.6, 0.95):
        found = {each.label: each for each in findings_of(manifest, logits, None, asked)}
        assert found["covid-19"].prevalence == asked
        assert asked < found[other.label].prevalence < 1
        likelier = [each["covid-19"].probability > each[other.label].probability
                    for each in (usual, found)]  # fmt: skip
        assert likelier[0] == likelier[1]
    same = {each.label: each for each in findings_of(manifest, logits, None, 0.2)}
    for label, finding in same.items():
        assert finding.probability == pytest.approx(usual[label].probability)
        assert finding.prevalence == pytest.approx(usual[label].prevalence)


def test_one_prevalence_is_that_of_the_first_label_where_there_is_no_covid(calibrated):
    covid, other = calibrated.labels
    alone = calibrated.model_copy(update={"labels": (other,)})
    (finding,) = findings_of(alone, np.array([0.0], np.float32), None, 0.05)
    assert finding.prevalence == (0.05 if other.calibration.fitted else None)
    lone = calibrated.model_copy(update={"labels": (covid,)})
    assert findings_of(lone, np.array([0.0], np.float32), None, 0.05)[0].prevalence == 0.05

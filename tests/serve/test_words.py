from __future__ import annotations

import pytest

from hilum.bundle.facts import Facts
from hilum.bundle.folder import DEFAULT_BUNDLE
from hilum.core.details import Similar
from hilum.core.reading import Answer, Finding, answer_in
from hilum.serve.words import (
    Doubt,
    answered,
    audit_line,
    doubt,
    headline,
    holds_for,
    honest_line,
    known_labels,
    likelihood,
    trained_on_it,
)


def _finding(probability, prevalence=0.4):
    return Finding(
        label="covid-19",
        logit=0,
        score=0.5,
        probability=probability,
        calibration="platt",
        present=True,
        operating_point="balanced",
        threshold=0.5,
        prevalence=prevalence,
    )


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.0, "exceptionally unlikely"),
        (0.05, "very unlikely"),
        (0.2, "unlikely"),
        (0.5, "about as likely as not"),
        (0.7, "likely"),
        (0.95, "very likely"),
        (1.0, "virtually certain"),
    ],
)
def test_a_probability_in_words(probability, words):
    assert likelihood(_finding(probability)) == words


def test_what_is_not_calibrated_is_not_put_into_words():
    assert likelihood(_finding(0.99, None)) == "not calibrated: a rank, no frequency"
    assert holds_for(_finding(0.99, None)) == "equals the score"
    assert holds_for(_finding(0.99)) == "where 40.0 % have it (platt)"


@pytest.mark.parametrize(("distance", "warned"), [(0.0, True), (0.009, True), (0.0167, False)])
def test_a_film_of_the_training_is_named_as_one(distance, warned):
    similar = Similar(case_id="a", cohort="b", distance=distance, labels={})
    assert ("trained on this film" in trained_on_it((similar,))) is warned


def test_without_similar_films_nothing_is_said_of_the_training():
    assert trained_on_it(()) == ""


def test_labels_of_a_similar_film():
    similar = Similar(case_id="a", cohort="b", distance=0.1, labels={})
    assert known_labels(similar) == "no label known"


def test_a_bundle_says_what_it_was_measured_to_be():
    facts = Facts.read(DEFAULT_BUNDLE)
    audits = {audit.label: audit.verdict for audit in facts.audits}
    line = audit_line(facts)
    assert ("covid-19 failed" in line) == (audits.get("covid-19") == "fail")
    auroc = facts.evaluation.labels[0].metrics["auroc"]
    assert f"{auroc.value:.2f} [{auroc.low:.2f}, {auroc.high:.2f}]" in honest_line(facts)
    assert "on sources left out of training" in honest_line(facts)


def test_a_bundle_that_was_not_measured_says_so(small_bundle):
    facts = Facts.read(small_bundle)
    assert honest_line(facts) == "How far to trust it: not measured."
    assert audit_line(facts) == "Shortcut audit: not audited."


def _said(prediction_set, present, probability, prevalence=0.4):
    changes = {
        "prediction_set": prediction_set, "present": present, "probability": probability,
        "prevalence": prevalence, "coverage": 0.9 if prediction_set else None,
    }  # fmt: skip
    return Finding.model_validate(_finding(0.5).model_dump(exclude={"answer"}) | changes)


SETS = ("present", "absent", "indeterminate", "none", None)


@pytest.mark.parametrize("prevalence", [0.4, None])
@pytest.mark.parametrize("prediction_set", SETS)
@pytest.mark.parametrize("present", [True, False])
def test_the_headline_contradicts_nothing_that_stands_beneath_it(
    prediction_set, present, prevalence
):
    """Every pair of statements on one card, over all probabilities."""
    for thousandth in range(1001):
        finding = _said(prediction_set, present, thousandth / 1000, prevalence)
        said, likely = headline(finding), likelihood(finding)
        other = {"present": "absent", "absent": "present"}.get(said)
        if other is None:
            assert said == "cannot say"
            assert doubt(finding) is not None
            continue
        assert doubt(finding) is None
        assert prediction_set in (said, None)
        assert present is (said == "present")
        if prevalence is not None:
            words = ("likely", "very likely", "virtually certain")
            assert (likely in words) is (said == "present"), likely
            assert likely != "about as likely as not"


def test_why_there_is_no_answer():
    assert doubt(_said("indeterminate", True, 0.9)) is Doubt.INDETERMINATE
    assert doubt(_said("none", True, 0.9)) is Doubt.NONE
    assert doubt(_said("present", True, 0.5)) is Doubt.EVEN
    assert doubt(_said("present", True, 0.05)) is Doubt.DIFFER
    assert doubt(_said("present", False, 0.95)) is Doubt.DIFFER
    assert doubt(_said(None, True, 0.05)) is Doubt.DIFFER
    assert answered(_said("present", True, 0.5)).startswith("cannot say: ")


def test_a_finding_in_json_has_the_answer_that_it_would_have_today():
    finding = _said("present", True, 0.95)
    old = finding.model_dump(mode="json", exclude={"answer"})
    assert answer_in(old) is answer_in(finding.model_dump(mode="json")) is Answer.PRESENT
    first = {key: old[key] for key in ("present", "probability")}  # of schema 1.0
    assert answer_in(first) is Answer.PRESENT

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from hilum.judge.evaluation import evaluate_predictions
from hilum.judge.metrics import ece
from hilum.judge.report import write_report
from hilum.judge.schema import EvaluationSettings

FAST = EvaluationSettings(folds=50, nuisance=False)


@pytest.fixture
def label(predictions):
    return evaluate_predictions(predictions, settings=FAST)["covid-19"]


def test_the_bins_are_those_of_scikit_learn(predictions, label):
    known = predictions.dropna(subset=["truth"])
    seen, stated = calibration_curve(known["truth"], known["score"], n_bins=10)
    bins = label.reliability[0].bins
    assert [b.stated for b in bins] == pytest.approx(stated.tolist())
    assert [b.observed.value for b in bins] == pytest.approx(seen.tolist())
    assert sum(b.observed.n for b in bins) == label.films
    for b in bins:
        assert b.observed.low <= b.observed.value <= b.observed.high or b.observed.n < 3


def test_the_first_row_is_the_panel_and_the_others_are_its_parts(predictions, label):
    whole = label.reliability[0]
    assert whole.where == "all films"
    assert whole.ece == label.metrics["ece"]
    assert whole.slope.value == pytest.approx(label.metrics["calibration_slope"].value)
    assert whole.intercept.value == pytest.approx(label.metrics["calibration_intercept"].value)
    rows = {row.where: row for row in label.reliability}
    assert set(rows) == {
        "all films",
        "within cohort alpha",
        "within cohort beta",
        "within source x",
        "within source y",
    }
    part = predictions.dropna(subset=["truth"]).query("cohort == 'beta'")
    beta = rows["within cohort beta"]
    assert beta.films == len(part)
    assert beta.stated == pytest.approx(part["score"].mean())
    assert beta.observed == pytest.approx(part["truth"].mean())
    assert beta.ece.value == pytest.approx(float(ece(part["truth"], part["score"])))


def test_a_source_of_one_class_has_bins_but_no_slope(predictions):
    predictions.loc[predictions["cohort"] == "alpha", "truth"] = 0
    found = evaluate_predictions(predictions, settings=FAST)["covid-19"]
    alpha = next(row for row in found.reliability if row.where == "within cohort alpha")
    assert np.isnan(alpha.slope.value)
    assert alpha.slope.note == "one class only: every case is negative"
    assert alpha.ece.value == pytest.approx(alpha.stated)


def test_a_source_with_few_of_a_class_has_no_slope_and_a_cohort_of_one_source_is_told_once(
    predictions,
):
    beta = predictions["cohort"] == "beta"
    predictions["source"] = np.where(beta, "the hospital of beta", "alpha")
    positives = predictions.index[beta & (predictions["truth"] == 1)]
    predictions.loc[positives[5:], "truth"] = 0
    rows = {
        row.where: row
        for row in evaluate_predictions(predictions, settings=FAST)["covid-19"].reliability
    }
    assert set(rows) == {"all films", "within cohort alpha", "within cohort beta"}
    assert rows["within cohort beta"].positives == 5
    assert rows["within cohort beta"].slope.note == "fewer than 10 films of a class"
    assert np.isfinite(rows["within cohort alpha"].slope.value)


def test_a_slope_that_is_not_there_has_its_own_reason(predictions):
    """The calls do differ: what is undefined is said of the probabilities."""
    for score, note in (
        (np.where(predictions["truth"] == 1, 0.9, 0.1), "the classes do not overlap"),
        (np.full(len(predictions), 0.3), "every probability is the same"),
    ):
        found = evaluate_predictions(predictions.assign(score=score), settings=FAST)["covid-19"]
        assert found.metrics["calibration_slope"].note == note
        assert found.reliability[0].slope.note == note
        assert np.isfinite(found.metrics["calibration_intercept"].value)
    assert found.metrics["mcc"].note == "every call is the same"


def test_small_parts_are_left_out(predictions):
    settings = FAST.model_copy(update={"min_per_class": 150})
    found = evaluate_predictions(predictions, settings=settings)["covid-19"]
    assert [row.where for row in found.reliability] == ["all films"]


def test_sets_are_counted_where_the_predictions_have_them(predictions, label):
    assert label.sets == ()
    assert label.nominal_coverage is None
    score = predictions["score"]
    said = np.select([score > 0.6, score < 0.4], ["present", "absent"], "indeterminate")
    predictions["prediction_set"] = said
    found = evaluate_predictions(predictions, coverage={"covid-19": 0.9}, settings=FAST)
    counts = found["covid-19"].sets[0]
    known = predictions.dropna(subset=["truth"])
    truth = np.where(known["truth"] == 1, "present", "absent")
    right = (known["prediction_set"] == truth) | (known["prediction_set"] == "indeterminate")
    assert counts.coverage.value == pytest.approx(right.mean())
    assert counts.coverage_positive.value == pytest.approx(right[known["truth"] == 1].mean())
    assert counts.coverage_positive.n == int((known["truth"] == 1).sum())
    expected = (known["prediction_set"] == "indeterminate").mean()
    assert counts.indeterminate.value == pytest.approx(expected)
    assert found["covid-19"].nominal_coverage == 0.9


def test_a_set_that_is_none_of_the_four_is_refused(predictions):
    from hilum.core.errors import CohortError

    predictions["prediction_set"] = "maybe"
    with pytest.raises(CohortError, match="column prediction_set: maybe; expected present, absent"):
        evaluate_predictions(predictions, settings=FAST)


def test_the_page_shows_calibration_and_sets_by_source(predictions, tmp_path):
    predictions["prediction_set"] = "present"
    found = evaluate_predictions(predictions, coverage={"covid-19": 0.9}, settings=FAST)
    text = write_report(found, predictions, tmp_path).read_text()
    assert "nominal coverage 90 %" in text
    assert '<th class="num">Slope</th>' in text
    assert (tmp_path / "covid-19-reliability-by-source.png").stat().st_size > 10_000

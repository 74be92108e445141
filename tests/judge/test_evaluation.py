from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from hilum.core.errors import CohortError, ConfigError
from hilum.judge.evaluation import choose_labels, evaluate_predictions, worst_failures
from hilum.judge.schema import Evaluation, EvaluationSettings, NotRead, Threshold
from hilum.judge.words import headline, of_probability

FAST = EvaluationSettings(folds=50)


def test_every_number_is_that_of_scikit_learn_on_the_known_cases(predictions):
    point = Threshold(name="p", threshold=0.52, chosen_on="val", rule="stated")
    settings = FAST.model_copy(update={"prevalence": 0.2})
    label = evaluate_predictions(
        predictions, operating_points={"covid-19": point}, settings=settings
    )["covid-19"]
    known = predictions.dropna(subset=["truth"])
    truth, called = known["truth"] == 1, known["score"] >= 0.52
    assert label.metrics["auroc"].value == pytest.approx(roc_auc_score(truth, known["score"]))
    precision, recall, f1, support = precision_recall_fscore_support(truth, called)
    for row, *expected in zip(label.classes, precision, recall, f1, support, strict=True):
        found = (row.precision.value, row.recall.value, row.f1.value, row.support)
        assert found == pytest.approx(tuple(expected))
    assert label.films == len(known) == 380
    assert label.unlabelled == 20
    assert label.patients == known["group"].nunique()
    assert label.positives + label.negatives == label.films
    assert label.metrics["sensitivity"].n == label.positives
    assert label.metrics["specificity"].n == label.negatives
    sens, spec = recall[1], recall[0]
    ppv = sens * 0.2 / (sens * 0.2 + (1 - spec) * 0.8)
    assert label.metrics["ppv"].value == pytest.approx(ppv)
    counts = label.counts
    assert counts.true_positive == int((truth & called).sum())
    assert counts.false_negative == int((truth & ~called).sum())
    assert label.reference_standard["RT-PCR"]["positive"] == label.positives
    assert label.reference_standard["unstated"]["negative"] == label.negatives
    for estimate in label.metrics.values():
        assert estimate.low <= estimate.value <= estimate.high


def test_an_evaluation_survives_json_with_null_for_nan(predictions, tmp_path):
    predictions.loc[predictions["truth"] == 0, "truth"] = 1  # one class: AUROC is NaN
    found = evaluate_predictions(
        predictions,
        settings=FAST,
        not_read=[NotRead(case_id="case/x", status="refused", reason="a CT slice")],
    )
    path = tmp_path / "evaluation.json"
    found.write(path)

    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    raw = json.loads(path.read_text(), parse_constant=refuse)
    assert raw["schema_version"] == "1.3"
    assert raw["labels"][0]["metrics"]["auroc"]["value"] is None
    again = Evaluation.load(path)
    assert again.model_dump_json() == found.model_dump_json()
    assert math.isnan(again["covid-19"].metrics["auroc"].value)
    assert again.not_read == found.not_read


def test_a_file_that_is_no_evaluation_is_refused(tmp_path):
    path = tmp_path / "evaluation.json"
    path.write_text('{"schema_version": "9"}')
    with pytest.raises(CohortError, match="not an evaluation"):
        Evaluation.load(path)


def test_the_same_seed_gives_the_same_evaluation(predictions):
    one, same = (evaluate_predictions(predictions, settings=FAST) for _ in range(2))
    assert one.model_dump_json() == same.model_dump_json()


def test_rows_in_another_order_give_the_same_values(predictions):
    shuffled = predictions.sample(frac=1, random_state=1)
    settings = EvaluationSettings(folds=0, nuisance=False)
    one, two = (evaluate_predictions(t, settings=settings) for t in (predictions, shuffled))
    for name, estimate in one["covid-19"].metrics.items():
        assert estimate.value == pytest.approx(two["covid-19"].metrics[name].value)


def test_one_class_says_how_often_it_calls_and_nothing_more(predictions):
    only = predictions[predictions["truth"] == 1]
    label = evaluate_predictions(only, settings=FAST)["covid-19"]
    assert label.metrics["auroc"].note == "one class only: every case is positive"
    assert label.metrics["sensitivity"].n == len(only)
    assert math.isnan(label.metrics["specificity"].value)
    assert label.baseline == ()
    assert "no AUROC can be given" in headline(label, ())[0]


def test_films_are_not_called_patients_where_nobody_gave_them(predictions):
    """Also where a chosen label has as many films as patients that were given."""
    given = evaluate_predictions(predictions.drop_duplicates("group"), settings=FAST)
    label = given["covid-19"]
    assert label.films == label.patients
    said = headline(label, given.not_known)[0]
    assert f"{label.films} films of {label.patients} patients (" in said
    bare = evaluate_predictions(predictions.drop(columns="group"), settings=FAST)
    said = headline(bare["covid-19"], bare.not_known)[0]
    assert "on 380 films (patients are not given; " in said
    assert "380 patients" not in said


def test_a_label_without_any_truth_is_named_and_left_out(predictions):
    other = predictions.assign(label="sars", truth=np.nan)
    both = evaluate_predictions(
        pd_concat(predictions, other), settings=EvaluationSettings(folds=0, nuisance=False)
    )
    assert [label.label for label in both.labels] == ["covid-19"]
    assert any(said.startswith("sars") for said in both.not_known)


def test_what_is_not_known_is_said(predictions):
    said = " ".join(evaluate_predictions(predictions, settings=FAST).not_known)
    for phrase in ("no calibration", "trained on is not recorded", "reference standard", "view"):
        assert phrase in said
    trained = predictions.assign(training="yes")
    said = " ".join(evaluate_predictions(trained, settings=FAST).not_known)
    assert "never seen" in said


def test_labels_are_chosen_by_name():
    assert choose_labels([], ["a", "b"], "here") == ["a", "b"]
    assert choose_labels(["b"], ["a", "b"], "here") == ["b"]
    with pytest.raises(ConfigError, match="label 'c': not in here"):
        choose_labels(["c"], ["a", "b"], "here")


def pd_concat(*tables):
    import pandas as pd

    return pd.concat(tables, ignore_index=True)


def test_the_surest_wrong_readings_come_first() -> None:
    known = pd.DataFrame(
        {
            "case_id": list("abcdef"),
            "source": "s",
            "truth": [1.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            "score": [0.1, 0.15, 0.99, 0.3, 0.1, 0.9],
        }
    )
    found = worst_failures(known, 0.2)
    # c: 0.79 of 0.8 above; a: half the way down; b: a quarter; d: an eighth of the way up
    assert [film.case_id for film in found] == ["c", "a", "b", "d"]
    assert [film.truth for film in found] == [0, 1, 1, 0]
    assert [film.case_id for film in worst_failures(known, 0.2, listed=1)] == ["c"]
    assert worst_failures(known.iloc[4:], 0.2) == ()
    assert worst_failures(known, 0.0)[0].score == 0.99  # a threshold at the edge divides by nothing


def test_one_prevalence_is_that_of_covid_and_the_others_move_by_the_same_odds(predictions):
    both = pd.concat([predictions.assign(label="lung-opacity"), predictions])
    found = evaluate_predictions(both, settings=FAST.model_copy(update={"prevalence": 0.05}))
    opacity, covid = found["lung-opacity"], found["covid-19"]
    assert covid.prevalence == 0.05
    odds = (0.4 / 0.6) * (0.05 / 0.95) / (0.2 / 0.8)  # from two in five, as COVID from one in five
    assert opacity.prevalence == pytest.approx(odds / (1 + odds))
    sens, spec = (covid.metrics[name].value for name in ("sensitivity", "specificity"))
    for label in (covid, opacity):  # the same films, each at its own prevalence
        right, wrong = sens * label.prevalence, (1 - spec) * (1 - label.prevalence)
        assert label.metrics["ppv"].value == pytest.approx(right / (right + wrong))
    assert "prevalence of 12.3% (lung-opacity) and 5.0% (covid-19)" in found.not_known[-1]
    uncalibrated = evaluate_predictions(
        both,
        stated={"lung-opacity": 0.4, "covid-19": None},
        settings=FAST.model_copy(update={"prevalence": 0.05}),
    )
    assert [each.prevalence for each in uncalibrated.labels] == [
        each.prevalence for each in found.labels
    ]
    alone = evaluate_predictions(predictions.assign(label="lung-opacity"), settings=FAST)
    assert alone["lung-opacity"].prevalence == FAST.prevalence
    assert "prevalence of 5.0% that" in alone.not_known[-1]


def test_an_evaluation_from_before_holds_the_one_prevalence_of_its_settings(predictions):
    found = evaluate_predictions(predictions, settings=FAST)
    label = found["covid-19"].model_copy(update={"prevalence": None})
    assert found.prevalence_of(label) == 0.05


@pytest.mark.parametrize(
    ("calibrated", "fitted", "stated", "said"),
    [
        (
            True,
            0.5,
            0.2,
            "a prevalence of 50%, which it was fitted for; a reading states it for 20%",
        ),
        (True, 0.5, 0.5, "a prevalence of 50%, which it was fitted for, as a reading states it"),
        (
            True,
            0.004,
            0.0005,
            "a prevalence of 0.4%, which it was fitted for; a reading states it for 0.05%",
        ),
        (True, None, None, "the one given with the predictions"),
        (False, None, None, ""),
    ],
)
def test_it_is_said_at_which_prevalence_the_probability_is_judged(
    predictions, calibrated, fitted, stated, said
):
    found = evaluate_predictions(
        predictions,
        calibrated=["covid-19"] if calibrated else [],
        fitted={"covid-19": fitted} if fitted else None,
        stated={"covid-19": stated} if stated else None,
        settings=FAST,
    )["covid-19"]
    words = of_probability(found)
    assert said in words
    assert bool(words) == calibrated


def test_a_perfect_evaluation_has_exact_intervals():
    """14 and 17 films, all told right: Clopper-Pearson by scipy, and Bayes' rule on its ends."""
    truth = np.repeat([1.0, 0.0], [14, 17])
    table = pd.DataFrame({"case_id": [f"c{i}" for i in range(31)], "label": "covid-19"})
    table = table.assign(truth=truth, score=0.2 + 0.6 * truth)
    found = evaluate_predictions(table, settings=FAST)["covid-19"].metrics
    low = {n: binomtest(n, n).proportion_ci(0.95, "exact").low for n in (14, 17)}
    assert (found["auroc"].low, found["auroc"].high) == (pytest.approx(low[14]), 1)
    assert "14 pairs" in found["auroc"].note
    assert found["sensitivity"].low == pytest.approx(low[14])
    ppv = low[14] * 0.05 / (low[14] * 0.05 + (1 - low[17]) * 0.95)
    npv = low[17] * 0.95 / (low[17] * 0.95 + (1 - low[14]) * 0.05)
    assert (found["ppv"].value, found["ppv"].low) == (1, pytest.approx(ppv))
    assert (found["npv"].value, found["npv"].low) == (1, pytest.approx(npv))

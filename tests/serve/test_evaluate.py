from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import hilum
from hilum.core.errors import CohortError, ConfigError
from hilum.data.table import read_cases
from hilum.judge.schema import Evaluation, EvaluationSettings
from hilum.serve.evaluate import choose_cases, evaluate, predict
from hilum.serve.reader import load_bundle

FAST = EvaluationSettings(folds=50, min_per_class=5)


@pytest.fixture(scope="module")
def reader(small_bundle):
    return load_bundle(small_bundle)


@pytest.fixture
def cases(split_csv):
    return read_cases(split_csv)


@pytest.fixture(scope="module")
def evaluated(reader, split_csv, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated")
    found = evaluate(
        reader, read_cases(split_csv), out=out, split="test", settings=FAST, progress=False
    )
    return found, out


def test_every_film_is_scored_as_the_reader_reads_it(evaluated, reader, cases):
    """Joined on case_id: each score is that of the film read on its own."""
    _, out = evaluated
    table = pd.read_csv(out / "predictions.csv").set_index("case_id")
    by_id = cases.set_index("case_id")
    assert len(table) == 41
    for case_id, row in table.iterrows():
        alone = reader.read(by_id.loc[case_id, "path"]).findings[0]
        assert row["score"] == pytest.approx(alone.score, abs=1e-6)
        assert row["probability"] == pytest.approx(alone.probability, abs=1e-6)
        truth = by_id.loc[case_id, "covid-19"]
        assert row["truth"] == truth or (math.isnan(row["truth"]) and math.isnan(truth))
        assert row["group"] == by_id.loc[case_id, "group"]


def test_the_numbers_are_those_of_the_predictions(evaluated):
    found, out = evaluated
    table = pd.read_csv(out / "predictions.csv").dropna(subset=["truth"])
    label = found["covid-19"]
    assert label.metrics["auroc"].value == pytest.approx(
        roc_auc_score(table["truth"], table["score"])
    )
    assert 0.5 < label.metrics["auroc"].value < 1
    assert (label.films, label.patients, label.unlabelled) == (40, 20, 1)
    assert label.operating_point.name == "balanced"
    assert label.operating_point.sensitivity.n == 40


def test_the_flow_counts_every_film_and_scores_none_that_was_not_read(evaluated):
    found, _ = evaluated
    steps = [(step.step, step.films) for step in found.flow]
    assert steps == [
        ("Films in the table", 51),
        ("In split 'test'", 43),
        ("Read", 41),
        ("Labelled for covid-19", 40),
    ]
    assert [(film.case_id, film.status) for film in found.not_read] == [
        ("made/49", "refused"),
        ("made/50", "error"),
    ]
    assert all(film.reason for film in found.not_read)


def test_films_that_the_table_calls_lateral_or_ct_are_named_in_the_flow(reader, cases):
    cases.loc[:2, "view"], cases.loc[3, "modality"] = "lateral", "CT"
    settings = EvaluationSettings(folds=0, nuisance=False)
    found = evaluate(reader, cases, settings=settings, progress=False)
    assert found.flow[1].detail == "by the table, among them 3 lateral films and 1 CT slices"


def test_the_nuisance_baseline_is_fitted_on_the_opened_films(evaluated):
    found, _ = evaluated
    row = found["covid-19"].baseline[0]
    assert row.films == 40
    assert not math.isnan(row.baseline.value)


def test_sources_are_told_apart_by_whether_training_saw_them(evaluated):
    found, _ = evaluated
    strata = {(s.column, s.value): s.films for s in found["covid-19"].strata}
    assert strata["training", "yes"] == strata["source", "east"]
    assert strata["training", "no"] == strata["source", "west"]


def test_the_report_says_what_was_evaluated(evaluated, reader):
    found, out = evaluated
    assert reader.bundle.checksum == found.about.checksum
    assert found.about.versions["hilum"] == hilum.__version__
    page = (out / "report.html").read_text(encoding="utf-8")
    for text in (
        reader.bundle.identity,
        reader.bundle.checksum,
        "made/49",
        "nothing: made for tests",
        "onnxruntime",
    ):
        assert text in page
    assert Evaluation.load(out / "evaluation.json").model_dump_json() == found.model_dump_json()
    json.loads((out / "evaluation.json").read_text())


def test_the_named_operating_point_moves_the_call_not_the_score(reader, cases):
    found = {
        name: evaluate(
            reader, cases, split="test", operating_point=name, settings=FAST, progress=False
        )["covid-19"]
        for name in ("balanced", "sensitive")
    }
    assert found["sensitive"].operating_point.threshold == 0.1
    one, two = (found[name].metrics for name in ("balanced", "sensitive"))
    assert two["sensitivity"].value > one["sensitivity"].value
    assert two["auroc"] == one["auroc"]
    with pytest.raises(ConfigError, match="operating point 'brave'"):
        evaluate(reader, cases, split="test", operating_point="brave", progress=False)


def test_prevalence_can_be_stated(reader, cases):
    settings = EvaluationSettings(folds=0, nuisance=False)
    low, high = (
        evaluate(reader, cases, prevalence=p, settings=settings, progress=False)["covid-19"]
        for p in (0.01, 0.5)
    )
    assert low.metrics["ppv"].value < high.metrics["ppv"].value
    with pytest.raises(ConfigError, match="prevalence"):
        evaluate(reader, cases, prevalence=2, progress=False)


def test_the_public_name_is_this_function():
    assert hilum.evaluate is evaluate


def test_labels_are_those_that_both_sides_have(reader, cases):
    both = cases.assign(pneumonia=cases["covid-19"], sars=0.0)
    settings = EvaluationSettings(folds=0, nuisance=False)
    found = evaluate(reader, both, settings=settings, progress=False)
    assert [label.label for label in found.labels] == ["covid-19", "pneumonia"]
    chosen = evaluate(reader, both, labels=["pneumonia"], settings=settings, progress=False)
    assert [label.label for label in chosen.labels] == ["pneumonia"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"drop": "split"}, {"split": "test"}, "no column 'split'"),
        ({}, {"split": "tset"}, "no case in split 'tset'"),
        ({}, {"split": "split="}, "no case in split 'split='"),
        ({"drop": "covid-19"}, {}, "no column 'covid-19'"),
        ({"drop": "path"}, {}, "no column 'path'"),
        ({"blank": "covid-19"}, {}, "every truth is blank"),
        ({}, {"labels": ["pneumonia"]}, "no column 'pneumonia'"),
        ({"nowhere": "path"}, {}, "none of 51 films could be read"),
    ],
)
def test_faults_of_the_table_end_in_one_message(reader, cases, change, options, message):
    if "drop" in change:
        cases = cases.drop(columns=change["drop"])
    if "blank" in change:
        cases[change["blank"]] = np.nan
    if "nowhere" in change:
        cases[change["nowhere"]] = "nowhere.png"
    with pytest.raises(CohortError, match=message) as refused:
        evaluate(reader, cases, settings=FAST, progress=False, **options)
    if message.startswith("no case"):
        assert "test" in refused.value.hint


def test_rows_are_chosen_by_split_or_fold():
    table = pd.DataFrame({"split": ["train", "test", "test"], "fold": [0.0, 1.0, np.nan]})
    assert choose_cases(table, "test").tolist() == [False, True, True]
    assert choose_cases(table, "fold=1").tolist() == [False, True, False]
    assert choose_cases(table, None).all()
    with pytest.raises(CohortError, match="no case in split 'fold=7'"):
        choose_cases(table, "fold=7")


def test_predict_without_nuisance_keeps_no_films(reader, cases):
    found = predict(reader, cases, ["covid-19"], nuisance=False)
    assert not [column for column in found.table if column.startswith("nuisance_")]
    assert len(found.table) + len(found.not_read) == len(cases)


def test_a_label_that_the_bundle_does_not_answer_is_a_wrong_option(reader, cases):
    with pytest.raises(ConfigError, match="label 'sars': not in blocks"):
        evaluate(reader, cases, settings=FAST, labels=["sars"], progress=False)

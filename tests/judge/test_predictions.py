from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hilum.core.errors import CohortError
from hilum.judge.bootstrap import resample
from hilum.judge.evaluation import evaluate_predictions
from hilum.judge.predictions import check_predictions, read_predictions, scored

GOOD = {"case_id": ["a", "b"], "label": "covid-19", "truth": [1, 0], "score": [0.9, 0.1]}


def test_what_may_be_left_out_is_filled():
    table = check_predictions(pd.DataFrame(GOOD | {"patient_id": ["p", np.nan]}))
    assert table["probability"].tolist() == [0.9, 0.1]
    assert table["group"].tolist() == ["p", "b"]
    assert table["view"].tolist() == ["", ""]
    assert table["age_years"].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": [2, 0]}, "column truth: 2"),
        ({"score": [1.5, 0.1]}, "column score: 1.5"),
        ({"score": [np.nan, 0.1]}, "column score: blank"),
        ({"score": ["high", 0.1]}, "column score: 'high'"),
        ({"probability": [-0.1, 0.1]}, "column probability: -0.1"),
        ({"case_id": ["a", "a"]}, "a stands twice"),
        ({"case_id": ["a", " "]}, "column case_id: blank"),
        ({"label": ["covid-19", ""]}, r"row 1 \(b\), column label: blank; expected a label"),
        ({"label": [np.nan, "covid-19"]}, "column label: blank"),
        ({"label": "COVID 19"}, "label 'COVID 19' is not known"),
        ({"label": ["covid-19", "Covid-19"]}, "label 'Covid-19' is not known"),
        ({"label": ["mine", "Mine"]}, "label '[mM]ine' is not known"),
        ({"truth": [np.nan, np.nan]}, "every truth is blank"),
    ],
)
def test_faults_are_refused_with_the_film(change, message):
    with pytest.raises(CohortError, match=message):
        check_predictions(pd.DataFrame(GOOD | change))


def test_a_side_in_capitals_is_refused_and_not_passed_over(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("case_id,label,truth,score,split\na,x,1,0.9,test\nb,x,0,0.1,TEST\n")
    with pytest.raises(CohortError, match=r"row 3 \(b\), column split: TEST; expected train"):
        read_predictions(path, split="test")


def test_a_missing_column_is_named_with_the_nearest():
    table = pd.DataFrame(GOOD).rename(columns={"score": "scores"})
    with pytest.raises(CohortError, match="no column 'score'") as refused:
        check_predictions(table)
    assert "scores" in refused.value.hint


def test_no_rows_and_no_file_are_refused(tmp_path):
    with pytest.raises(CohortError, match="no rows"):
        check_predictions(pd.DataFrame(GOOD).head(0))
    with pytest.raises(CohortError, match=r"gone\.csv"):
        read_predictions(tmp_path / "gone.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(CohortError, match=r"empty\.csv"):
        read_predictions(tmp_path / "empty.csv")


def test_numbers_come_back_from_csv_bit_by_bit(predictions, tmp_path):
    path = tmp_path / "predictions.csv"
    predictions.to_csv(path, index=False)
    pd.testing.assert_series_equal(read_predictions(path)["score"], predictions["score"])


def test_a_score_at_the_threshold_is_called():
    cases = scored(check_predictions(pd.DataFrame(GOOD)), 0.9)
    assert cases.called.tolist() == [True, False]


def test_six_unrelated_films_are_six_patients_and_the_bootstrap_draws_six():
    ids = ["p", "q", "", np.nan, None, "  "]
    six = pd.DataFrame({"case_id": list("abcdef"), "truth": [1, 0] * 3, "score": 0.5})
    found = evaluate_predictions(six.assign(label="covid-19", patient_id=ids))
    assert found["covid-19"].patients == found.flow[0].patients == 6
    table = check_predictions(six.assign(label="covid-19", patient_id=ids))
    drawn = next(resample(table["group"], folds=200, seed=0))
    assert (drawn.sum(axis=1) == 6).all()
    assert len(np.unique(drawn, axis=1).T) == 6  # no two films are always drawn together


def test_ids_of_a_file_stay_as_they_are_written(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(
        "case_id,label,truth,score,patient_id\na,x,1,0.9,001\nb,x,0,0.1,1\nc,x,0,0.2,\n"
    )
    assert read_predictions(path)["group"].tolist() == ["001", "1", "c"]

from __future__ import annotations

import math

import pytest
from sklearn.metrics import roc_auc_score

from hilum.judge.evaluation import evaluate_predictions
from hilum.judge.schema import EvaluationSettings
from hilum.judge.strata import AGE_BANDS, age_band

SETTINGS = EvaluationSettings(folds=20, nuisance=False)


@pytest.fixture
def strata(predictions):
    label = evaluate_predictions(predictions.assign(training="no"), settings=SETTINGS)["covid-19"]
    return {(part.column, part.value): part for part in label.strata}


def test_every_stratum_has_its_own_films_and_auroc(predictions, strata):
    known = predictions.dropna(subset=["truth"])
    for column in ("cohort", "view", "sex"):
        for value, part in known.groupby(column):
            found = strata[column, value or "unknown"]
            assert found.films == len(part)
            expected = roc_auc_score(part["truth"], part["score"])
            assert found.metrics["auroc"].value == pytest.approx(expected)
    ages = [part.films for (column, _), part in strata.items() if column == "age"]
    assert sum(ages) == len(known)
    assert ("training", "no") in strata


def test_a_source_that_is_its_cohort_stands_once(strata):
    assert {value for column, value in strata if column == "source"} == {"x", "y"}


def test_a_small_stratum_gets_the_note_and_only_what_its_films_bear(predictions):
    known = predictions[predictions["truth"] == 1].assign(view="AP")
    few = predictions[predictions["truth"] == 0].head(9).assign(view="AP")
    import pandas as pd

    label = evaluate_predictions(pd.concat([known, few]), settings=SETTINGS)["covid-19"]
    part = next(p for p in label.strata if p.value == "AP")
    assert part.negatives == 9
    assert math.isnan(part.metrics["auroc"].value)
    assert "fewer than 10" in part.metrics["specificity"].note
    assert part.metrics["sensitivity"].n == len(known)
    assert not math.isnan(part.metrics["sensitivity"].low)


def test_age_bands_meet_without_gap():
    assert [age_band(age) for age in (0, 17.9, 18, 39, 64, 65, 101)] == [
        AGES[0], AGES[0], AGES[1], AGES[1], AGES[2], AGES[3], AGES[3]
    ]  # fmt: skip


AGES = list(AGE_BANDS)

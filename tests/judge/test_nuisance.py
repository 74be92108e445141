from __future__ import annotations

import math

import numpy as np
import pytest

from hilum.judge.metrics import auroc
from hilum.judge.nuisance import nuisance_baseline, nuisance_scores, score_others
from hilum.judge.predictions import check_predictions
from hilum.judge.schema import EvaluationSettings
from hilum.judge.words import headline

SETTINGS = EvaluationSettings(folds=50)


def _data(n=300, shift=2.0, seed=0):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, n // 2, n).astype(str)
    truth = np.array([int(g) % 2 == 0 for g in groups])
    features = rng.normal(0, 1, (n, 3))
    features[:, 0] += shift * truth
    return features, truth, groups


def test_a_feature_that_tells_the_class_is_found():
    features, truth, groups = _data()
    assert auroc(truth, nuisance_scores(features, truth, groups)) > 0.85


def test_a_class_in_the_middle_of_a_feature_is_found_as_well():
    """A straight line would see nothing: positives lie between the negatives."""
    features, truth, groups = _data(shift=0.0)
    features[:, 0] = np.where(truth, 0, np.where(np.arange(truth.size) % 2 == 0, -2, 2))
    assert auroc(truth, nuisance_scores(features, truth, groups)) > 0.95


def test_noise_stays_near_chance_since_no_patient_is_on_both_sides():
    """Features that name the patient: with patients on both sides this would be near 1."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 8).astype(str)
    truth = np.repeat(rng.random(60) < 0.5, 8)
    features = np.repeat(rng.normal(0, 1, (60, 3)), 8, axis=0)
    assert 0.2 < auroc(truth, nuisance_scores(features, truth, groups)) < 0.75


def test_too_few_patients_of_a_class_is_nan():
    features, truth, groups = _data(20)
    assert np.isnan(nuisance_scores(features, truth, np.where(truth, "one", groups))).all()


def test_the_same_seed_gives_the_same_scores():
    data = _data()
    np.testing.assert_array_equal(nuisance_scores(*data, seed=3), nuisance_scores(*data, seed=3))


def test_it_stands_beside_the_model_on_all_films_and_within_each_part(predictions):
    rows, note = nuisance_baseline(check_predictions(predictions), SETTINGS)
    assert note == ""
    assert [row.where for row in rows] == [
        "all films", "within cohort alpha", "within cohort beta", "within source x",
        "within source y",
    ]  # fmt: skip
    for row in rows:
        assert row.difference.value == pytest.approx(row.model.value - row.baseline.value)
        assert row.difference.low < row.difference.value < row.difference.high


def test_without_columns_or_with_one_class_it_says_why(predictions):
    table = check_predictions(predictions)
    plain = table.drop(columns=[c for c in table if c.startswith("nuisance_")])
    assert nuisance_baseline(plain, SETTINGS) == ((), "the predictions have no nuisance columns")
    positive = table[table["truth"] == 1]
    assert nuisance_baseline(positive, SETTINGS) == ((), "it needs films of both classes")


def test_a_model_that_does_no_better_is_told_so(predictions):
    from hilum.judge.evaluation import evaluate_predictions

    noise = np.random.default_rng(0).normal(0, 0.1, len(predictions))
    shortcut = predictions.assign(score=np.clip(predictions["nuisance_mean"] + noise, 0, 1))
    said = " ".join(headline(evaluate_predictions(shortcut, settings=SETTINGS)["covid-19"], ()))
    assert "not shown to do better: its AUROC may come from the sources of the films alone" in said


@pytest.mark.parametrize(
    ("cohort", "source", "known"),
    [("here", "here", True), ("", "here", True), ("here", "", False), ("", "", False)],
)
def test_films_of_one_source_do_not_owe_it_to_their_sources(predictions, cohort, source, known):
    from hilum.judge.evaluation import evaluate_predictions

    noise = np.random.default_rng(0).normal(0, 0.1, len(predictions))
    shortcut = predictions.assign(score=np.clip(predictions["nuisance_mean"] + noise, 0, 1))
    alike = shortcut.assign(cohort=cohort, source=source)
    said = " ".join(headline(evaluate_predictions(alike, settings=SETTINGS)["covid-19"], ()))
    assert ("may come from size, brightness and borders alone" in said) is known
    assert ("may come from the sources" in said) is not known


@pytest.mark.real_data
def test_the_shortcut_of_the_real_collections_is_found(data_root):
    """The README of the data: 0.98 over all collections, 0.69 within one that has both classes.

    With the sizes of the upstream files, which tell collections apart best.
    """
    import pandas as pd

    from hilum.image.nuisance import nuisance_features
    from hilum.image.open import open_radiograph

    manifest = pd.read_csv(data_root / "manifest.csv", dtype={"patient_id": str})
    manifest = manifest[manifest["covid"].notna() & manifest["original_width"].notna()]
    manifest = manifest[~manifest["view"].isin(["CT Axial", "CT Coronal"])]
    manifest = manifest[manifest["source"] != "originals"]  # some are refused: colour, truncated
    features = pd.DataFrame(
        [nuisance_features(open_radiograph(data_root / path)) for path in manifest["path"]]
    )
    width, height = (manifest[f"original_{s}"].to_numpy() for s in ("width", "height"))
    features["log_megapixels"] = np.log(width * height / 1e6)
    features["log_aspect"] = np.log(width / height)
    features["long_side"] = np.maximum(width, height)
    truth = manifest["covid"].to_numpy() == 1
    groups = manifest["patient_id"].fillna(manifest["path"]).to_numpy(dtype=str)
    numbers = features.to_numpy(float)
    pooled = float(auroc(truth, nuisance_scores(numbers, truth, groups)))
    inside = (manifest["source"] == "covid-chestxray-dataset").to_numpy()
    within = float(
        auroc(truth[inside], nuisance_scores(numbers[inside], truth[inside], groups[inside]))
    )
    assert pooled == pytest.approx(0.98, abs=0.02)
    assert within == pytest.approx(0.69, abs=0.05)
    assert not math.isnan(within)


def test_others_are_scored_by_what_was_fitted_elsewhere():
    features, truth, _ = _data(shift=2.0)
    rest, answers, _ = _data(shift=2.0, seed=1)
    scores = score_others(features, truth, rest)
    assert auroc(answers, scores) > 0.85
    assert ((scores > 0) & (scores < 1)).all()
    assert auroc(answers, score_others(features, ~truth, rest)) < 0.15

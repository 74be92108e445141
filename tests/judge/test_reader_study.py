"""The analysis of reader studies beside scikit-learn, and beside a formula written out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, recall_score, roc_auc_score

from hilum.judge.reader_study import difference, fleiss, kappa, reader_figures, together

FILMS, READERS = 60, 4


@pytest.fixture(scope="module")
def study():
    """Readers of different skill; some are unsure, some films have no truth."""
    draw = np.random.default_rng(3)
    truth = draw.integers(0, 2, FILMS).astype(float)
    skill = np.linspace(15, 40, READERS)[:, None]
    ratings = np.clip(50 + skill * (2 * truth - 1) + draw.normal(0, 30, (READERS, FILMS)), 0, 100)
    calls = (ratings > 50).astype(float)
    calls[draw.random((READERS, FILMS)) < 0.1] = np.nan
    ratings[draw.random((READERS, FILMS)) < 0.05] = np.nan
    truth[-3:] = np.nan
    patients = np.arange(FILMS) // 2
    return ratings.round(), calls, truth, patients


def test_one_reader_is_as_scikit_learn_has_it(study):
    ratings, calls, truth, patients = study
    found = reader_figures(calls[0], ratings[0], truth, patients, folds=200)
    known = ~np.isnan(calls[0]) & ~np.isnan(truth)
    rated = ~np.isnan(ratings[0]) & ~np.isnan(truth)
    expected = {
        "sensitivity": recall_score(truth[known], calls[0][known]),
        "specificity": recall_score(truth[known], calls[0][known], pos_label=0),
        "auc": roc_auc_score(truth[rated], ratings[0][rated]),
    }
    assert {name: each.value for name, each in found.items()} == pytest.approx(expected)
    for each in found.values():
        assert each.low < each.value < each.high
    both = ~np.isnan(calls[0]) & ~np.isnan(calls[1])
    pair = kappa(calls[0], calls[1], patients, folds=0)["kappa"].value
    assert pair == pytest.approx(cohen_kappa_score(calls[0][both], calls[1][both]))


def _fleiss(table):
    """Fleiss, Psychological Bulletin 1971: table[i][j] raters chose j of film i."""
    films, raters = len(table), sum(table[0])
    shares = [sum(row[j] for row in table) / (films * raters) for j in range(len(table[0]))]
    alike = [(sum(n * n for n in row) - raters) / (raters * (raters - 1)) for row in table]
    chance = sum(share**2 for share in shares)
    return (sum(alike) / films - chance) / (1 - chance)


def test_fleiss_is_the_formula(study):
    _, calls, _, patients = study
    whole = calls[:, ~np.isnan(calls).any(0)]
    table = [[int((column == value).sum()) for value in (0, 1)] for column in whole.T]
    found = fleiss(calls, patients, folds=200)
    assert found.value == pytest.approx(_fleiss(table))
    assert found.n == len(table)
    assert found.low < found.value < found.high
    assert fleiss(calls[:1], patients).note == "fewer than two readers"
    assert "one answer only" in fleiss(np.ones((2, FILMS)), patients).note
    assert fleiss(np.full((2, FILMS), np.nan), patients).note == "no films"


def test_together_is_the_mean_over_readers(study):
    ratings, calls, truth, patients = study
    found = together(calls, ratings, truth, patients, folds=300)
    alone = [
        reader_figures(*each, truth, patients, folds=300)
        for each in zip(calls, ratings, strict=True)
    ]
    for name, each in found.items():
        assert each.value == pytest.approx(np.mean([one[name].value for one in alone]))
        assert each.low < each.value < each.high
    one = together(calls[:1], ratings[:1], truth, patients, folds=300)["auc"]
    assert one.value == pytest.approx(alone[0]["auc"].value)
    # a single reader cannot be drawn otherwise: the interval is that over patients
    assert (one.low, one.high) == pytest.approx(
        (alone[0]["auc"].low, alone[0]["auc"].high), abs=0.05
    )


def test_other_readers_widen_the_interval(study):
    """Readers who differ in skill: an interval over patients alone would be too narrow."""
    ratings, calls, truth, patients = study
    worst = np.where(np.isnan(truth), ratings, 100 - ratings)
    mixed = np.concatenate([ratings[:3], worst[:3]]), np.concatenate([calls[:3], 1 - calls[:3]])
    alike = np.concatenate([ratings[:3]] * 2), np.concatenate([calls[:3]] * 2)
    wide = together(mixed[1], mixed[0], truth, patients, folds=300)["auc"]
    narrow = together(alike[1], alike[0], truth, patients, folds=300)["auc"]
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_few_readers_do_not_stand_for_others(study):
    """Below five the interval over readers covers far less than 95 %: over patients alone then."""
    ratings, calls, truth, patients = study
    worst = np.where(np.isnan(truth), ratings, 100 - ratings)
    some = np.concatenate([ratings[:1], worst[1:2]] * 2 + [ratings[:1]])
    said = np.concatenate([calls[:1], 1 - calls[1:2]] * 2 + [calls[:1]])
    four, five = (together(said[:n], some[:n], truth, patients, folds=300)["auc"] for n in (4, 5))
    assert four.note == "fewer than 5 readers: the interval is over patients alone"
    assert five.note == ""
    assert 0 < 2 * (four.high - four.low) < five.high - five.low
    before = calls[0], ratings[0]
    one = difference(calls[1], ratings[1], before, truth, patients, folds=100)
    assert {each.note for each in one.values()} == {""}, "one reader's interval is over patients"


def test_a_difference_is_paired(study):
    ratings, calls, truth, patients = study
    better = np.where(np.isnan(truth), ratings, np.clip(ratings + 30 * (2 * truth - 1), 0, 100))
    surer = np.where(np.isnan(ratings), np.nan, (better > 50).astype(float))
    surer[0, :20] = better[0, :20] = np.nan  # not judged again
    before = calls, ratings
    found = together(surer, better, truth, patients, before=before, folds=200)
    one = difference(surer[0], better[0], (calls[0], ratings[0]), truth, patients, folds=200)
    known = ~np.isnan(truth) & ~np.isnan(ratings[0]) & ~np.isnan(better[0])
    expected = roc_auc_score(truth[known], better[0][known]) - roc_auc_score(
        truth[known], ratings[0][known]
    )
    assert one["auc"].value == pytest.approx(expected)
    assert found["auc"].low > 0
    same = together(calls, ratings, truth, patients, before=before, folds=50)
    assert [each.value for each in same.values()] == [0, 0, 0]


def test_n_of_all_readers_is_that_of_each_column(study):
    """Of sensitivity the positive films that anybody called, of specificity the negative ones."""
    ratings, calls, truth, patients = study
    calls = calls.copy()
    calls[:, 0] = np.nan  # everybody is unsure of it, and rates it all the same
    found = together(calls, ratings, truth, patients, folds=0)
    called = ~np.isnan(calls).all(0)
    assert found["sensitivity"].n == (called & (truth == 1)).sum()
    assert found["specificity"].n == (called & (truth == 0)).sum()
    assert found["auc"].n == (~np.isnan(truth)).sum()
    one, alone = (
        together(calls[:1], ratings[:1], truth, patients, folds=0),
        reader_figures(calls[0], ratings[0], truth, patients, folds=0),
    )
    for name in ("sensitivity", "specificity"):
        assert one[name].n == alone[name].n
    positive = np.ones_like(truth)
    assert (
        together(calls, ratings, positive, patients, folds=0)["specificity"].note == "no negatives"
    )

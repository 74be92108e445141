from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from hilum.judge.neighbors import NEAREST, PLACES, agreement, nearest_shares


def _table(films=120, seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, films).astype(float)
    cohort = np.where(generator.random(films) < 0.5, "a", "b")
    return pd.DataFrame(
        {"truth": truth, "cohort": cohort, "group": [f"p{i}" for i in range(films)]}
    )


def _found(rows, distance, where):
    (one,) = [r for r in rows if (r.distance, r.where) == (distance, where)]
    return one


def test_nearest_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    asked, known = generator.normal(size=(20, 6)), generator.normal(size=(50, 6))
    shares = nearest_shares(asked, known, np.ones((20, 50), bool))
    _, expected = NearestNeighbors(n_neighbors=NEAREST).fit(known).kneighbors(asked)
    for row, near in zip(shares, expected, strict=True):
        assert set(np.flatnonzero(row)) == set(near)
        assert row.sum() == pytest.approx(1)


def test_neighbors_that_are_not_allowed_do_not_count():
    allowed = np.zeros((1, 4), bool)
    allowed[0, 3] = True
    shares = nearest_shares(np.zeros((1, 2)), np.arange(8.0).reshape(4, 2), allowed)
    assert shares.tolist() == [[0, 0, 0, 1]]
    assert nearest_shares(np.zeros((1, 2)), np.ones((4, 2)), allowed & False).sum() == 0


def test_agreement_tells_a_space_of_labels_from_one_of_collections():
    table = _table()
    generator = np.random.default_rng(1)
    noise = generator.normal(size=(len(table), 3)) * 0.1
    spaces = {
        "labels": np.c_[table["truth"] * 5, noise],
        "collections": np.c_[(table["cohort"] == "a") * 5.0, noise],
    }
    asked = np.arange(len(table)) < 40
    rows = agreement(spaces, table, asked, ~asked, folds=50)
    for where in PLACES:
        assert _found(rows, "labels", where).label.value == 1
        assert 0.3 < _found(rows, "collections", where).label.value < 0.7
    assert _found(rows, "collections", "anywhere").collection.value == 1
    assert 0.35 < _found(rows, "labels", "anywhere").collection.value < 0.65
    assert _found(rows, "any film", "anywhere").label.value == pytest.approx(0.5)


def test_films_of_the_same_patient_and_of_unknown_truth_are_left_out():
    table = _table(40)
    table["group"] = [f"p{i % 20}" for i in range(40)]  # film i and film i + 20: one patient
    table.loc[39, "truth"] = np.nan
    space = {"copies": np.r_[np.eye(20), np.eye(20)]}
    asked = np.arange(40) < 20
    (row,) = [
        r
        for r in agreement(space, table, asked, ~asked, folds=0)
        if (r.distance, r.where) == ("copies", "anywhere")
    ]
    assert row.label.n == 20
    assert row.patients == 20


def test_films_of_the_same_patient_are_not_among_the_neighbors():
    groups, truth = ["p0", "p0", "p1", "p2", "p2", "p3"], [1.0, 1, 0, 0, 0, 1]
    table = pd.DataFrame({"truth": truth, "cohort": "a", "group": groups})
    asked = np.array([True, False, False] * 2)
    rows = agreement({"all alike": np.ones((6, 1))}, table, asked, ~asked, folds=0)
    # one of three strangers is of the same class; with their own patient it were two of four
    assert _found(rows, "all alike", "anywhere").label.value == pytest.approx(1 / 3)

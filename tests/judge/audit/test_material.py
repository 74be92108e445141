from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hilum.judge.audit.limits import AuditLimits
from hilum.judge.audit.material import Material, auroc_within, sites
from hilum.judge.predictions import check_predictions


def made(n=120, *, seed=0, **columns):
    """A table of two sources of which each has both classes; score = noise unless given."""
    rng = np.random.default_rng(seed)
    table = {
        "case_id": [f"c{i}" for i in range(n)],
        "label": "covid-19",
        "truth": np.arange(n) % 2,
        "score": rng.random(n),
        "cohort": "made",
        "source": np.where(np.arange(n) % 4 < 2, "east", "west"),
    }
    return check_predictions(pd.DataFrame(table | columns))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 2)), min_size=2))
def test_the_auroc_within_sources_counts_the_pairs_of_one_source(rows):
    truth = np.array([row[0] for row in rows])
    score = np.array([float(row[1]) for row in rows])
    strata = np.array([str(row[2]) for row in rows])
    pairs = [
        (score[i] > score[j]) + 0.5 * (score[i] == score[j])
        for i in np.flatnonzero(truth)
        for j in np.flatnonzero(~truth)
        if strata[i] == strata[j]
    ]
    found = auroc_within(truth, score, strata, np.ones((1, truth.size)))[0]
    assert np.isnan(found) if not pairs else found == pytest.approx(np.mean(pairs))


def test_pooled_is_the_auroc_of_sklearn_and_one_source_within_is_pooled():
    table = made(source="one")
    material = Material(table, 0.5, folds=50)
    expected = roc_auc_score(table["truth"], table["score"])
    assert material.pooled().value == pytest.approx(expected)
    assert material.within().value == pytest.approx(expected)


def test_a_look_up_of_the_source_is_blind_within_sources():
    source = np.where(np.random.default_rng(1).random(300) < 0.5, "east", "west")
    truth = np.random.default_rng(2).random(300) < np.where(source == "east", 0.8, 0.2)
    material = Material(
        made(300, source=source, truth=truth.astype(int), score=(source == "east") * 0.5), 0.5
    )
    assert material.pooled().value > 0.75
    assert material.within().value == 0.5


def test_a_perfect_auroc_has_an_exact_interval():
    found = Material(made(40, score=np.arange(40) % 2 * 0.5, source="one"), 0.5).pooled()
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 20))


def test_small_sources_count_with_their_cohort():
    source = np.array(["journal"] * 10 + ["hospital"] * 110)
    material = Material(made(source=source), 0.5, limits=AuditLimits(source_films=30))
    assert set(material.source) == {"made", "hospital"}
    table = pd.DataFrame(
        {"source": ["big"] * 200 + ["tiny"] * 3 + [None], "cohort": ["a"] * 200 + ["b"] * 4}
    )
    assert set(sites(table, AuditLimits())) == {"big", "b"}

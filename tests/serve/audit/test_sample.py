from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hilum.core.errors import CohortError
from hilum.data.table import arrange
from hilum.serve.audit.run import audit
from hilum.serve.audit.sample import allot, sample


@pytest.fixture
def cases():
    rows = []
    for cohort, positives, negatives in (("large", 100, 400), ("small", 12, 0), ("both", 40, 40)):
        for i in range(positives + negatives):
            truth = float(i < positives)
            patient = f"{cohort}/p{i // 4}"
            rows.append((f"{cohort}/{i}", "x.png", cohort, cohort, patient, truth))
    columns = ["case_id", "path", "cohort", "source", "patient_id", "covid-19"]
    table = pd.DataFrame(rows, columns=columns)
    table.loc[0, "covid-19"] = np.nan
    return arrange(table)


def test_films_are_spread_over_cohort_and_class(cases):
    chosen = sample(cases, "covid-19", 100, seed=0)
    cells = chosen.groupby(["cohort", "covid-19"]).size()
    assert len(chosen) == 100
    assert cells["small", 1] == 12
    assert cells.drop(("small", 1)).to_numpy().tolist() == [22, 22, 22, 22]


def test_patients_take_turns_and_weights_stand_for_the_table(cases):
    chosen = sample(cases, "covid-19", 100, seed=0)
    large = chosen[(chosen["cohort"] == "large") & (chosen["covid-19"] == 0)]
    assert large["patient_id"].is_unique
    weights = chosen.groupby(["cohort", "covid-19"])["weight"].sum()
    assert weights["large", 0] == pytest.approx(400)
    assert weights["large", 1] == pytest.approx(99)


def test_the_same_seed_takes_the_same_films_in_any_order(cases):
    shuffled = arrange(cases.sample(frac=1, random_state=1))
    one, two = (set(sample(t, "covid-19", 60, seed=5)["case_id"]) for t in (cases, shuffled))
    assert one == two
    assert one != set(sample(cases, "covid-19", 60, seed=6)["case_id"])


def test_zero_takes_all_and_unknown_truths_never_come(cases):
    chosen = sample(cases, "covid-19", 0, seed=0)
    assert len(chosen) == len(cases) - 1
    assert (chosen["weight"] == 1).all()
    with pytest.raises(CohortError, match="no column 'sars'"):
        sample(cases, "sars", 10, seed=0)


def test_allot_never_gives_more_than_there_is():
    sizes = np.array([5, 0, 7])
    assert allot(sizes, 100).tolist() == [5, 0, 7]
    assert allot(sizes, 3).sum() == 3


def test_the_flow_of_an_audit_counts_the_table_then_the_split(cases):
    """As that of an evaluation does."""
    cases["split"] = np.where(cases["cohort"] == "large", "train", "test")
    rng = np.random.default_rng(0)
    scores = cases[["case_id"]].assign(score=rng.random(len(cases)))
    asked = {"scores": scores, "only": ["calibration"], "max_films": 0, "folds": 20}
    for split, chosen, known in (("test", 92, 92), (None, 592, 591)):
        found = audit(cases=cases, split=split, threshold=0.5, progress=False, **asked)
        assert [(step.step, step.films) for step in found.flow] == [
            ("Films in the table", 592),
            (f"In split '{split}'" if split else "Chosen: all", chosen),
            ("Known for covid-19", known),
            ("All taken", known),
            ("Scored", known),
        ]

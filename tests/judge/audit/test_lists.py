from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hilum.core.errors import CohortError
from hilum.data.adapters.covidx import read_covidx_list
from hilum.judge.audit.lists import ListLimits, audit_lists


def side(rows, prefix):
    table = pd.DataFrame(rows, columns=["source", "covid-19", "patient_id"])
    names = [f"{prefix}{i}.png" for i in range(len(table))]
    return table.assign(case_id=names, path=names)


def honest(prefix):
    rows = [(s, t, f"{prefix}{s}{t}{i}") for s in "ab" for t in (0, 1) for i in range(10)]
    return side(rows, prefix)


def test_a_split_whose_sources_hold_both_classes_passes():
    found = audit_lists(honest("train"), honest("test"), label="covid-19")
    assert found.passed
    assert found.lookup_auroc == 0.5
    assert (found.shared, found.lookup_films) == (40, 40)


def test_classes_of_different_sources_are_looked_up():
    rows = [("clinic", 1, f"p{i}") for i in range(10)] + [("old", 0, f"q{i}") for i in range(10)]
    test = [("clinic", 1, f"r{i}") for i in range(5)] + [("old", 0, f"s{i}") for i in range(5)]
    found = audit_lists(side(rows, "a"), side(test, "b"), label="covid-19")
    assert not found.passed
    assert (found.lookup_right, found.lookup_balanced, found.shared) == (10, 1.0, 0)
    assert audit_lists(
        side(rows, "a"), side(test, "b"), label="covid-19", limits=ListLimits(lookup=1)
    ).passed


def test_a_patient_and_a_file_on_both_sides_are_named():
    train, test = honest("train"), honest("test")
    test.loc[0, "patient_id"] = train.loc[3, "patient_id"]
    test.loc[0, "path"] = train.loc[5, "path"]
    found = audit_lists(train, test, label="covid-19")
    assert found.patients == (train.loc[3, "patient_id"],)
    assert found.files == ("a/train5.png",)
    assert [check.passed for check in found.checks] == [True, False, False]


def test_a_source_that_train_lacks_is_looked_up_by_the_whole():
    train, test = honest("train"), honest("test").assign(source="new")
    found = audit_lists(train, test, label="covid-19")
    assert {row.source: row.says for row in found.sources}["new"] == "unknown in train"
    assert found.lookup_auroc == 0.5


def test_unknown_labels_are_left_out_and_a_side_without_any_is_refused():
    train = honest("train")
    train.loc[:9, "covid-19"] = np.nan
    assert audit_lists(train, honest("test"), label="covid-19").sources[0].train_negative == 0
    with pytest.raises(CohortError, match="no film has a known"):
        audit_lists(train.assign(**{"covid-19": np.nan}), train, label="covid-19")
    with pytest.raises(CohortError, match="no column 'sars'"):
        audit_lists(train, train, label="sars")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("version", "right", "films", "patients"),
    [("7B", 166, 200, ("covidx/actmed/ANON191",)), ("8B", 400, 400, ()), ("9B", 400, 400, ())],
)
def test_the_published_lists_of_covidx_fail(data_root, version, right, films, patients):
    folder = data_root / "covidx-lists"
    sides = [
        read_covidx_list(folder / f"{name}_COVIDx{version}.txt", name).cases
        for name in ("train", "test")
    ]
    found = audit_lists(*sides, label="covid-19")
    assert not found.passed
    assert (found.lookup_right, found.lookup_films) == (right, films)
    assert found.patients == patients

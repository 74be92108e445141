"""Whose film is it: one answer, in every room."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

import hilum
from hilum.core.case import owner_of, patients_in


def films(**columns: object) -> pd.DataFrame:
    table = pd.DataFrame(columns)
    return table.assign(case_id=[f"c{n}" for n in range(len(table))])


def test_six_films_four_without_patient_are_six_people() -> None:
    six = films(patient_id=["p", "q", "", np.nan, None, "  "], cohort="a", group="")
    assert owner_of(six).tolist() == ["a/p", "a/q", "c2", "c3", "c4", "c5"]


def test_the_group_goes_before_the_patient_and_the_patient_before_the_film() -> None:
    table = films(patient_id=["a/p", "a/q", "a/r", ""], group=["a/p", "a/p", " ", np.nan])
    assert owner_of(table).tolist() == ["a/p", "a/p", "a/r", "c3"]
    assert owner_of(table[["case_id"]]).tolist() == ["c0", "c1", "c2", "c3"]


def test_a_number_is_nobody_elses_because_other_patients_are_blank() -> None:
    whole = films(patient_id=[1234567, 1234568])
    with_blank = films(patient_id=[1234567, 1234568, np.nan])
    assert owner_of(whole).tolist() == owner_of(with_blank).tolist()[:2] == ["1234567", "1234568"]


def test_an_id_in_capitals_or_with_a_point_and_zero_is_no_other_person() -> None:
    table = films(
        patient_id=["Pat1", "PAT1", "a/pat1", "17", "17.0", 17.0, "a/17.0", "1.2.0", "1.2"],
        cohort="a",
    )
    assert owner_of(table).tolist() == ["a/PAT1"] * 3 + ["a/17"] * 4 + ["a/1.2.0", "a/1.2"]


def test_equal_ids_of_two_cohorts_are_two_people_unless_the_id_names_its_cohort() -> None:
    table = films(patient_id=["1", "1", "a/1", "a/1"], cohort=["a", "b", "a", "b"])
    assert owner_of(table).tolist() == ["a/1", "b/1", "a/1", "a/1"]
    linked = table.assign(group=["g", "g", "", ""])
    assert set(owner_of(linked)) == {"a/1"}  # a/1 is linked with b/1


def test_a_film_that_is_called_like_a_patient_is_not_that_patients() -> None:
    table = pd.DataFrame({"case_id": ["1", "2", "3"], "patient_id": ["2", "", ""]})
    assert owner_of(table).nunique() == 3


def test_rows_of_one_film_and_blank_groups_of_one_patient_stay_together() -> None:
    twice = pd.DataFrame({"case_id": ["a", "a", "b"], "label": ["x", "y", "x"]})
    assert owner_of(twice).tolist() == ["a", "a", "b"]
    half = films(patient_id=["p", "p", "q", "r"], group=["g", "", "g", ""])
    assert owner_of(half).tolist() == ["g", "g", "g", "r"]


@given(st.lists(st.tuples(*[st.sampled_from(["", "1", "2", "3"])] * 2), max_size=9))
def test_owners_are_the_connected_components(rows: list[tuple[str, str]]) -> None:
    table = films(patient_id=[p for p, _ in rows], group=[f"g{g}" if g else "" for _, g in rows])
    names = sorted({*(f"p{p}" for p, _ in rows if p), *(f"g{g}" for _, g in rows if g)})
    links = [
        (row, len(rows) + names.index(name))
        for row, (p, g) in enumerate(rows)
        for name in (f"p{p}" if p else "", f"g{g}" if g else "")
        if name
    ]
    size = len(rows) + len(names)
    graph = coo_matrix(
        (np.ones(len(links)), ([a for a, _ in links], [b for _, b in links])), (size, size)
    )
    component = connected_components(graph, directed=False)[1][: len(rows)] if rows else []
    owner = owner_of(table).to_numpy()
    assert (np.equal.outer(owner, owner) == np.equal.outer(component, component)).all()


def test_the_order_of_the_rows_does_not_matter() -> None:
    table = films(patient_id=["p", "p", "q", "q", ""], group=["g", "h", "h", "i", "z"])
    backward = owner_of(table[::-1])
    assert owner_of(table).tolist() == ["g", "g", "g", "g", "z"]
    pd.testing.assert_series_equal(owner_of(table), backward.sort_index())


def test_no_room_has_a_rule_of_its_own() -> None:
    """Nobody else falls back from group to patient, or counts a column that may be blank."""
    rules = re.compile(
        r"""(\["group"\]|\.group)\s*(\.where|\.mask|or\b)|\["patient_id"\](\.nunique|\.where)"""
    )
    source = Path(hilum.__file__).parent
    offenders = [
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if path.name != "case.py" and rules.search(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


def test_patients_that_no_adapter_could_name_are_not_given() -> None:
    unknown = films(patient_id=["a/unknown-x/1.png", "a/unknown-2.png", "", None])
    assert patients_in(unknown) is None
    assert patients_in(films(patient_id=["a/unknown-1", "a/unknown-2", "a/p", "a/p"])) == 3

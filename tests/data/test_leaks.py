from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.core.errors import CohortError, LeakageError
from hilum.data.cohorts import read_cohort
from hilum.data.leaks import Leak, check_leaks, raise_on_leak


def cases(**columns: list[object]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    base = {
        "case_id": [f"c{n}" for n in range(count)],
        "patient_id": [f"p{n}" for n in range(count)],
    }
    return pd.DataFrame(base | columns)


def pairs(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["case_id_a", "case_id_b", "kind"]).assign(distance=0.0)


def test_a_clean_split_has_no_leak() -> None:
    clean = cases(patient_id=["x", "x", "y"], split=["train", "train", "test"])
    assert check_leaks(clean, pairs(("c0", "c1", "exact"))) == []
    raise_on_leak([])


def test_a_patient_on_both_sides_is_named_with_both_cases() -> None:
    leaky = cases(patient_id=["x", "y", "x", "x"], split=["train", "train", "test", "test"])
    leaks = check_leaks(leaky)
    assert leaks == [Leak("patient", "x", "split", "c0", "train", "c2", "test")]
    with pytest.raises(LeakageError, match=r"patient x.*'split': c0 \(train\) and c2 \(test\)$"):
        raise_on_leak(leaks)


def test_three_sides_are_three_leaks_and_the_error_counts_them() -> None:
    leaky = cases(patient_id=["x"] * 3, split=["train", "val", "test"])
    leaks = check_leaks(leaky)
    assert {(leak.side_a, leak.side_b) for leak in leaks} == {
        ("train", "val"),
        ("train", "test"),
        ("val", "test"),
    }
    with pytest.raises(LeakageError, match=r"\(and 2 more\)"):
        raise_on_leak(leaks)


def test_a_duplicate_on_both_sides_is_found_with_its_kind() -> None:
    leaks = check_leaks(cases(split=["train", "test", "test"]), pairs(("c0", "c2", "near")))
    assert leaks == [Leak("duplicate", "near", "split", "c0", "train", "c2", "test")]
    assert "near duplicate on both sides" in str(leaks[0])


def test_a_group_is_named_where_no_single_patient_explains_it() -> None:
    linked = cases(
        patient_id=["x", "y", "z"], group=["g", "g", "h"], split=["train", "test", "val"]
    )
    assert [(leak.kind, leak.key) for leak in check_leaks(linked)] == [("group", "g")]
    same = cases(patient_id=["x", "x"], group=["g", "g"], split=["train", "test"])
    assert [leak.kind for leak in check_leaks(same)] == ["patient"]


def test_blank_sides_and_blank_patients_leak_nothing() -> None:
    blank = cases(patient_id=["x", "x", "", ""], split=["train", "", "train", "test"])
    assert check_leaks(blank, pairs(("c0", "c1", "exact"))) == []


def test_folds_are_compared_as_numbers() -> None:
    folds = cases(patient_id=["x", "x", "y", "y"], fold=[1.0, 1, 2, np.nan])
    assert check_leaks(folds) == []
    leaks = check_leaks(folds.assign(fold=[1.0, 3.0, 2.0, 2.0]))
    assert [(leak.column, leak.side_a, leak.side_b) for leak in leaks] == [("fold", "1", "3")]


def test_both_columns_are_checked() -> None:
    leaky = cases(patient_id=["x", "x"], split=["train", "test"], fold=[1, 2])
    assert [leak.column for leak in check_leaks(leaky)] == ["split", "fold"]


def test_what_cannot_be_checked_is_an_error() -> None:
    with pytest.raises(CohortError, match="no column split or fold") as caught:
        check_leaks(cases(case_id=["a"]))
    assert "hilum cohort split" in caught.value.hint
    with pytest.raises(CohortError, match="no column patient_id"):
        check_leaks(cases(split=["train"]).drop(columns="patient_id"))
    with pytest.raises(CohortError, match="not in the table"):
        check_leaks(cases(split=["train"]), pairs(("c0", "c9", "near")))


@pytest.mark.real_data
def test_covidx_7b_has_a_patient_on_both_sides_and_8b_has_none(data_root: Path) -> None:
    root = data_root / "covidx-lists"
    leaks = check_leaks(read_cohort("covidx", root, version="7B").cases)
    assert [(leak.kind, leak.key.endswith("/ANON191")) for leak in leaks] == [("patient", True)]
    assert {leaks[0].side_a, leaks[0].side_b} == {"train", "test"}
    assert check_leaks(read_cohort("covidx", root, version="8B").cases) == []


def test_a_group_without_patients_leaks_too() -> None:
    linked = cases(patient_id=["", ""], group=["g", "g"], split=["train", "test"])
    assert [(leak.kind, leak.key) for leak in check_leaks(linked)] == [("group", "g")]


def test_equal_ids_of_two_hospitals_are_no_leak() -> None:
    two = cases(patient_id=["1", "1"], cohort=["a", "b"], split=["train", "test"])
    assert check_leaks(two) == []
    assert len(check_leaks(two.assign(cohort="a"))) == 1


def test_a_patient_whose_group_is_blank_in_one_row_leaks() -> None:
    half = cases(patient_id=["x", "x", "y"], group=["g", "", "g"], split=["val", "val", "test"])
    assert [(leak.kind, leak.key) for leak in check_leaks(half)] == [("group", "g")]

"""Every adapter keeps one contract."""

from __future__ import annotations

import inspect
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.case import COLUMNS, LABEL_COLUMNS
from hilum.core.errors import CohortError
from hilum.data.cohort import Cohort
from hilum.data.cohorts import COHORTS, option_from_text, options_of, read_cohort
from hilum.data.table import check_cases, merge_cases, read_cases, write_cases

from .trees import made, read

TABLES = {".csv", ".tsv", ".txt", ".json"}


@pytest.mark.parametrize("name", COHORTS)
def test_contract(name, tmp_path):
    cohort = read(name, tmp_path)
    cases = cohort.cases
    assert isinstance(cohort, Cohort)
    assert cohort.name == name
    assert cohort.films == len(cases) >= 2
    assert list(cases.columns)[: len(COLUMNS)] == list(COLUMNS)
    labels = [column for column in cases.columns if column in LABEL_COLUMNS]
    assert labels
    assert not cases[labels].isna().all().any(), "a label that no film has is no column"
    check_cases(cases, name)
    assert set(cases["cohort"]) == {name}
    assert cases["patient_id"].str.contains("/").all(), "patients are unique across cohorts"
    assert all(Path(path).is_absolute() for path in cases["path"])
    there = [Path(path).is_file() for path in cases["path"]]
    assert all(there) or name == "covidx"
    masks = [path for path in cases["lung_mask"] if path]
    assert all(Path(path).is_file() for path in masks)


@pytest.mark.parametrize("name", COHORTS)
def test_contract_of_names(name, tmp_path):
    parameters = inspect.signature(COHORTS[name]).parameters
    assert next(iter(parameters)) == "root"
    assert parameters["name"].default == name
    cohort = read(name, tmp_path, name="mine")
    assert cohort.name == "mine"
    assert cohort.cases["case_id"].str.startswith("mine/").all()
    assert set(cohort.cases["cohort"]) == {"mine"}


@pytest.mark.parametrize("name", COHORTS)
def test_contract_of_the_table(name, tmp_path):
    cases = read(name, tmp_path).cases
    write_cases(cases, tmp_path / "cases.csv")
    pd.testing.assert_frame_equal(read_cases(tmp_path / "cases.csv"), cases)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    return {name: made(name, tmp_path_factory.mktemp(name)) for name in COHORTS}


@pytest.mark.parametrize("name", COHORTS)
@settings(max_examples=40)
@given(data=st.data())
def test_contract_of_damaged_tables(name, trees, data):
    """Bytes that were lost or changed in a table: a cohort that is valid, or an error of ours."""
    tables = sorted(path for path in trees[name].rglob("*") if path.suffix.lower() in TABLES)
    path = data.draw(st.sampled_from(tables or [trees[name] / "none.csv"]))
    sound = path.read_bytes() if path.is_file() else b"path"
    start = data.draw(st.integers(0, len(sound)))
    end = start + data.draw(st.integers(0, 5))
    path.write_bytes(sound[:start] + data.draw(st.binary(max_size=4)) + sound[end:])
    try:
        check_cases(read_cohort(name, trees[name]).cases, name)
    except CohortError as error:
        assert error.message  # noqa: PT017
    finally:
        path.write_bytes(sound)


@pytest.mark.parametrize("name", COHORTS)
def test_contract_of_an_empty_folder(name, tmp_path):
    with pytest.raises(CohortError) as caught:
        read_cohort(name, tmp_path)
    assert str(tmp_path) in caught.value.message
    with pytest.raises(CohortError, match="no such folder"):
        read_cohort(name, tmp_path / "none")


def test_every_cohort_merges_with_every_other(tmp_path):
    tables = []
    for name in COHORTS:
        (tmp_path / name).mkdir()
        tables.append(read(name, tmp_path / name).cases)
    merged = merge_cases(tables, list(COHORTS))
    check_cases(merged, "all")
    assert merged["cohort"].nunique() == len(COHORTS)


def test_an_unknown_adapter_or_option_gets_a_hint(tmp_path):
    with pytest.raises(CohortError) as caught:
        read_cohort("kermani", tmp_path)
    assert caught.value.hint == "did you mean 'kermany'?"
    with pytest.raises(CohortError, match="has no option 'versoin'") as caught:
        read_cohort("covidx", tmp_path, versoin="7B")
    assert caught.value.hint == "did you mean 'version'?"
    assert option_from_text("covidx", "version", "9") == "9"
    with pytest.raises(CohortError, match="whole number"):
        option_from_text("bimcv-covid19", "days", "two")
    assert options_of("covidx") == ["name", "version"]

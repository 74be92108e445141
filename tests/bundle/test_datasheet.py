from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.bundle.datasheet import Datasheet, describe_data
from hilum.core.errors import BundleError

LABEL = "covid-19"


def test_counts_agree_with_pandas(cases: pd.DataFrame) -> None:
    data = describe_data(cases, [LABEL])
    assert data.flow.read == data.flow.kept == len(cases)
    for side in data.sides:
        films = cases[cases["split"] == side.name]
        assert (side.films, side.patients) == (len(films), films["patient_id"].nunique())
        counts = films[LABEL].value_counts(dropna=False)
        assert list(side.labels[LABEL]) == [counts[1.0], counts[0.0], counts[float("nan")]]
    ours = next(each for each in data.collections if each.name == "ours")
    assert ours.standards["unstated"] == int(
        ((cases["cohort"] == "ours") & (cases["reference_standard"] == "")).sum()
    )
    women = cases[(cases["sex"] == "F") & (cases["cohort"] == "ours")]
    assert data.films("view", sex="F", cohort="ours") == women["view"].value_counts().to_dict()
    assert data.films("age")["under 18 years"] == int((cases["age_years"] == 17).sum())


def test_a_linked_group_counts_as_one_patient(cases: pd.DataFrame) -> None:
    linked = cases.assign(group=["one"] * 10 + [""] * 230)
    before, after = (
        sum(side.patients for side in describe_data(table, [LABEL]).sides)
        for table in (cases, linked)
    )
    assert before - after == 5 - 1


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["F", "M", ""]), st.integers(0, 90)),
        min_size=1,
        max_size=30,
    ),
    left_out=st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 9)),
)
def test_every_film_stands_in_one_cell(
    rows: list[tuple[str, str, int]], left_out: dict[str, int]
) -> None:
    table = pd.DataFrame(rows, columns=["cohort", "sex", "age_years"])
    table = table.assign(case_id=range(len(rows)), patient_id="p", split="train", **{LABEL: 1.0})
    data = describe_data(table, [LABEL], left_out=left_out)
    assert sum(cell.films for cell in data.cells) == len(rows)
    assert data.flow.read == len(rows) + sum(left_out.values())


def test_a_sheet_that_does_not_add_up_is_refused(full_bundle: Path) -> None:
    path = full_bundle / "data.json"
    values = json.loads(path.read_text())
    values["cells"][0][-1] += 1
    path.write_text(json.dumps(values))
    with pytest.raises(BundleError, match="cells hold 241 films; 240 were kept"):
        Datasheet.read(path)


def test_it_names_no_film_and_no_patient(full_bundle: Path) -> None:
    text = (full_bundle / "data.json").read_text()
    assert "made/" not in text
    assert '"p1"' not in text

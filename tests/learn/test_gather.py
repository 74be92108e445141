from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.core.errors import CohortError, ConfigError, LeakageError
from hilum.data.leaks import check_leaks
from hilum.data.split import SplitSpec
from hilum.data.table import write_cases
from hilum.learn.gather import gather_cases, select
from hilum.learn.recipe import Data, Recipe

MakeCases = Callable[..., pd.DataFrame]
DEFAULT = Path(__file__).parents[2] / "recipes" / "labels.toml"


def data(**values: object) -> Data:
    return Data.parse({"cases": "cases.csv"} | values, where="test")


def test_each_filter_counts_what_it_takes(make_cases: MakeCases) -> None:
    cases = make_cases(20)
    cases.loc[[0, 1], "modality"] = ["CT", ""]
    cases.loc[[2, 3], "view"] = ["lateral", ""]
    cases.loc[[4, 5], "age_years"] = [17.0, np.nan]
    cases.loc[6, "covid-19"] = np.nan
    left, counts = select(cases, data(), seed=0)
    assert counts == {
        "not an X-ray": 1,
        "view not wanted": 1,
        "younger than 18 years": 1,
        "no label known": 1,
    }
    assert set(cases["case_id"]) - set(left["case_id"]) == {f"made/{i}" for i in (0, 2, 4, 6)}


def test_what_is_unknown_can_be_left_out_too(make_cases: MakeCases) -> None:
    cases = make_cases(10)
    cases.loc[0, "view"] = ""
    cases.loc[1, "age_years"] = np.nan
    strict = data(keep_unknown_view=False, keep_unknown_age=False, views=["PA"])
    left, _ = select(cases, strict, seed=0)
    assert left["case_id"].tolist() == [f"made/{i}" for i in range(2, 10)]
    everyone, counts = select(cases, data(min_age_years=None), seed=0)
    assert (len(everyone), counts) == (10, {})


def test_films_per_cohort_draws_with_the_seed(make_cases: MakeCases) -> None:
    cases = make_cases(40).assign(cohort=["a"] * 30 + ["b"] * 10)
    few = data(films_per_cohort=12)
    left, counts = select(cases, few, seed=3)
    assert left["cohort"].value_counts().to_dict() == {"a": 12, "b": 10}
    assert counts == {"beyond films_per_cohort": 18}
    again, _ = select(cases, few, seed=3)
    other, _ = select(cases, few, seed=4)
    assert left["case_id"].tolist() == again["case_id"].tolist() != other["case_id"].tolist()


def test_a_label_that_no_collection_gives_and_an_empty_choice_are_errors(
    make_cases: MakeCases,
) -> None:
    with pytest.raises(CohortError, match="no collection gives the label sars"):
        select(make_cases(4), data(labels=["sars"]), seed=0)
    with pytest.raises(CohortError, match="no films are left; left out"):
        select(make_cases(4), data(views=["AP"]), seed=0)


def test_a_table_with_a_split_is_taken_as_it_stands(make_cases: MakeCases, tmp_path: Path) -> None:
    cases = make_cases(20)
    write_cases(cases, tmp_path / "cases.csv")
    gathered = gather_cases(data(cases=str(tmp_path / "cases.csv")), SplitSpec(), None)
    assert gathered.cases["split"].tolist() == cases["split"].tolist()


def test_a_side_that_training_does_not_know_is_refused_and_a_blank_one_counted(
    make_cases: MakeCases, tmp_path: Path
) -> None:
    cases = make_cases(20)
    write_cases(
        cases.assign(split=["training", "training", *cases["split"][2:]]), tmp_path / "cases.csv"
    )
    with pytest.raises(CohortError, match="made/0: split 'training'") as refused:
        gather_cases(data(cases=str(tmp_path / "cases.csv")), SplitSpec(), None, progress=False)
    assert refused.value.hint == "did you mean 'train'?"
    write_cases(cases.assign(split=["", *cases["split"][1:]]), tmp_path / "cases.csv")
    found = gather_cases(data(cases=str(tmp_path / "cases.csv")), SplitSpec(), None, progress=False)
    assert len(found.cases) == 19
    assert found.left_out == {"on no side of the split": 1}


def test_a_table_without_one_is_split_by_patient_and_duplicate(
    make_cases: MakeCases, tmp_path: Path
) -> None:
    cases = make_cases(40).drop(columns=["split", "group"])
    copied = Path(cases["path"][39])
    copied.write_bytes(Path(cases["path"][0]).read_bytes())
    cases.loc[39, "covid-19"] = 1.0
    write_cases(cases, tmp_path / "cases.csv")
    spec = SplitSpec(fractions=(0.6, 0.2, 0.2))
    gathered = gather_cases(data(cases=str(tmp_path / "cases.csv")), spec, None, progress=False)
    assert gathered.duplicates >= 1
    found = gathered.cases.set_index("case_id")
    assert found.loc["made/0", "group"] == found.loc["made/39", "group"]
    assert check_leaks(gathered.cases) == []
    assert set(found["split"]) == {"train", "val", "test"}


def test_folds_and_collections_without_a_root_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="makes folds"):
        gather_cases(data(), SplitSpec(kind="folds"), None)
    named = Data.parse({"cohorts": [{"name": "openist", "folder": "OpenIST"}]}, where="test")
    with pytest.raises(ConfigError, match="not the folder"):
        gather_cases(named, SplitSpec(), None)
    with pytest.raises(CohortError, match="no such folder"):
        gather_cases(named, SplitSpec(), tmp_path)


@pytest.mark.real_data
def test_the_default_recipe_leaves_no_ct_no_lateral_and_no_child(data_root: Path) -> None:
    recipe = Recipe.load(DEFAULT)
    few = recipe.data.model_copy(update={"films_per_cohort": 20})
    gathered = gather_cases(few, recipe.split, data_root, progress=False)
    cases = gathered.cases
    assert len(set(cases["cohort"])) == 6
    assert set(cases["modality"]) <= {"X-ray", ""}
    assert set(cases["view"]) <= {"PA", "AP", "AP supine", ""}
    assert not (cases["age_years"] < 18).any()
    assert cases[["covid-19", "pneumonia"]].notna().any(axis=1).all()
    assert check_leaks(cases) == []


def test_a_table_split_before_is_searched_for_copies(make_cases: MakeCases, tmp_path: Path) -> None:
    cases = make_cases(20)
    film = cv2.imread(cases["path"][0], cv2.IMREAD_GRAYSCALE)  # of train
    cv2.imwrite(cases["path"][8], film)  # of test, another patient
    path = tmp_path / "cases.csv"
    write_cases(cases, path)
    with pytest.raises(LeakageError, match=r"duplicate .* made/0 \(train\) and made/8 \(test\)"):
        gather_cases(data(cases=str(path)), SplitSpec(), None, progress=False)
    clean = cases[cases["case_id"] != "made/8"]
    write_cases(clean, path)
    gathered = gather_cases(data(cases=str(path)), SplitSpec(), None, progress=False)
    assert (len(gathered.cases), gathered.duplicates) == (19, 0)

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.errors import CohortError, ConfigError
from hilum.data.leaks import check_leaks
from hilum.data.split import SplitSpec, cases_fingerprint, fold_names, make_split


def made(films: int, patients: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Three sources that differ in how often the label is 1, and some films without a label."""
    rng = np.random.default_rng(seed)
    person = np.arange(films) if patients is None else rng.integers(0, patients, films)
    source = np.array(["north", "south", "west"])[person % 3]
    positive = rng.random(person.max() + 1)[person] < 0.2 + 0.25 * (person % 3)
    label = np.where(person % 11 == 0, np.nan, positive.astype(float))
    return pd.DataFrame(
        {
            "case_id": [f"c{n:05d}" for n in range(films)],
            "path": "film.png",
            "cohort": np.where(source == "west", "two", "one"),
            "source": source,
            "patient_id": [f"p{n}" for n in person],
            "covid-19": label,
        }
    )


tables = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b", "c", "d", "e", "f", "g", "h"]),
        st.sampled_from(["north", "south", "west"]),
        st.sampled_from([1.0, 0.0, np.nan]),
        st.sampled_from(["", "k", "l"]),
    ),
    min_size=1,
    max_size=40,
)
specs = st.sampled_from(
    [
        SplitSpec(),
        SplitSpec(fractions=(0.5, 0.5, 0.0), seed=3),
        SplitSpec(kind="folds", folds=3),
        SplitSpec(kind="leave-one-out", by="source"),
        SplitSpec(kind="leave-one-out", by="source", held_out="north"),
    ]
)


@pytest.mark.filterwarnings("ignore:.*have no patient_id")
@settings(max_examples=80, deadline=None)
@given(tables, specs)
def test_groups_never_straddle(rows: list[tuple[str, str, float, str]], spec: SplitSpec) -> None:
    cases = pd.DataFrame(rows, columns=["patient_id", "source", "covid-19", "group"])
    cases = cases.assign(case_id=[f"c{n}" for n in range(len(cases))], path="x", cohort="made")
    try:
        split = make_split(cases, spec)
    except (CohortError, ConfigError):
        return  # too few patients of a class, or of sources; other tests hold these
    assert check_leaks(split) == []
    assert check_leaks(split.assign(group=cases["group"])) == []
    column = "split" if "split" in split else "fold"
    placed = split[~split[column].isin(["", np.nan])]
    assert placed.groupby("group")[column].nunique().le(1).all()
    pd.testing.assert_frame_equal(
        split[["patient_id", "case_id"]], cases[["patient_id", "case_id"]]
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(60, 400), st.integers(0, 5), st.integers(0, 9))
def test_fractions_hold_when_groups_are_small(films: int, table: int, seed: int) -> None:
    spec = SplitSpec(fractions=(0.6, 0.2, 0.2), seed=seed)
    split = make_split(made(films, patients=films // 2, seed=table), spec)["split"]
    share = split.value_counts(normalize=True)
    for name, wanted in zip(("train", "val", "test"), spec.fractions, strict=True):
        assert share[name] == pytest.approx(wanted, abs=0.02 + 3 / films)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9), specs)
def test_the_order_of_rows_does_not_matter_and_the_seed_decides(seed: int, spec: SplitSpec) -> None:
    cases = made(150, patients=90)
    column = "split" if spec.kind == "holdout" or spec.held_out else "fold"
    once = make_split(cases, spec).set_index("case_id")[column]
    again = make_split(cases.sample(frac=1, random_state=seed), spec).set_index("case_id")[column]
    pd.testing.assert_series_equal(once, again.sort_index())


def test_another_seed_gives_another_split() -> None:
    cases = made(150)
    one, two = (make_split(cases, SplitSpec(seed=seed))["split"] for seed in (0, 1))
    assert (one != two).mean() > 0.2


def test_labels_keep_their_proportion_in_every_source() -> None:
    split = make_split(made(1200, patients=800), SplitSpec())
    share = pd.crosstab([split["source"], split["covid-19"]], split["split"], normalize="index")
    assert share["train"].between(0.66, 0.74).all()
    assert share["test"].between(0.12, 0.18).all()


def test_folds_are_as_even_as_those_of_scikit_learn() -> None:
    model_selection = pytest.importorskip("sklearn.model_selection")
    cases = made(600, patients=300)
    ours = make_split(cases, SplitSpec(kind="folds", folds=5))
    cell = cases["covid-19"].map(str) + cases["source"]
    theirs = pd.Series(0, index=cases.index)
    divider = model_selection.StratifiedGroupKFold(5, shuffle=True, random_state=0)
    for fold, (_, test) in enumerate(divider.split(cases, cell, cases["patient_id"]), start=1):
        theirs.iloc[test] = fold
    assert sorted(ours["fold"].unique()) == [1.0, 2.0, 3.0, 4.0, 5.0]
    unevenness = [pd.crosstab(cell, fold).std(axis=1).mean() for fold in (ours["fold"], theirs)]
    assert unevenness[0] <= unevenness[1] * 1.2


def test_many_small_sources_do_not_all_fall_into_train() -> None:
    cases = made(300).assign(source=[f"site {n}" for n in range(300)])
    share = make_split(cases, SplitSpec())["split"].value_counts(normalize=True)
    assert share["test"] == pytest.approx(0.15, abs=0.03)


def test_large_groups_do_not_all_fall_into_train() -> None:
    cases = made(600).assign(
        patient_id=[f"p{n}" for n in [*np.repeat(range(30), 10), *range(30, 330)]]
    )
    split = make_split(cases, SplitSpec())
    large = split["patient_id"].map(split["patient_id"].value_counts()) == 10
    assert split[large]["split"].value_counts(normalize=True)["test"] == pytest.approx(
        0.15, abs=0.08
    )


def test_leave_one_out_makes_a_fold_of_each_and_leaves_films_of_two_sources_out() -> None:
    cases = made(30)
    cases.loc[[0, 3, 1], "patient_id"] = "spans"  # two films of north, one of south
    spec = SplitSpec(kind="leave-one-out", by="source")
    split = make_split(cases, spec)
    assert fold_names(cases, spec) == {1: "north", 2: "south", 3: "west"}
    assert list(split["fold"].iloc[:6]) == pytest.approx([1, np.nan, 3, 1, 2, 3], nan_ok=True)
    assert split["fold"].isna().sum() == 1


def test_the_held_out_one_is_test_and_its_patients_are_nowhere_else() -> None:
    cases = made(120)
    cases.loc[[0, 2], "patient_id"] = "one/spans"  # north and west
    spec = SplitSpec(kind="leave-one-out", by="source", held_out="west", fractions=(0.8, 0.2, 0))
    split = make_split(cases, spec)
    assert (split[split["source"] == "west"]["split"] == "test").all()
    assert split.loc[0, "split"] == ""
    rest = split[split["source"] != "west"]["split"].value_counts()
    assert rest[""] == 1
    assert rest["val"] == pytest.approx(0.2 * 79, abs=2)


def test_several_are_held_out_together() -> None:
    cases = made(120)
    cases.loc[[0, 1], "patient_id"] = "spans"  # north and south
    cases.loc[[3, 2], "patient_id"] = "both out"  # north and west
    spec = SplitSpec(kind="leave-one-out", by="source", held_out=("north", "west"))
    split = make_split(cases, spec)
    out = split["source"].isin(["north", "west"])
    assert (split[out]["split"] == "test").all()
    assert split.loc[1, "split"] == ""
    assert set(split[~out]["split"]) == {"train", "val", ""}
    alone = make_split(cases, spec.model_copy(update={"held_out": "west"}))
    one = make_split(cases, spec.model_copy(update={"held_out": ("west",)}))
    pd.testing.assert_frame_equal(alone, one)
    with pytest.raises(ConfigError, match="no source 'nort'"):
        make_split(cases, spec.model_copy(update={"held_out": ("west", "nort")}))
    with pytest.raises(CohortError, match="outside of source 'north' and 'south' and 'west'"):
        make_split(cases, spec.model_copy(update={"held_out": ("north", "south", "west")}))
    with pytest.raises(ConfigError):
        SplitSpec.parse({"held_out": []}, where="recipe")


def test_films_without_a_patient_are_counted_and_groups_of_their_own() -> None:
    cases = made(60)
    cases.loc[:9, "patient_id"] = ""
    with pytest.warns(UserWarning, match="10 of 60 films have no patient_id"):
        split = make_split(cases, SplitSpec())
    assert split["group"].nunique() == 60


def test_a_split_that_is_there_is_replaced() -> None:
    cases = made(60).assign(split="train")
    assert "split" not in make_split(cases, SplitSpec(kind="folds", folds=3))


def test_a_class_too_small_is_refused_with_its_count() -> None:
    cases = made(60).assign(**{"covid-19": [1.0, 1.0] + [0.0] * 58})
    with pytest.raises(CohortError, match=r"covid-19 = 1 in 2 patients.*expected 3.*test"):
        make_split(cases, SplitSpec())
    assert len(make_split(cases, SplitSpec(fractions=(0.8, 0.2, 0)))) == 60
    assert len(make_split(cases, SplitSpec(label=None))) == 60


def test_missing_columns_and_sources_are_named() -> None:
    with pytest.raises(CohortError, match="no column patient_id"):
        make_split(made(20).drop(columns="patient_id"), SplitSpec())
    with pytest.raises(CohortError, match="no column covid-19"):
        make_split(made(20).drop(columns="covid-19"), SplitSpec())
    with pytest.raises(CohortError, match="no rows"):
        make_split(made(20).iloc[:0], SplitSpec())
    out = SplitSpec(kind="leave-one-out", by="source")
    with pytest.raises(CohortError, match="only one source, 'north'"):
        make_split(made(20).assign(source="north"), out)
    with pytest.raises(CohortError, match="column source is blank in 20 rows"):
        make_split(made(20).assign(source=""), out)
    with pytest.raises(ConfigError, match="no source 'nort' in the table") as caught:
        make_split(made(20), out.model_copy(update={"held_out": "nort"}))
    assert caught.value.hint == "did you mean 'north'?"


@pytest.mark.parametrize("fractions", [[0.7, 0.7, 0.1], [0, 0.5, 0.5], [1.2, -0.1, -0.1]])
def test_fractions_must_be_parts_of_one(fractions: list[float]) -> None:
    with pytest.raises(ConfigError, match="three parts of 1"):
        SplitSpec.parse({"fractions": fractions}, where="recipe")


def test_the_fingerprint_follows_the_cases_and_not_their_order() -> None:
    cases, spec = made(20), SplitSpec()
    assert cases_fingerprint(cases, spec) == cases_fingerprint(cases.iloc[::-1], spec)
    changed = cases.assign(source=["elsewhere", *cases["source"].iloc[1:]])
    assert cases_fingerprint(changed, spec) != cases_fingerprint(cases, spec)

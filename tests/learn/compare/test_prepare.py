from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from hilum.core.errors import ConfigError
from hilum.learn.compare import prepare as module
from hilum.learn.compare.grid import Grid, recipe_of_run, resolve
from hilum.learn.compare.prepare import divide, prepare, split_key


def test_copies_are_searched_once_for_the_same_films(
    write_grid: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = []
    real = module.find_duplicates
    monkeypatch.setattr(
        module, "find_duplicates", lambda *a, **k: searches.append(1) or real(*a, **k)
    )
    path = write_grid()
    grid = Grid.load(path)
    first = prepare(resolve(grid, path, [])["plain"], None, tmp_path)
    again = prepare(resolve(grid, path, [])["plain"], None, tmp_path)
    both = 'data.labels=["covid-19", "pneumonia"]'
    other = prepare(resolve(grid, path, [both])["plain"], None, tmp_path)
    assert len(searches) == 1
    assert first.path == again.path == other.path
    pd.testing.assert_frame_equal(first.cases, again.cases)
    fewer = resolve(grid, path, ["data.films_per_cohort=9"])["plain"]
    assert len(prepare(fewer, None, tmp_path).cases) == 27
    assert len(searches) == 2


@pytest.mark.usefixtures("known_copies")
def test_train_never_sees_what_is_left_out(write_grid: Callable[..., Path], tmp_path: Path) -> None:
    path = write_grid()
    grid = Grid.load(path)
    recipe = resolve(grid, path, [])["plain"]
    cases = prepare(recipe, None, tmp_path).cases
    keys = set()
    for entry in grid.entries:
        split = divide(cases, recipe_of_run(recipe, grid, entry, 0), entry)
        test = split[split["split"] == "test"]
        assert set(test["cohort"]) == set(entry.names)
        assert len(test) == 24 * len(entry.names)
        seen = split[split["split"] != "test"]
        assert not set(seen["group"]) & set(test["group"])
        assert set(seen["split"]) == {"train", "val"}
        keys.add(split_key(split, ["covid-19"]))
    assert len(keys) == 2
    north = divide(cases, recipe_of_run(recipe, grid, grid.entries[0], 0), grid.entries[0])
    gone = set(cases["case_id"]) - set(north["case_id"])
    assert {"west/0", "east/5"} <= gone  # a copy of a film of north, and a patient of it
    assert gone <= {"west/0", "west/1", "east/4", "east/5"}


@pytest.mark.usefixtures("known_copies")
def test_every_film_is_in_one_fold(write_grid: Callable[..., Path], tmp_path: Path) -> None:
    path = write_grid()
    grid = Grid.load(path).model_copy(update={"pooled_folds": 3})
    recipe = resolve(grid, path, [])["plain"]
    cases = prepare(recipe, None, tmp_path).cases
    seen: list[str] = []
    for entry in grid.entries[2:]:
        split = divide(cases, recipe_of_run(recipe, grid, entry, 0), entry)
        assert len(split) == len(cases)
        assert split.groupby("group")["split"].nunique().max() == 1
        assert (split["split"] == "val").sum() > 10
        seen += split[split["split"] == "test"]["case_id"].tolist()
    assert sorted(seen) == sorted(cases["case_id"])


@pytest.mark.usefixtures("known_copies")
def test_a_cohort_that_is_not_there_is_named(
    write_grid: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_grid()
    grid = Grid.load(path).model_copy(update={"leave_out": (("east", "nort"),)})
    recipe = resolve(grid, path, [])["plain"]
    cases = prepare(recipe, None, tmp_path).cases
    with pytest.raises(ConfigError, match="no cohort 'nort'") as caught:
        divide(cases, recipe_of_run(recipe, grid, grid.entries[0], 0), grid.entries[0])
    assert caught.value.hint == "did you mean 'north'?"

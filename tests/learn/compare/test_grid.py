from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.core.errors import ConfigError
from hilum.learn.compare.grid import Entry, Grid, chosen, recipe_of_run, resolve
from hilum.learn.recipe import Recipe


def grid(**changes: object) -> Grid:
    values: dict[str, object] = {
        "recipe": "base.toml",
        "leave_out": ["north", ["east", "west"]],
        "variant": [{"name": "a"}, {"name": "b", "set": ["fit.epochs=5"]}],
    }
    return Grid.parse(values | changes, where="grid.toml")


def test_entries_are_what_is_left_out_then_the_folds() -> None:
    entries = grid(pooled_folds=2).entries
    assert [entry.title for entry in entries] == [
        "north", "east + west", "fold 1 of 2", "fold 2 of 2"
    ]  # fmt: skip
    assert len({entry.slug for entry in entries}) == 4
    assert all("/" not in entry.slug and " " not in entry.slug for entry in entries)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"leve_out": []}, "did you mean 'leave_out'"),
        ({"leave_out": []}, "at least 1"),
        ({"leave_out": [[]]}, "leave_out"),
        ({"pooled_folds": 1}, "expected 0"),
        ({"seeds": [1, 1]}, "seed stands twice"),
        ({"variant": [{"name": "a b"}, {"name": "A  b"}]}, "a-b stands twice"),
        ({"variant": [{"name": "nuisance numbers"}]}, "is taken"),
        ({"variant": [{"name": "a", "set": ["x=1"], "ensemble": ["a"]}]}, "expected one"),
        ({"variant": [{"name": "one"}, {"name": "b", "ensemble": ["onne"]}]}, "mean 'one'"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        grid(**changes)
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_changes_for_all_come_after_those_of_a_variant(write_grid: Callable[..., Path]) -> None:
    recipes = resolve(grid(), write_grid(), [])
    assert (recipes["a"].fit.epochs, recipes["b"].fit.epochs) == (2, 5)
    recipes = resolve(grid(), write_grid(), ["fit.epochs=7"])
    assert (recipes["a"].fit.epochs, recipes["b"].fit.epochs) == (7, 7)


def test_a_wrong_setting_names_its_variant(write_grid: Callable[..., Path]) -> None:
    wrong = grid(variant=[{"name": "typo", "set": ["fit.epocs=5"]}])
    with pytest.raises(ConfigError, match=r"variant 'typo': unknown key 'fit\.epocs'"):
        resolve(wrong, write_grid(), [])


def test_the_recipe_of_a_run_reads_back_the_same(
    write_grid: Callable[..., Path], tmp_path: Path
) -> None:
    base = resolve(grid(), write_grid(), [])["a"]
    for entry in grid(pooled_folds=2).entries:
        recipe = recipe_of_run(base, grid(), entry, 3)
        (tmp_path / "run.toml").write_text(recipe.to_toml())
        assert Recipe.load(tmp_path / "run.toml") == recipe
        assert recipe.fit.seed == 3
    several = recipe_of_run(base, grid(), Entry(("east", "west")), 0)
    assert several.split.held_out == ("east", "west")


def test_only_some_variants() -> None:
    assert [variant.name for variant in chosen(grid(), ["b"])] == ["b"]
    assert len(chosen(grid(), [])) == 2
    with pytest.raises(ConfigError, match="no variant 'c'"):
        chosen(grid(), ["c"])

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from hilum.core.errors import ConfigError
from hilum.core.labels import Label
from hilum.learn.detect.recipe import DetectorRecipe
from hilum.learn.networks import NETWORKS
from hilum.learn.recipe import UNSET, Recipe, load_recipe

FILES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
TABLES = {path: tomllib.loads(path.read_text()) for path in FILES}
RECIPES = [path for path, tables in TABLES.items() if isinstance(tables.get("network"), dict)]
"""Of a classifier; others are of comparisons, of other networks and of the gate."""


def parse(**tables: Any) -> Recipe:
    return Recipe.parse({"data": {"cases": "split.csv"}} | tables, where="recipe.toml")


def test_defaults_need_nothing_but_the_data() -> None:
    recipe = parse()
    assert recipe.data.labels == (Label.COVID_19,)
    assert recipe.preprocess.size == 224


@given(
    seed=st.integers(0, 2**40),
    rate=st.floats(1e-9, 10),
    patience=st.none() | st.integers(1, 9),
    percentile=st.none() | st.floats(0, 49),
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(UNSET.__ne__),
    labels=st.lists(st.sampled_from(list(Label)), min_size=1, max_size=3, unique=True),
    options=st.dictionaries(
        st.text("abc_", min_size=1), st.booleans() | st.integers(-9, 9) | st.floats(-1, 1)
    ),
)
def test_a_resolved_recipe_reads_back_equal(
    seed: int,
    rate: float,
    patience: int | None,
    percentile: float | None,
    name: str,
    labels: list[Label],
    options: dict[str, Any],
) -> None:
    recipe = parse(
        data={"cases": "a.csv", "labels": labels},
        fit={"seed": seed, "learning_rate": rate, "patience": patience},
        preprocess={"low_percentile": percentile},
        bundle={"name": name},
        network={"name": "tiny", "options": options},
    )
    again = Recipe.parse(tomllib.loads(recipe.to_toml()), where="again")
    assert again == recipe
    assert again.differs_from(recipe) == []


def test_none_is_written_as_a_word_and_can_be_set() -> None:
    assert 'patience = "none"' in parse().to_toml()
    assert parse(fit={"patience": "none"}).fit.patience is None


def test_no_setting_uses_that_word_as_a_value() -> None:
    def words(model: type[BaseModel]) -> set[str]:
        found: set[str] = set()
        for field in model.model_fields.values():
            for kind in (field.annotation, *get_args(field.annotation)):
                if get_origin(kind) is Literal:
                    found |= set(get_args(kind))
                elif isinstance(kind, type) and issubclass(kind, BaseModel):
                    found |= words(kind)
        return found

    assert "bf16-mixed" in words(Recipe)
    assert UNSET not in words(Recipe)


@pytest.mark.parametrize(
    ("tables", "message", "hint"),
    [
        ({"fit": {"epocs": 3}}, "unknown key 'fit.epocs'", "did you mean 'epochs'?"),
        ({"ftt": {}}, "unknown key 'ftt'", "did you mean 'fit'?"),
        ({"augmentation": {"rotate": 3}}, "unknown key 'augmentation.rotate'", ""),
        ({"fit": {"epochs": 0}}, "fit.epochs", ""),
        ({"data": {}}, "give either cases", ""),
        ({"data": {"cases": "a", "cohorts": [{"name": "a", "folder": "b"}]}}, "give either", ""),
        ({"data": {"cases": "a", "labels": []}}, "data.labels", ""),
        ({"data": {"cases": "a", "labels": ["covid-19", "covid-19"]}}, "twice", ""),
        ({"data": {"cases": "a", "labels": ["flu"]}}, "data.labels.0", ""),
        ({"data": {"cohorts": [{"name": "a"}]}}, "key 'data.cohorts.0.folder' is missing", ""),
    ],
)
def test_a_wrong_recipe_is_one_message(tables: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(**tables)
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert hint in caught.value.hint


def test_differences_are_named() -> None:
    assert parse().differs_from(parse(fit={"epochs": 3})) == ["fit.epochs: 8 and 3"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_valid(path: Path) -> None:
    recipe = load_recipe(path, ["fit.epochs=3"])
    assert recipe.fit.epochs == 3
    assert recipe.network.name in NETWORKS


def test_the_recipes_of_detectors_are_valid() -> None:
    for name in ("detector.toml", "detector-rsna.toml"):
        assert DetectorRecipe.load(FILES[0].with_name(name)).task == "detector"


def test_there_are_recipes() -> None:
    assert {"default", "quick"} <= {path.stem for path in RECIPES}

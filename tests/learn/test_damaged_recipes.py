"""Recipes, grids and settings that somebody damaged: read as they stand, or an error of ours."""

from __future__ import annotations

import copy
import datetime
import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from hilum.apps.web.settings import Settings
from hilum.core.config import set_dotted
from hilum.core.errors import ConfigError
from hilum.learn.compare.grid import Grid, resolve
from hilum.learn.detect.recipe import DetectorRecipe
from hilum.learn.gate.recipe import GateRecipe
from hilum.learn.recipe import Recipe

RECIPES = Path(__file__).parents[2] / "recipes"
SETTINGS = b"""
https = true
hosts = ["hilum.example.org"]
proxies = ["10.0.0.0/8"]
[limits]
[session]
hours = 8
[oidc]
issuer = "https://id.example.org"
client_id = "hilum"
client_secret = "x"
redirect_url = "https://hilum.example.org/oidc"
"""
KINDS = {
    "default.toml": Recipe,
    "quick.toml": Recipe,
    "gate.toml": GateRecipe,
    "labels.toml": Recipe,
    "detector.toml": DetectorRecipe,
    "ablation.toml": Grid,
    "hilum.toml": Settings,
}
VALUE = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.sampled_from([0, -1, 1, 2**62]),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(["covid-19", "../..", "\0", "a" * 300]),
        st.just(datetime.date(2026, 1, 1)),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)


def sound(name: str) -> bytes:
    return SETTINGS if name == "hilum.toml" else (RECIPES / name).read_bytes()


def load(name: str, path: Path) -> object:
    """Load what the name says; a grid with the recipes of its variants."""
    loaded = KINDS[name].load(path)
    if isinstance(loaded, Grid):
        return resolve(loaded, RECIPES / name, [])
    return loaded


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_every_editor_may_write_it(tmp_path, name, encoding):
    path = tmp_path / name
    path.write_text(sound(name).decode(), encoding=encoding)
    (tmp_path / "plain").write_bytes(sound(name))
    assert load(name, path) == load(name, tmp_path / "plain")


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_bytes_that_were_damaged(tmp_path_factory, name, data):
    text = sound(name)
    start = data.draw(st.integers(0, len(text)))
    damaged = (
        text[:start]
        + data.draw(st.binary(max_size=4))
        + text[start + data.draw(st.integers(0, 4)) :]
    )
    _load_or_refuse(tmp_path_factory, name, damaged)


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_values_of_other_kinds(tmp_path_factory, name, data):
    values = copy.deepcopy(tomllib.loads(sound(name).decode()))
    table = values
    while True:
        key = data.draw(st.sampled_from([*table, "new"]))
        if not isinstance(table.get(key), dict) or data.draw(st.booleans()):
            break
        table = table[key]
    table[key] = data.draw(VALUE)
    _load_or_refuse(tmp_path_factory, name, tomli_w.dumps(values).encode())


def _load_or_refuse(factory, name: str, content: bytes) -> None:
    path = factory.getbasetemp() / "damaged.toml"
    path.write_bytes(content)
    try:
        loaded = load(name, path)
    except ConfigError as error:
        assert error.message  # noqa: PT017
        return
    if isinstance(loaded, Recipe):
        path.write_text(loaded.to_toml(), encoding="utf-8")
        assert Recipe.load(path) == loaded


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", '"nan"'])
@pytest.mark.parametrize("key", ["preprocess.mean", "fit.learning_rate", "data.min_age_years"])
def test_a_setting_is_a_finite_number(key, value):
    with pytest.raises(ConfigError, match=key):
        Recipe.load(RECIPES / "labels.toml", [f"{key}={value}"])


@given(st.text(max_size=30))
def test_any_override_is_taken_or_refused(text):
    values = tomllib.loads(sound("quick.toml").decode())
    try:
        set_dotted(values, text)
        Recipe.parse(values, where="--set")
    except ConfigError as error:
        assert error.message  # noqa: PT017

"""Config: unknown keys are refused with a suggestion, overrides reach their key."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from hilum.core.config import Config, read_toml, set_dotted
from hilum.core.errors import ConfigError


class Fit(Config):
    """A table."""

    epochs: int = Field(default=10, ge=1)
    learning_rate: float = 1e-3


class Recipe(Config):
    """Two levels."""

    name: str
    fit: Fit = Fit()
    stages: tuple[Fit, ...] = ()


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_loads_and_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "a"\n[fit]\nepochs = 3\n')
    recipe = Recipe.load(path, ["fit.epochs=5", "name=b c", "fit.learning_rate=1e-4"])
    assert recipe == Recipe(name="b c", fit=Fit(epochs=5, learning_rate=1e-4))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('name = "a"\n[fit]\nepocs = 3\n', "unknown key 'fit.epocs'", "did you mean 'epochs'?"),
        ('nam = "a"\nname = "a"\n', "unknown key 'nam'", "did you mean 'name'?"),
        ('name = "a"\n[[stages]]\nzzz = 1\n', "unknown key 'stages.0.zzz'", "known: epochs, lear"),
        ("", "key 'name' is missing", "add it"),
        ('name = "a"\n[fit]\nepochs = 0\n', "fit.epochs: .* found 0", ""),
        ("name = ", "not valid TOML", "toml.io"),
    ],
)
def test_says_where_and_what(tmp_path: Path, text: str, message: str, hint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        Recipe.load(path)
    assert str(path) in caught.value.message
    assert hint in caught.value.hint


class Window(Config):
    """Two settings that must fit."""

    low: int = 0
    high: int = 1

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.high < self.low:
            raise ValueError("high lies below low")
        return self


class Windows(Config):
    """One inside another."""

    window: Window = Window()


@pytest.mark.parametrize("setting", ["epochs = true", "learning_rate = false"])
def test_a_switch_is_no_number(tmp_path: Path, setting: str) -> None:
    path = write(tmp_path, f'name = "a"\n[fit]\n{setting}\n')
    with pytest.raises(ConfigError, match=r"fit\.\w+: no (true|false) here; found"):
        Recipe.load(path)


def test_what_is_wrong_with_a_whole_table_is_said_without_the_table() -> None:
    with pytest.raises(ConfigError) as caught:
        Window.parse({"low": 3}, where="w.toml")
    assert caught.value.message == "w.toml: high lies below low"
    with pytest.raises(ConfigError) as caught:
        Windows.parse({"window": {"low": 3}}, where="w.toml")
    assert caught.value.message == "w.toml: window: high lies below low"


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Recipe.load(tmp_path / "none.toml")


@pytest.mark.parametrize("override", ["fit.epochs", "=3", "name.deep=1"])
def test_a_malformed_override_is_refused(tmp_path: Path, override: str) -> None:
    path = write(tmp_path, 'name = "a"\n')
    with pytest.raises(ConfigError, match="--set"):
        Recipe.load(path, [override])


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_a_toml_value_survives_an_override(value: float) -> None:
    values: dict[str, object] = {}
    set_dotted(values, f"a.b={str(value).lower()}")
    assert values == {"a": {"b": value}}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_recipe_of_any_editor_is_read(tmp_path, encoding):
    path = tmp_path / "recipe.toml"
    path.write_text('name = "Müller"\r\n', encoding=encoding, newline="")
    assert read_toml(path) == {"name": "Müller"}


@pytest.mark.parametrize(
    "content",
    [
        b"a = 1\na = 2\n",
        b"a = 1" + b"0" * 5000,
        b"a = " + b"[" * 5000,
        b"a = 2026-13-45",
        'a = "Müller"'.encode("latin-1"),
        b"a = 1\0",
        b"PK\x03\x04",
    ],
)
def test_what_is_no_toml_is_refused(tmp_path, content):
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"recipe\.toml"):
        read_toml(path)


@given(st.binary(max_size=60))
def test_any_bytes_are_toml_or_an_error_of_ours(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    with contextlib.suppress(ConfigError):
        assert isinstance(read_toml(path), dict)

"""Config: frozen, validated settings, read from TOML, with unknown keys refused."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from hilum.core.errors import ConfigError, HilumError
from hilum.core.textfile import read_text

M = TypeVar("M", bound=BaseModel)


class Written(BaseModel):
    """Base of what a run found, as it lies in JSON: frozen, no unknown keys, NaN is null there."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Config(BaseModel):
    """Base of every settings object: frozen, no unknown keys, defaults validated."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        json_schema_serialization_defaults_required=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[str(info.field_name)].annotation
        # Python counts True as 1, so pydantic would take "epochs = true" for one epoch.
        if isinstance(value, bool) and bool not in (kind, *getattr(kind, "__args__", ())):
            raise ValueError(f"no {str(value).lower()} here")
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str) -> Self:
        """Validate ``values``; a ``ConfigError`` names ``where``, the key and what was meant."""
        try:
            parsed = cls.model_validate(dict(values))
        except ValidationError as error:
            raise _explain(cls, error, where) from None
        if endless := next(_endless(parsed.model_dump(), ""), None):
            raise ConfigError(f"{where}: {endless}; expected a finite number")
        return parsed

    @classmethod
    def load(cls, path: Path, overrides: Iterable[str] = ()) -> Self:
        """Read a TOML file and apply ``a.b=value`` overrides.

        Raises:
            ConfigError: no such file, not TOML, an unknown key or a wrong value.
        """
        values = read_toml(path)
        for override in overrides:
            set_dotted(values, override)
        return cls.parse(values, where=str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise ``ConfigError`` if it is missing or malformed."""
    text = read_text(path, ConfigError)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 5,000 digits
        raise ConfigError(f"{path}: not valid TOML: {error}", hint="see https://toml.io") from None


def set_dotted(values: dict[str, Any], override: str) -> None:
    """Apply one ``a.b=value`` in place; the value is TOML, or a plain string.

    >>> recipe = {"fit": {"epochs": 10}}
    >>> set_dotted(recipe, "fit.epochs=2")
    >>> set_dotted(recipe, "network.name=tiny")
    >>> recipe
    {'fit': {'epochs': 2}, 'network': {'name': 'tiny'}}
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: expected KEY=VALUE", hint="e.g. --set fit.epochs=2")
    *parents, leaf = key.strip().split(".")
    table = values
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: '{parent}' is a value, not a table")
    table[leaf] = _toml_value(text.strip())


def dotted(overrides: Iterable[str] | None) -> dict[str, Any]:
    """Return the values of several ``a.b=value``, the last of a key winning."""
    values: dict[str, Any] = {}
    for override in overrides or ():
        set_dotted(values, override)
    return values


def validated(
    model: type[M],
    values: str | bytes | Mapping[str, Any],
    error: type[HilumError],
    hint: str = "",
    *,
    where: str,
) -> M:
    """Return a record that Hilum wrote, from JSON or its values.

    Args:
        model: of the record.
        values: JSON, or what was read from it.
        error, hint: what to raise, and its hint.
        where: what to call the record in the error.

    Raises:
        HilumError: of the kind ``error``, with the first key that is wrong.
    """
    try:
        if isinstance(values, Mapping):
            return model.model_validate(values)
        return model.model_validate_json(values)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        parts = (where, ".".join(str(part) for part in first["loc"]), first["msg"])
        raise error(": ".join(filter(None, parts)), hint=hint) from None


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known word, or list what is known.

    >>> did_you_mean("epocs", ["epochs", "seed"])
    "did you mean 'epochs'?"
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names) or 'none'}"


def check_label(label: str, known: Iterable[str], where: str) -> None:
    """Raise ``ConfigError`` if a label that was asked for is not among those of a bundle or table.

    Args:
        label: asked for.
        known: labels.
        where: whose they are.
    """
    names = [str(name) for name in known]
    if label not in names:
        raise ConfigError(f"label '{label}': not in {where}", hint=did_you_mean(str(label), names))


def _endless(value: Any, key: str) -> Iterator[str]:
    """Yield the settings that are NaN or infinite: a result may be, a setting never."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{key}: {value}"
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _endless(each, f"{key}.{name}".removeprefix("."))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _endless(each, key)


def _explain(cls: type[BaseModel], error: ValidationError, where: str) -> ConfigError:
    first = error.errors()[0]
    location = [part for part in first["loc"] if isinstance(part, str)]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        table = _table_at(cls, location[:-1])
        hint = did_you_mean(location[-1], table.model_fields if table else [])
        return ConfigError(f"{where}: unknown key '{key}'", hint=hint)
    if first["type"] == "missing":
        return ConfigError(f"{where}: key '{key}' is missing", hint="add it to the recipe")
    message = first["msg"].removeprefix("Value error, ")
    of_table = first["type"] == "value_error" and isinstance(first["input"], Mapping | BaseModel)
    found = "" if of_table else f"; found {first['input']!r}"
    return ConfigError(": ".join(part for part in (where, key, message) if part) + found)


def _table_at(cls: type[BaseModel], location: list[str]) -> type[BaseModel] | None:
    table: type[BaseModel] | None = cls
    for name in location:
        found = table.model_fields.get(name) if table else None
        annotation = found.annotation if found else None
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        table = next(
            (c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None
        )
    return table

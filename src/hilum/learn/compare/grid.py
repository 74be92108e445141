"""Grid: which variants of a recipe are compared, and what is left out; one TOML file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hilum.core.config import Config, did_you_mean, read_toml, set_dotted
from hilum.core.errors import ConfigError
from hilum.data.split import SplitSpec
from hilum.learn.recipe import Recipe

BASELINE = "nuisance numbers"
"""What the twelve numbers that say nothing of the lungs are called among the variants."""

Seed = Annotated[int, Field(ge=0)]


class Variant(Config):
    """One way to train.

    Attributes:
        name: in the table and of its folder.
        set: changes to the base recipe, as ``hilum train --set`` takes them: "fit.epochs=4".
        ensemble: or other variants whose logits are averaged; it trains nothing.
    """

    name: Annotated[str, Field(min_length=1)]
    set: tuple[str, ...] = ()
    ensemble: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.set and self.ensemble:
            raise ValueError(f"variant '{self.name}' has both 'set' and 'ensemble'; expected one")
        if any(change.split("=")[0].strip() == "fit.seed" for change in self.set):
            raise ValueError(f"variant '{self.name}' sets fit.seed; the grid's 'seeds' say it")
        return self

    @property
    def slug(self) -> str:
        """The name as a folder is called."""
        return slug(self.name)


class Grid(Config):
    """What is compared.

    Attributes:
        recipe: the base recipe; relative to the grid's own file.
        leave_out: each entry is one value of ``by``, or several that are left out together;
            their films are the test, and their patients and copies elsewhere are on no side.
        by: "cohort" or "source".
        pooled_folds: also cross-validate over all films in so many folds, patients kept
            together, to see the gap to leaving sources out; 0 for not.
        seeds: of ``fit.seed``; the logits of several are averaged.
        variant: what is compared; the first is what the others are measured against.
    """

    recipe: str
    leave_out: Annotated[
        tuple[str | Annotated[tuple[str, ...], Field(min_length=1)], ...], Field(min_length=1)
    ]
    by: Literal["cohort", "source"] = "cohort"
    pooled_folds: Annotated[int, Field(ge=0)] = 0
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    variant: Annotated[tuple[Variant, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        slugs = [variant.slug for variant in self.variant] + [slug(BASELINE)]
        if twice := {name for name in slugs if slugs.count(name) > 1}:
            raise ValueError(f"the name {', '.join(sorted(twice))} stands twice, or is taken")
        if self.pooled_folds == 1:
            raise ValueError("pooled_folds = 1; expected 0 (none), or 2 and more")
        trained = [variant.name for variant in self.variant if not variant.ensemble]
        for name in (name for variant in self.variant for name in variant.ensemble):
            if name not in trained:
                raise ValueError(f"no trained variant '{name}'; {did_you_mean(name, trained)}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed stands twice")
        return self

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything that is left out, then the folds."""
        left = [Entry((name,) if isinstance(name, str) else name) for name in self.leave_out]
        folds = [Entry((), fold, self.pooled_folds) for fold in range(1, self.pooled_folds + 1)]
        return (*left, *folds)


@dataclass(frozen=True, slots=True)
class Entry:
    """Films that one training does not see.

    Attributes:
        names: values of ``by`` that are left out; () for a fold.
        fold, folds: or fold ``fold`` of ``folds``, counted from 1.
    """

    names: tuple[str, ...]
    fold: int = 0
    folds: int = 0

    @property
    def title(self) -> str:
        """As the table names it."""
        return f"fold {self.fold} of {self.folds}" if self.fold else " + ".join(self.names)

    @property
    def slug(self) -> str:
        """As its folder is called."""
        return slug(self.title)


def slug(text: str) -> str:
    """Return ``text`` as a folder is called.

    >>> slug("Whole film, 224 px")
    'whole-film-224-px'
    """
    return re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-")


def resolve(grid: Grid, path: Path, changes: list[str]) -> dict[str, Recipe]:
    """Return the recipe of every variant that trains.

    Args:
        grid: as loaded from ``path``.
        changes: to all variants, applied last.

    Raises:
        ConfigError: as ``Recipe.parse``; the variant is named.
    """
    base = path.parent / grid.recipe
    return {
        variant.name: _recipe(base, variant, changes)
        for variant in grid.variant
        if not variant.ensemble
    }


def _recipe(base: Path, variant: Variant, changes: list[str]) -> Recipe:
    values: dict[str, Any] = read_toml(base)
    for change in (*variant.set, *changes, "fit.loggers=[]"):
        set_dotted(values, change)
    return Recipe.parse(values, where=f"{base.name}, variant '{variant.name}'")


def recipe_of_run(recipe: Recipe, grid: Grid, entry: Entry, seed: int) -> Recipe:
    """Return the recipe of one training: a variant's, with its split and its seed."""
    changed: dict[str, Any] = {"kind": "folds", "folds": entry.folds}
    if not entry.fold:
        held_out = entry.names[0] if len(entry.names) == 1 else entry.names
        changed = {"kind": "leave-one-out", "by": grid.by, "held_out": held_out}
    values = recipe.split.model_dump() | changed
    return recipe.model_copy(
        update={
            "split": SplitSpec.parse(values, where="split"),
            "fit": recipe.fit.model_copy(update={"seed": seed}),
        }
    )


def chosen(grid: Grid, only: list[str]) -> tuple[Variant, ...]:
    """Return the variants named in ``only``, or all.

    Raises:
        ConfigError: no such variant.
    """
    names = [variant.name for variant in grid.variant]
    for name in only:
        if name not in names:
            raise ConfigError(f"no variant '{name}'", hint=did_you_mean(name, names))
    return tuple(variant for variant in grid.variant if not only or variant.name in only)

"""Study: what each kind of extra training material is worth, for each network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from hilum.core.config import Config
from hilum.core.estimate import Estimate
from hilum.learn.fit import claim
from hilum.learn.opacities.films import Films, gather_opacities, open_all
from hilum.learn.opacities.measure import compare, measure_films, summarize
from hilum.learn.opacities.recipe import Material, NetworkName, OpacityRecipe
from hilum.learn.opacities.validate import cross_validate

STUDY = "study.csv"


class Arm(Config):
    """One row of the table: what differs from the rest of the recipe.

    Attributes:
        name: of the material, as the table prints it.
        network: that is trained.
        steps, learning_rate: of its training; None as in ``[fit]``.
        material: what a batch is made of.
    """

    name: str
    network: NetworkName
    steps: Annotated[int, Field(ge=1)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    material: Material = Material()


class StudyRecipe(OpacityRecipe):
    """A recipe with several arms, each cross-validated on the same folds."""

    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if len({(arm.network, arm.name) for arm in self.arms}) < len(self.arms):
            raise ValueError("two arms have the same network and name")
        if self.material.virtual_films is None and any(arm.material.virtual for arm in self.arms):
            raise ValueError("an arm has virtual films; material.virtual_films must name them")
        return self

    def of(self, arm: Arm) -> OpacityRecipe:
        """Return the recipe of one arm."""
        given = {"steps": arm.steps, "learning_rate": arm.learning_rate}
        changed = {name: value for name, value in given.items() if value is not None}
        values = {name: getattr(self, name) for name in OpacityRecipe.model_fields}
        values |= {"network": arm.network, "fit": self.fit.model_copy(update=changed)}
        return OpacityRecipe(**values | {"material": self._extras(arm.material)})

    def _extras(self, material: Material) -> Material:
        same = ("virtual_films", "clear_per_cohort")
        return material.model_copy(update={name: getattr(self.material, name) for name in same})


def study(
    recipe: StudyRecipe,
    out: Path,
    *,
    root: Path | None,
    resume: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    progress: bool = True,
) -> pd.DataFrame:
    """Cross-validate every arm; write and return the table.

    Returns:
        One row an arm and metric: network, material, metric, value, low, high, n, note; and
        difference, difference_low, difference_high: how much more than the first arm of the same
        network, on the same films and the same resamples of patients; NaN for that arm itself.
    """
    claim(out, recipe, resume=resume)
    tell("reading the collections")
    cases = gather_opacities(recipe, root, progress=progress)
    films = open_all(cases, recipe.preprocess, progress=progress)
    tell(", ".join(f"{name}: {n}" for name, n in films.cases["material"].value_counts().items()))
    rows: list[dict[str, object]] = []
    firsts: dict[str, pd.DataFrame] = {}
    for arm in recipe.arms:
        tell(f"{arm.network}, {arm.name}")
        measured = _arm(recipe, arm, films, out, progress)
        rows += rows_of(arm, measured, firsts.get(arm.network))
        firsts.setdefault(arm.network, measured)
        table = pd.DataFrame(rows)
        table.to_csv(out / STUDY, index=False, float_format="%.4f")
    return table


def rows_of(
    arm: Arm, measured: pd.DataFrame, first: pd.DataFrame | None
) -> list[dict[str, object]]:
    """Return the rows of one arm.

    Args:
        arm: the arm.
        measured: of ``measure_films``.
        first: the same of the first arm of its network; None where this is the first.
    """
    more = compare(measured, first) if first is not None else {}
    return [
        row(arm.network, arm.name, metric, each) | _difference(more.get(metric))
        for metric, each in summarize(measured).items()
    ]


def _arm(recipe: StudyRecipe, arm: Arm, films: Films, out: Path, progress: bool) -> pd.DataFrame:
    folder = out / f"{arm.network}-{arm.name.replace(' ', '-')}"
    scores = cross_validate(recipe.of(arm), films, folder, progress=progress)
    return measure_films(films, scores, rules=())  # what the material is worth, and no rule


def row(network: str, material: str, metric: str, estimate: Estimate) -> dict[str, object]:
    """Return one row of a table of results."""
    numbers = {name: getattr(estimate, name) for name in ("value", "low", "high", "n", "note")}
    return {"network": network, "material": material, "metric": metric} | numbers


def _difference(more: Estimate | None) -> dict[str, object]:
    values = (more.value, more.low, more.high) if more else (np.nan,) * 3
    return dict(zip(("difference", "difference_low", "difference_high"), values, strict=True))

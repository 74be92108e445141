"""GateRecipe: one TOML file that makes gate.json again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hilum.core.config import Config
from hilum.learn.recipe import CohortFolder, Count, Positive, Share, TomlRecipe


class GateData(Config):
    """Pictures to read and to refuse.

    Attributes:
        cohorts: collections beneath the data root. What their tables say of modality, view and
            age decides what a film counts as.
        frontal_unless_stated: collections whose films are frontal where they state no view; such
            films of other collections are set aside: neither learned from nor counted.
        child_below_years: younger patients are learned as children. Those from here up to 18 are
            set aside: by picture alone they are adults.
        children: collections, and films by ``case_id``, of children that state no age.
        aside: films by ``case_id`` that are neither learned from nor counted.
        films_per_cohort: frontal films of one collection, at most; None for all.
        made: pictures made of each kind.
        seed: of what is made.
    """

    cohorts: Annotated[tuple[CohortFolder, ...], Field(min_length=1)]
    frontal_unless_stated: tuple[str, ...] = ()
    child_below_years: Positive = 11.0
    children: tuple[str, ...] = ("kermany",)
    aside: tuple[str, ...] = ()
    films_per_cohort: Count | None = None
    made: Count = 200
    seed: Annotated[int, Field(ge=0)] = 0


class GateFit(Config):
    """How the head is fitted and its limits are chosen.

    Attributes:
        folds: of the cross-validation, by patient and duplicate group.
        strength: inverse of the L2 penalty (scikit-learn's C), on standardised features.
        axes: principal axes of the embedding for the distance to the films to be read.
        refused: share of the good films of each collection that may lie beyond a limit, in folds.
            The limit is then moved towards the 3 % of its own kind that are hardest to tell, where
            those lie higher: half way, but no more than 2. Other hospitals will differ more. Every
            limit is 1.25 at least.
        refused_left_out: the same share, with their collection left out.
        unlike: share of the good films of a collection left out that may lie beyond the distance.
    """

    folds: Annotated[int, Field(ge=2)] = 5
    strength: Positive = 0.03
    axes: Count = 32
    refused: Share = 0.01
    refused_left_out: Share = 0.06
    unlike: Share = 0.002


class GateRecipe(TomlRecipe):
    """A whole run.

    Attributes:
        task: at the top of a file, tells it from other recipes.
    """

    task: Literal["gate"] = "gate"
    data: GateData
    fit: GateFit = GateFit()

"""LungRecipe: one TOML file that makes the lung network again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hilum.core.config import Config
from hilum.data.split import SplitSpec
from hilum.image.preprocess import Preprocess
from hilum.learn.augment import Augmentation
from hilum.learn.recipe import CohortFolder, Count, Positive, Share, TomlRecipe


class LungData(Config):
    """Films with lung masks.

    Attributes:
        cohorts: collections beneath the data root; their films with a ``lung_mask`` are taken.
    """

    cohorts: Annotated[tuple[CohortFolder, ...], Field(min_length=1)]


class LungFit(Config):
    """How the network is trained.

    Attributes:
        seed: of weights, order of films and augmentation.
        epochs: all of them are trained; the last weights are kept, so nothing is chosen on test.
        batch_size: films a step.
        learning_rate: at its highest; one cycle (Smith and Topin, 2019).
        weight_decay: of AdamW.
        frozen_blocks: the stem and so many blocks keep their ImageNet weights: edges are edges,
            and their backward pass at half the side costs as much as all the rest.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    epochs: Count = 12
    batch_size: Count = 16
    learning_rate: Positive = 2e-3
    weight_decay: Share = 1e-4
    frozen_blocks: Annotated[int, Field(ge=0, le=11)] = 3


class LungRecipe(TomlRecipe):
    """A whole run; every table but ``[data]`` may be left out.

    ``task = "lungs"`` at the top of a file tells it from the recipe of a classifier.
    """

    task: Literal["lungs"] = "lungs"
    data: LungData
    split: SplitSpec = SplitSpec(fractions=(0.8, 0.0, 0.2))
    preprocess: Preprocess = Preprocess(size=224, channels=1, mean=0.5, std=0.5)
    augmentation: Augmentation = Augmentation(
        rotation_degrees=20, shift=0.15, scale=0.3, contrast=0.4, gamma=0.8, noise=0.04
    )
    fit: LungFit = LungFit()

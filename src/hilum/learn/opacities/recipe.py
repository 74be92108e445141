"""OpacityRecipe: one TOML file that makes the opacity network again."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hilum.core.config import Config
from hilum.data.split import SplitSpec
from hilum.image.preprocess import Preprocess
from hilum.learn.augment import Augmentation
from hilum.learn.recipe import Count, Data, Positive, Share, TomlRecipe

Part = Annotated[float, Field(ge=0, lt=1)]
NetworkName = Literal["fully-convolutional", "u-net"]


class Material(Config):
    """What a batch is made of; what the extras leave goes to films with drawn masks.

    Attributes:
        clear: share of films without a finding: nothing on them is opaque.
        synthetic: share of such films with lesions drawn into them, see ``synthetic``.
        boxed: share of films with opacity boxes, see ``loss.weak_loss``.
        virtual: share of virtual radiographs with ground-glass opacities put into a CT.
        virtual_films: their cases table, as tools/render_opacities.py writes it; beneath the data
            root, or absolute.
        clear_per_cohort: so many films without a finding are taken of each collection, drawn with
            the seed of the split; those that a radiologist called clear come first.
    """

    clear: Part = 0.0
    synthetic: Part = 0.0
    boxed: Part = 0.0
    virtual: Part = 0.0
    virtual_films: str | None = None
    clear_per_cohort: Count = 60

    @model_validator(mode="after")
    def _leave_room(self) -> Self:
        if self.clear + self.synthetic + self.boxed + self.virtual >= 1:
            raise ValueError("the shares leave no room for films with drawn masks")
        if self.virtual and self.virtual_films is None:
            raise ValueError("virtual needs virtual_films")
        return self


class OpacityFit(Config):
    """How a network is trained; nothing is chosen by held-out films.

    Attributes:
        seed: of weights, order of films, lesions and augmentation.
        steps: batches.
        batch_size: films a step.
        learning_rate: at its highest; one cycle (Smith and Topin, 2019).
        weight_decay: of AdamW.
        box_share: at least so much of a box is opaque, in the mean over its part of the lungs.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    steps: Count = 240
    batch_size: Count = 8
    learning_rate: Positive = 2e-3
    weight_decay: Share = 1e-4
    box_share: Annotated[float, Field(gt=0, le=1)] = 0.5


class OpacityRecipe(TomlRecipe):
    """A whole run; every table but ``[data]`` may be left out."""

    data: Data
    split: SplitSpec = SplitSpec(kind="folds", folds=5, label=None)
    preprocess: Preprocess = Preprocess(
        size=192, channels=1, region="lung-field", mean=0.5, std=0.5
    )
    augmentation: Augmentation = Augmentation(
        rotation_degrees=10, shift=0.06, scale=0.15, contrast=0.3, gamma=0.5, noise=0.03, flip=True
    )
    network: NetworkName = "u-net"
    material: Material = Material()
    fit: OpacityFit = OpacityFit()

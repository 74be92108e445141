"""DetectorRecipe: one TOML file that makes the detector again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hilum.core.config import Config
from hilum.core.labels import Label
from hilum.data.split import SplitSpec
from hilum.image.preprocess import Preprocess
from hilum.learn.augment import Augmentation
from hilum.learn.recipe import CohortFolder, Count, Positive, Share, TomlRecipe


class DetectorData(Config):
    """Films with boxes.

    Attributes:
        cohorts: collections beneath the data root.
        label: whose boxes; films on which it is known to be absent are the negatives.
    """

    cohorts: Annotated[tuple[CohortFolder, ...], Field(min_length=1)]
    label: Label = Label.LUNG_OPACITY


class DetectorNetwork(Config):
    """RT-DETRv2 (Lv et al., arXiv:2407.17140) on EfficientNet-Lite0, where no weights are given.

    Attributes:
        width: of encoder and decoder.
        heads: of their attention.
        layers: of the decoder; the library ties the later ones' heads, so there are two at least.
        queries: boxes that are proposed for one film.
        denoising: noisy copies of the true boxes that the decoder learns to mend in training.
        imagenet: start the backbone from the ImageNet weights of the package, else from noise.
        frozen_blocks: the backbone's stem and so many of its 16 blocks keep their weights.
    """

    width: Count = 128
    heads: Count = 4
    layers: Annotated[int, Field(ge=2)] = 2
    queries: Count = 30
    denoising: Annotated[int, Field(ge=0)] = 30
    imagenet: bool = True
    frozen_blocks: Annotated[int, Field(ge=0, le=16)] = 5


class DetectorFit(Config):
    """How the detector is trained.

    Attributes:
        seed: of weights, order of films, augmentation and denoising.
        epochs: all of them are trained; the last weights are kept, so nothing is chosen on films
            that are scored.
        batch_size: films a step.
        learning_rate: at its highest; one cycle (Smith and Topin, 2019).
        backbone_rate: that of the backbone, as a share of it.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        negatives: films without a box in an epoch, for each film with one; drawn anew each epoch.
        final: after the folds, train on every film; this is the detector to use.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    epochs: Count = 20
    batch_size: Count = 8
    learning_rate: Positive = 4e-4
    backbone_rate: Share = 0.25
    weight_decay: Share = 1e-4
    clip: Positive = 1.0
    negatives: Annotated[float, Field(ge=0)] = 1.0
    final: bool = False


class DetectorRecipe(TomlRecipe):
    """A whole run; every table but ``[data]`` may be left out.

    Attributes:
        task: at the top of a file, tells it from other recipes.
    """

    task: Literal["detector"] = "detector"
    data: DetectorData
    split: SplitSpec = SplitSpec(kind="folds", folds=3, label=Label.LUNG_OPACITY)
    preprocess: Preprocess = Preprocess(
        size=192, channels=3, region="lung-field", mean=0.498, std=0.502
    )
    augmentation: Augmentation = Augmentation(
        rotation_degrees=5,
        shift=0.1,
        scale=0.2,
        scale_axes_apart=True,
        contrast=0.3,
        gamma=0.4,
        noise=0.02,
        flip=True,
    )
    network: DetectorNetwork = DetectorNetwork()
    fit: DetectorFit = DetectorFit()

"""Recipe: one TOML file a run, a table per object; the resolved one travels in the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import Field, model_validator

from hilum.core.config import Config
from hilum.core.labels import Label, View
from hilum.data.split import SplitSpec
from hilum.image.preprocess import Preprocess
from hilum.learn.augment import Augmentation

UNSET = "none"
"""How a recipe writes None, since TOML has no null: ``patience = "none"``."""

DENSE = ("dense", "fully-convolutional")
"""The networks that learn from what is drawn, too."""

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0)]


class CohortFolder(Config):
    """One collection.

    Attributes:
        name: of its adapter, as ``hilum cohort list`` prints it.
        folder: beneath the data root (``--data`` or HILUM_DATA).
    """

    name: str
    folder: str


class Data(Config):
    """Which films are learned from; each film left out is counted with the reason.

    Attributes:
        cases: a cases table, beneath the current folder or absolute; with a column ``split`` it
            is taken as it stands, without one it is split by ``[split]``.
        cohorts: or collections beneath the data root; one of the two must be given.
        labels: what the network answers; output i belongs to label i.
        views: views that are kept.
        keep_unknown_view, keep_unknown_age: whether a film that does not say is kept.
        min_age_years: younger patients are left out; None keeps all ages.
        films_per_cohort: keep at most so many of each collection, drawn with the seed of the
            split; None keeps all. For trials.
    """

    cases: str | None = None
    cohorts: tuple[CohortFolder, ...] = ()
    labels: Annotated[tuple[Label, ...], Field(min_length=1)] = (Label.COVID_19,)
    views: Annotated[tuple[View, ...], Field(min_length=1)] = (View.PA, View.AP, View.AP_SUPINE)
    keep_unknown_view: bool = True
    min_age_years: Share | None = 18.0
    keep_unknown_age: bool = True
    films_per_cohort: Count | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.cases is None) == (not self.cohorts):
            raise ValueError("give either cases = 'split.csv' or [[data.cohorts]]")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label stands twice")
        return self


class NetworkSpec(Config):
    """Which network.

    Attributes:
        name: a key of ``hilum.learn.networks.NETWORKS``.
        options: its own.
    """

    name: str = "efficientnet-lite0"
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)


class Fit(Config):
    """How it is trained.

    Attributes:
        seed: of weights, order of films, augmentation and dropout; each epoch derives its own.
        members: so many networks, with the seeds seed, seed + 1, ..., are trained one after
            another; the bundle holds the mean of their logits.
        epochs: at most so many.
        batch_size: films a step.
        optimizer: "adamw", "adam" or "sgd" (Nesterov momentum 0.9).
        learning_rate: at its highest.
        weight_decay: as the optimizer defines it.
        schedule: "cosine" down to zero over the epochs, or "constant".
        warmup_epochs: the learning rate rises from zero over so many epochs (a fraction counts).
        gradient_clip: largest norm of the gradient; None for no limit.
        balance: how films are drawn: "class-and-source" (see ``sampling``), "class", or
            "as-is": each film once an epoch.
        monitor: what the epoch is chosen by, on val: "auroc" (mean over labels; where it ties,
            the loss) or "loss"; "last" chooses none and keeps the last, so that val stays
            unseen until the operating points are chosen on it.
        average_epochs: keep the mean of the weights of the last so many epochs (Izmailov et al.,
            UAI 2018); above 1 only with "last".
        group_robust: step of group-robust weights, see ``robust``; 0 for none.
        patience: stop after so many epochs without a better one; None trains them all.
        precision: "bf16-mixed" is 2 to 3 times faster on CPUs with AMX, and on GPUs; without AMX
            it is the slower one.
        channels_last: memory order of pictures; faster nearly everywhere.
        deterministic: refuse operations whose result may differ from run to run.
        loggers: "tensorboard", "csv", "mlflow" (extra ``mlflow``).
    """

    seed: Annotated[int, Field(ge=0)] = 0
    members: Count = 1
    epochs: Count = 8
    batch_size: Count = 32
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: Positive = 3e-4
    weight_decay: Share = 0.01
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: Share = 0.5
    gradient_clip: Positive | None = None
    balance: Literal["class-and-source", "class", "as-is"] = "class-and-source"
    monitor: Literal["auroc", "loss", "last"] = "auroc"
    average_epochs: Count = 1
    group_robust: Share = 0.0
    patience: Count | None = None
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    channels_last: bool = True
    deterministic: bool = False
    loggers: tuple[Literal["tensorboard", "csv", "mlflow"], ...] = ("tensorboard", "csv")

    @model_validator(mode="after")
    def _patience_needs_a_measure(self) -> Self:
        if self.monitor == "last" and self.patience is not None:
            raise ValueError('patience needs monitor = "auroc" or "loss"; "last" measures nothing')
        if self.monitor != "last" and self.average_epochs > 1:
            raise ValueError('average_epochs needs monitor = "last"')
        return self


class Dense(Config):
    """What the networks "dense" and "fully-convolutional" learn besides the labels.

    See ``hilum.learn.dense``.

    Attributes:
        boxes: weight of "something in this box is opaque" beside "all outside the boxes is clear".
        box_share: share of a box, its most opaque part, that has to be opaque.
        synthetic: chance that lesions are drawn into a film without a finding.
        backdrop: chance that all around the lungs of a film is exchanged, for another film of the
            batch or for one tone, so that it cannot tell where a film comes from.
        emptied: chance that the lungs themselves are filled with one tone or with noise, and the
            film is then a clear one.
        drawn: how many times as often a film is shown on which opacities were outlined.
        appearance: weight of the appearance given opacity.
        decoder_rate: learning rate of all but the encoder, in times ``fit.learning_rate``.
        teacher: folder of a bundle with a lung and an opacity network, which say where the lungs
            and the opacities of a film are that nobody drew; None for the lungs of the package's
            own bundle, and no opacities.
        taught: weight of its opacities, on films of which no map is known.
    """

    boxes: Share = 0.3
    box_share: Annotated[float, Field(gt=0, le=1)] = 0.4
    synthetic: Annotated[float, Field(ge=0, le=1)] = 0.3
    backdrop: Annotated[float, Field(ge=0, le=1)] = 0.0
    emptied: Annotated[float, Field(ge=0, le=1)] = 0.0
    drawn: Positive = 3.0
    appearance: Share = 0.5
    decoder_rate: Positive = 3.0
    teacher: str | None = None
    taught: Share = 0.3


class BundleSpec(Config):
    """What the bundle is called and how it is stored; see ``hilum.bundle.manifest.Manifest``.

    Attributes:
        name, version: of the bundle.
        licence: SPDX identifier of the weights' licence.
        weights: "float16" stores them rounded, in half the space, before anything is chosen or
            measured with them; the network still calculates in float32.
        gate: carry the gate of the package, which refuses what is no frontal chest film of an
            adult; False for a model of other pictures.
        intended_use: one sentence, for the model card.
    """

    name: str = "hilum"
    version: str = "0.1.0"
    licence: str = "CC-BY-NC-SA-4.0"
    weights: Literal["float32", "float16"] = "float32"
    gate: bool = True
    intended_use: str = "Research on adult frontal chest radiographs; not a medical device."


class TomlRecipe(Config):
    """A whole run as one TOML file, in which "none" stands for None."""

    @model_validator(mode="before")
    @classmethod
    def _unset_is_none(cls, values: Any) -> Any:
        return _replace(values, UNSET, None)

    def to_toml(self) -> str:
        """Return every setting, defaults too, as TOML that reads back to an equal recipe."""
        return tomli_w.dumps(_replace(self.model_dump(mode="json"), None, UNSET))

    def differs_from(self, other: TomlRecipe) -> list[str]:
        """Name the settings that differ, as "fit.epochs: 6 and 8"."""
        ours, theirs = _flat(self.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
        keys = [key for key in ours | theirs if ours.get(key) != theirs.get(key)]
        return [f"{key}: {ours.get(key)} and {theirs.get(key)}" for key in keys]


class Recipe(TomlRecipe):
    """A whole run; every table but ``[data]`` may be left out."""

    data: Data
    split: SplitSpec = SplitSpec()
    preprocess: Preprocess = Preprocess()
    network: NetworkSpec = NetworkSpec()
    augmentation: Augmentation = Augmentation()
    fit: Fit = Fit()
    dense: Dense = Dense()
    bundle: BundleSpec = BundleSpec()

    @model_validator(mode="after")
    def _dense_is_whole(self) -> Self:
        if self.network.name not in DENSE:
            return self
        network = f'network "{self.network.name}"'
        if self.data.labels != (Label.COVID_19, Label.LUNG_OPACITY):
            raise ValueError(
                f'{network} answers data.labels = ["covid-19", "lung-opacity"], '
                f"not {[label.value for label in self.data.labels]}"
            )
        if self.preprocess.fit != "stretch" or self.preprocess.size % 32:
            raise ValueError(f'{network} needs preprocess.fit = "stretch", size a 32-fold')
        if self.augmentation.flip:
            raise ValueError(f"{network} tells right from left: augmentation.flip = false")
        if self.fit.members > 1 or self.fit.group_robust:
            raise ValueError(f"{network} takes fit.members = 1 and fit.group_robust = 0")
        if self.fit.monitor != "last":  # COVID-19 given opacity is learned after the last epoch
            raise ValueError(f'{network} chooses no epoch by its answers: fit.monitor = "last"')
        return self


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe and apply ``a.b=value`` overrides.

    Raises:
        ConfigError: no such file, not TOML, an unknown key ("did you mean") or a wrong value.
    """
    return Recipe.load(path, overrides or [])


def _replace(values: Any, old: Any, new: Any) -> Any:
    if isinstance(values, dict):
        return {key: _replace(value, old, new) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_replace(value, old, new) for value in values]
    return new if values == old and type(values) is type(old) else values


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat

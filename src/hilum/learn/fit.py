"""Fit: from a cases table to a trained network, on Lightning, one recipe a run.

The run folder holds recipe.toml, refused.csv (films that did not open, with the reason),
last.ckpt, curves.csv, curves.png, metrics.json, logs/ and, while it runs, films/ (the cache).
Nothing that depends on the clock is in curves.csv and metrics.json: a run that was killed and
resumed ends with the same two files as one that was not.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from torch import nn
from torch.utils.data import DataLoader

from hilum.core.csvtable import read_table
from hilum.core.errors import CohortError, ConfigError, HilumError
from hilum.core.files import write_text
from hilum.data.leaks import refuse_leaks
from hilum.learn.callbacks import CHECKPOINT, Curves, KeepBest, ProgressBar, WholeCheckpoints
from hilum.learn.dense import DenseLearner, Drawer, film_weights
from hilum.learn.films import Batch, FilmDataset, Films, open_films
from hilum.learn.given import GIVEN, learn_given
from hilum.learn.loggers import build_loggers
from hilum.learn.memory import keep_freed_memory
from hilum.learn.module import Learner
from hilum.learn.networks import build_network
from hilum.learn.networks.dense import DenseNetwork
from hilum.learn.networks.ensemble import EnsembleNetwork
from hilum.learn.recipe import DENSE, Recipe, TomlRecipe
from hilum.learn.sampling import EpochSampler, balanced_weights
from hilum.learn.seeds import WEIGHTS, derive_seed

RECIPE = "recipe.toml"
METRICS = "metrics.json"
REFUSED = "refused.csv"


@dataclass(frozen=True, slots=True)
class FitResult:
    """A trained network and how it came about.

    Attributes:
        network: with the weights of the best epoch, on the CPU, in evaluation mode.
        train, val: the films that it learned from, and those that chose the epoch.
        best_epoch: counted from 1.
        rows: one a trained epoch, as in curves.csv; of an ensemble, those of its first member.
        seconds: of training, those before a break included.
        device: "cpu" or the name of the GPU.
        folder: of the run.
    """

    network: nn.Module
    train: Films
    val: Films
    best_epoch: int
    rows: list[dict[str, float]]
    seconds: float
    device: str
    folder: Path


def fit(
    recipe: Recipe,
    cases: pd.DataFrame,
    out: Path,
    *,
    films: Films | None = None,
    resume: bool = False,
    device: str = "auto",
    devices: int = 1,
    progress: bool = True,
) -> FitResult:
    """Train a network.

    Args:
        recipe: ``[network]``, ``[preprocess]``, ``[augmentation]``, ``[fit]`` and the labels are
            used; the films are those of ``cases``.
        cases: a cases table with a column ``split``; rows other than "train" and "val" are not
            looked at.
        out: the run folder.
        films: those of ``cases`` where they are open already (their cases carry the split);
            None opens them into ``out/films``.
        resume: go on from the last whole epoch in ``out`` (from the start if there is none). Where
            nothing is left to train, the films of train are not opened again.
        device: "auto", "cpu" or "gpu".
        devices: how many of them.
        progress: show a bar on a terminal.

    Raises:
        ConfigError: ``out`` holds another run, or the device is not there.
        CohortError: a column is missing, a split or a class is empty, a pixel is not a number.
        LeakageError: a patient stands on two sides.
        TrainingError: the loss is not a number; the checkpoint of the last epoch is kept.
    """
    check_recipe(recipe, device)
    learned = films_to_learn(refuse_leaks(cases), recipe)
    claim(out, recipe, resume=resume)
    if films is None:
        done = all(_is_done(recipe, folder) for _, folder in _members(recipe, out))
        open_them = _open_val if done else open_films_of
        films = open_them(recipe, learned, out / "films", progress=progress)
    films.refused.to_csv(out / REFUSED, index=False)
    check_classes(films.cases, recipe)
    # Views of one memory-mapped file: members of an ensemble open no film again.
    train, val = (films.take((films.cases["split"] == s).to_numpy()) for s in ("train", "val"))
    with _considerate():
        results = [
            _fit(each, train, val, folder, device=device, devices=devices, progress=progress)
            for each, folder in _members(recipe, out)
        ]
    return results[0] if len(results) == 1 else _together(results, out)


def open_films_of(
    recipe: Recipe, cases: pd.DataFrame, folder: Path, *, progress: bool = True
) -> Films:
    """Open films as a recipe wants them, with planes where its network learns from those.

    Raises:
        BundleError: the recipe's teacher is not there, or lacks a network.
        CohortError: as ``open_films``.
    """
    teacher = None if recipe.dense.teacher is None else Path(recipe.dense.teacher)
    dense = recipe.network.name in DENSE
    return open_films(
        cases,
        recipe.preprocess,
        folder,
        lungs=teacher if dense else None,
        draw=Drawer(teacher) if dense else None,
        progress=progress,
    )


def _is_done(recipe: Recipe, folder: Path) -> bool:
    wanted = [METRICS, CHECKPOINT, *([GIVEN] if recipe.network.name in DENSE else [])]
    return all((folder / name).is_file() for name in wanted)


def _open_val(recipe: Recipe, cases: pd.DataFrame, folder: Path, *, progress: bool) -> Films:
    """Open the films of val, which decisions are fitted on; those of train stand there unopened."""
    refused = read_table(folder.with_name(REFUSED), ("case_id",))
    cases = cases[~cases["case_id"].isin(refused["case_id"])].reset_index(drop=True)
    is_val = (cases["split"] == "val").to_numpy()
    teacher = recipe.dense.teacher if recipe.network.name in DENSE else None
    val = open_films(
        cases[is_val].reset_index(drop=True),
        recipe.preprocess,
        folder,
        lungs=None if teacher is None else Path(teacher),
        progress=progress,
    )
    opened = set(val.cases["case_id"])
    cases = cases[~is_val | cases["case_id"].isin(opened).to_numpy()].reset_index(drop=True)
    rows = np.full(len(cases), len(val.squares), np.int64)  # no such square
    rows[(cases["split"] == "val").to_numpy()] = val.rows
    refused = pd.concat([refused, val.refused], ignore_index=True)
    return replace(val, cases=cases, rows=rows, refused=refused)


def _members(recipe: Recipe, out: Path) -> list[tuple[Recipe, Path]]:
    """Return the recipe and the folder of each member; one network alone has the run's own."""
    count, seed = recipe.fit.members, recipe.fit.seed
    if count == 1:
        return [(recipe, out)]
    each = [{"members": 1, "seed": seed + place} for place in range(count)]
    fits = [recipe.fit.model_copy(update=update) for update in each]
    recipes = [recipe.model_copy(update={"fit": fit}) for fit in fits]
    return [(one, out / f"member-{place}") for place, one in enumerate(recipes, 1)]


def _together(results: list[FitResult], out: Path) -> FitResult:
    """Return the members' results as one: their mean, and the curves of the first."""
    network = EnsembleNetwork([result.network for result in results]).eval()
    seconds = sum(result.seconds for result in results)
    return replace(results[0], network=network, seconds=seconds, folder=out)


def _fit(
    recipe: Recipe,
    train: Films,
    val: Films,
    out: Path,
    *,
    device: str,
    devices: int,
    progress: bool,
) -> FitResult:
    if device in ("cpu", "auto"):
        keep_freed_memory()
    curves = Curves(out)
    settings = recipe.fit
    best = KeepBest(
        out,
        curves,
        monitor=settings.monitor,
        patience=settings.patience,
        average=settings.average_epochs,
    )
    bars = [ProgressBar(curves)] if progress else []
    trainer = _trainer(recipe, out, [curves, *bars, best], device=device, devices=devices)
    loader = _train_loader(train, recipe, rank=trainer.global_rank, world=trainer.world_size)
    network = _network(recipe)
    kind = DenseLearner if recipe.network.name in DENSE else Learner
    learner = kind(network, recipe, len(loader), train.cases)
    # A run that is whole is only packed again: its numbers must not move by a resume.
    if not _finished(out, best, curves, settings.epochs):
        for name in (METRICS, GIVEN):
            (out / name).unlink(missing_ok=True)
        _run(trainer, learner, loader, _val_loader(val, recipe), out / CHECKPOINT)
    if not trainer.is_global_zero:
        raise SystemExit(0)  # a process of a multi-device run; the first one goes on
    learner.network.load_state_dict(best.weights)
    network = _in_order(learner.network.cpu().eval(), torch.contiguous_format)
    if isinstance(network, DenseNetwork):
        learn_given(network, train, recipe.preprocess, out / GIVEN)
    _write_metrics(recipe, best, curves.rows, out)
    name = _device_name(trainer)
    return FitResult(network, train, val, best.best_epoch, curves.rows, best.elapsed(), name, out)


def claim(out: Path, recipe: TomlRecipe, *, resume: bool) -> None:
    """Take ``out`` as the folder of this run, or raise ``ConfigError`` when it is another's.

    What a bundle is called and how it is stored may change: it is packed anew.
    """
    if is_secondary():
        return
    stored = out / RECIPE
    if stored.is_file() and resume:
        unlike = type(recipe).load(stored).differs_from(recipe)
        if different := [each for each in unlike if not each.startswith("bundle.")]:
            raise ConfigError(
                f"{out}: cannot resume, the recipe differs in {'; '.join(different)}",
                hint="train into another folder with --out",
            )
    elif stored.is_file():
        raise ConfigError(
            f"{out}: holds a run already", hint="--resume goes on with it, --out starts another"
        )
    write_text(stored, recipe.to_toml())


@contextmanager
def claimed(out: Path, recipe: TomlRecipe, *, resume: bool) -> Iterator[None]:
    """Take ``out`` as ``claim`` does, and give it back if what must precede the run fails."""
    fresh = not is_secondary() and not (out / RECIPE).is_file()
    claim(out, recipe, resume=resume)
    try:
        yield
    except HilumError:
        if fresh:
            (out / RECIPE).unlink(missing_ok=True)
        raise


def check_recipe(recipe: Recipe, device: str) -> None:
    """Refuse a network that cannot be built and a device that is not there, before films are read.

    Raises:
        ConfigError: with the name and what is known.
        MissingExtraError: weights of the network are not installed.
    """
    _network(recipe)
    if device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("device 'gpu': no GPU is here", hint="--device cpu runs everywhere")


def is_secondary() -> bool:
    """True in the second and further processes of a run on several devices."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


def check_classes(cases: pd.DataFrame, recipe: Recipe) -> None:
    """Raise ``CohortError`` unless train and val have both classes of every label."""
    for split in ("train", "val"):
        part = cases[cases["split"] == split]
        for label in recipe.data.labels:
            for value in (1, 0):
                if not (part[label.value] == value).any():
                    raise CohortError(
                        f"split '{split}' has no film with {label.value} = {value}, "
                        f"of {len(part)} films",
                        hint="add films, leave the label out of data.labels, or split again",
                    )


def films_to_learn(cases: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Return the films of train and val.

    Raises:
        CohortError: a column is missing, or a split has films of one class.
    """
    needed = ["case_id", "path", "source", "split", *(label.value for label in recipe.data.labels)]
    if lacking := [name for name in needed if name not in cases.columns]:
        raise CohortError(
            f"cases table: no column {', '.join(lacking)}; found {', '.join(cases.columns)}",
            hint="'hilum cohort split' writes the column split, 'hilum cohort read' the labels",
        )
    check_classes(cases, recipe)
    return cases[cases["split"].isin(["train", "val"])].reset_index(drop=True)


def _network(recipe: Recipe) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(recipe.fit.seed, WEIGHTS))
        network = build_network(
            recipe.network.name,
            labels=len(recipe.data.labels),
            channels=recipe.preprocess.channels,
            size=recipe.preprocess.size,
            **recipe.network.options,
        )
    if recipe.fit.channels_last:
        network = _in_order(network, torch.channels_last)
    return network


def _in_order(network: nn.Module, order: torch.memory_format) -> nn.Module:
    return network.to(memory_format=order)  # type: ignore[call-overload, no-any-return]


def _train_loader(films: Films, recipe: Recipe, *, rank: int, world: int) -> DataLoader[Batch]:
    settings = recipe.fit
    balanced = settings.balance != "as-is"
    labels = [label.value for label in recipe.data.labels]
    weights = balanced_weights(films.cases, labels, settings.balance) if balanced else None
    if weights is not None and recipe.network.name in DENSE:
        weights = film_weights(films.cases, recipe)
    sampler = EpochSampler(len(films.cases), weights, settings.seed, rank=rank, world=world)
    whole_batches = balanced and len(sampler) >= settings.batch_size
    return DataLoader(
        FilmDataset(films, labels),
        batch_size=settings.batch_size,
        sampler=sampler,
        drop_last=whole_batches,  # films are drawn anew every epoch; each film once otherwise
        collate_fn=_as_it_is,
    )


def _val_loader(films: Films, recipe: Recipe) -> DataLoader[Batch]:
    dataset = FilmDataset(films, [label.value for label in recipe.data.labels])
    return DataLoader(dataset, batch_size=2 * recipe.fit.batch_size, collate_fn=_as_it_is)


def _as_it_is(batch: Any) -> Any:
    return batch


def _trainer(
    recipe: Recipe, out: Path, callbacks: list[Any], *, device: str, devices: int
) -> Trainer:
    settings = recipe.fit
    try:
        return Trainer(
            accelerator=device,
            devices=devices,
            strategy="ddp" if devices > 1 else "auto",
            precision=settings.precision,
            max_epochs=settings.epochs,
            gradient_clip_val=settings.gradient_clip,
            deterministic=settings.deterministic,
            callbacks=callbacks,
            plugins=[WholeCheckpoints()],
            logger=build_loggers(settings.loggers, out, recipe.bundle.name),
            default_root_dir=out,
            use_distributed_sampler=False,  # EpochSampler divides the films itself
            log_every_n_steps=1,  # Curves does the logging, once an epoch
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError) as error:
        raise ConfigError(
            f"device '{device}' x {devices}, precision {settings.precision}: {error}",
            hint='--device cpu runs everywhere; "16-mixed" needs a GPU',
        ) from None


def _run(
    trainer: Trainer,
    learner: Learner,
    train: DataLoader[Batch],
    val: DataLoader[Batch],
    checkpoint: Path,
) -> None:
    stored = checkpoint if checkpoint.is_file() else None
    try:
        trainer.fit(learner, train, val, ckpt_path=stored)
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None  # Lightning turns Ctrl-C into an exit of its own
        raise


def _finished(out: Path, best: KeepBest, curves: Curves, epochs: int) -> bool:
    """Load a checkpoint that has nothing left to train; False when there is work to do."""
    if not (out / CHECKPOINT).is_file():
        return False
    states = torch.load(out / CHECKPOINT, map_location="cpu", weights_only=True)["callbacks"]
    curves.load_state_dict(states[curves.state_key])
    best.load_state_dict(states[best.state_key])
    return len(curves.rows) >= epochs or best.exhausted


def _write_metrics(recipe: Recipe, best: KeepBest, rows: list[dict[str, float]], out: Path) -> None:
    metrics = {
        "monitor": recipe.fit.monitor,
        "best_epoch": best.best_epoch,
        "best": rows[best.best_epoch - 1],
        "epochs": rows,
    }
    text = json.dumps(_no_nan(metrics), indent=2, allow_nan=False)
    write_text(out / METRICS, text + "\n")


def _no_nan(value: Any) -> Any:
    """Return ``value`` with NaN as None: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _no_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_no_nan(item) for item in value]
    return None if value != value else value


def _device_name(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextmanager
def _considerate() -> Iterator[None]:
    """Keep Lightning's talk out of the terminal, and leave torch's switches as they were."""
    talkers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [talker.level for talker in talkers]
    deterministic = torch.are_deterministic_algorithms_enabled()
    for talker in talkers:
        talker.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng():
            for message in _EXPECTED:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        for talker, level in zip(talkers, levels, strict=True):
            talker.setLevel(level)


_EXPECTED = (
    r".*LeafSpec.*",  # Lightning 2.6 calls torch 2.13 by an old name
    r".*does not have many workers.*",  # films are in memory; workers would only copy them
    r".*GPU available but not used.*",  # --device cpu means it
    r".*in eval mode at the start of training.*",  # blocks that are frozen on purpose
    r".*Checkpoint directory .* exists and is not empty.*",  # so it is after --resume
    r".*Experiment logs directory .* exists and is not empty.*",
)

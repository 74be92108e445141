"""Train the lung network; a run that was killed goes on after its last whole epoch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import torch
from monai.losses.dice import DiceCELoss
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from hilum.core.files import atomic_path
from hilum.learn.augment import augment_with_mask
from hilum.learn.lungs.films import Masked
from hilum.learn.lungs.network import LungNetwork
from hilum.learn.lungs.recipe import LungRecipe
from hilum.learn.module import standardise
from hilum.learn.seeds import AUGMENTATION, ORDER, WEIGHTS, derive_seed, generator

CHECKPOINT = "checkpoint.pt"


class Fitted(NamedTuple):
    """A trained network.

    Attributes:
        network: in evaluation mode.
        losses: mean loss of each epoch.
        seconds: of each epoch, those before a break included.
    """

    network: LungNetwork
    losses: list[float]
    seconds: list[float]


def fit_lungs(recipe: LungRecipe, train: Masked, out: Path, *, progress: bool = True) -> Fitted:
    """Train on ``train``.

    Args:
        recipe: of the run.
        train: films and masks.
        out: folder of the checkpoint; a run in it is continued.
    """
    fit = recipe.fit
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(fit.seed, WEIGHTS))
        network = LungNetwork(recipe.preprocess.size)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learned = _freeze(network, fit.frozen_blocks)
    optimizer = AdamW(learned, fit.learning_rate, weight_decay=fit.weight_decay)
    steps = -(-len(train.cases) // fit.batch_size)
    schedule = OneCycleLR(optimizer, fit.learning_rate, total_steps=steps * fit.epochs)
    losses, seconds = _resume(out / CHECKPOINT, network, optimizer, schedule)
    for epoch in range(len(losses), fit.epochs):
        started = perf_counter()
        network.train()
        _freeze(network, fit.frozen_blocks)
        losses.append(_epoch(network, optimizer, schedule, recipe, train, epoch, progress))
        seconds.append(perf_counter() - started)
        _keep(out / CHECKPOINT, network, optimizer, schedule, losses, seconds)
    return Fitted(network.eval(), losses, seconds)


def _epoch(
    network: LungNetwork,
    optimizer: AdamW,
    schedule: OneCycleLR,
    recipe: LungRecipe,
    train: Masked,
    epoch: int,
    progress: bool,
) -> float:
    loss_of = DiceCELoss(sigmoid=True)
    total = 0.0
    batches = list(_batches(len(train.cases), recipe.fit.batch_size, recipe.fit.seed, epoch))
    bar = tqdm(batches, desc=f"epoch {epoch + 1}", disable=None if progress else True)
    for place, rows in enumerate(bar):
        random = generator(recipe.fit.seed, AUGMENTATION, epoch, place)
        squares, masks = augment_with_mask(
            train.squares[rows], train.masks[rows], recipe.augmentation, random
        )
        films = standardise(squares, recipe.preprocess).contiguous(
            memory_format=torch.channels_last
        )
        loss = loss_of(network(films).lungs, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item() * len(rows)
    return total / len(train.cases)


def _batches(films: int, size: int, seed: int, epoch: int) -> Iterator[Tensor]:
    yield from torch.split(torch.randperm(films, generator=generator(seed, ORDER, epoch)), size)


def _freeze(network: LungNetwork, blocks: int) -> list[torch.nn.Parameter]:
    """Stop the stem and the first blocks, their running statistics too; return what learns."""
    for part in (network.stem, *network.blocks[:blocks]) if blocks else ():
        part.eval().requires_grad_(False)
    return [each for each in network.parameters() if each.requires_grad]


def _resume(
    path: Path, network: LungNetwork, optimizer: AdamW, schedule: OneCycleLR
) -> tuple[list[float], list[float]]:
    if not path.is_file():
        return [], []
    state = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return list(state["losses"]), list(state["seconds"])


def _keep(
    path: Path,
    network: LungNetwork,
    optimizer: AdamW,
    schedule: OneCycleLR,
    losses: list[float],
    seconds: list[float],
) -> None:
    with atomic_path(path) as temporary:
        torch.save(
            {
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "losses": losses,
                "seconds": seconds,
            },
            temporary,
        )

"""Train a network of opacities; a run that was killed goes on from its last checkpoint."""

from __future__ import annotations

import math
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from hilum.core.errors import TrainingError
from hilum.core.files import atomic_path
from hilum.learn.opacities.batches import make_batch
from hilum.learn.opacities.films import Films
from hilum.learn.opacities.loss import loss_of
from hilum.learn.opacities.networks import build
from hilum.learn.opacities.recipe import OpacityRecipe
from hilum.learn.seeds import WEIGHTS, derive_seed

CHECKPOINT = "checkpoint.pt"
_EVERY = 60
"""Steps between two checkpoints."""


Parts = dict[str, nn.Module | AdamW | OneCycleLR]


class Fitted(NamedTuple):
    """A trained network.

    Attributes:
        network: in evaluation mode.
        losses: of each step.
        seconds: all steps together, those before a break included.
    """

    network: nn.Module
    losses: list[float]
    seconds: float


def fit_opacities(
    recipe: OpacityRecipe, films: Films, out: Path, *, progress: bool = True, name: str = "fit"
) -> Fitted:
    """Train on ``films``.

    Args:
        recipe: of the run.
        films: none of which is held out.
        out: folder of the checkpoint; a run in it is continued.
        progress: show a bar on a terminal.
        name: that the bar shows.

    Raises:
        TrainingError: the loss is not a number; the last checkpoint before it is kept.
    """
    fit = recipe.fit
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(fit.seed, WEIGHTS))
        network = build(recipe.network, recipe.preprocess.size)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learned = [each for each in network.parameters() if each.requires_grad]
    optimizer = AdamW(learned, fit.learning_rate, weight_decay=fit.weight_decay)
    schedule = OneCycleLR(optimizer, fit.learning_rate, total_steps=fit.steps)
    parts: Parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
    losses, before = _resume(out / CHECKPOINT, parts)
    started = perf_counter()
    network.train()
    steps = range(len(losses), fit.steps)
    for step in tqdm(steps, desc=name, unit="batch", disable=None if progress else True):
        losses.append(_step(network, optimizer, films, recipe, step))
        if not math.isfinite(losses[-1]):
            raise TrainingError(
                f"{name}, step {step + 1}: the loss is {losses[-1]}",
                hint="lower fit.learning_rate; the last checkpoint is kept",
            )
        schedule.step()
        if (step + 1) % _EVERY == 0 or step + 1 == fit.steps:
            _keep(out / CHECKPOINT, parts, losses, before + perf_counter() - started)
    return Fitted(network.eval(), losses, before + perf_counter() - started)


def _step(
    network: nn.Module, optimizer: AdamW, films: Films, recipe: OpacityRecipe, step: int
) -> float:
    batch = make_batch(films, recipe, step)
    inputs = batch.films.contiguous(memory_format=torch.channels_last)
    loss = loss_of(network(inputs), batch, recipe.fit.box_share)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    return loss.item()


def _resume(
    path: Path, parts: dict[str, nn.Module | AdamW | OneCycleLR]
) -> tuple[list[float], float]:
    if not path.is_file():
        return [], 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return list(state["losses"]), float(state["seconds"])


def _keep(
    path: Path,
    parts: dict[str, nn.Module | AdamW | OneCycleLR],
    losses: list[float],
    seconds: float,
) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.save(state | {"losses": losses, "seconds": seconds}, temporary)

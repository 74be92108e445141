"""A plain training loop, as the papers had it: Adam, binary cross-entropy, so many epochs.

It is fast because films stay in memory as one tensor, an epoch is augmented in one call, and the
network works in channels-last order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from hilum.core.config import Config
from hilum.core.errors import TrainingError
from hilum.learn.augment import Augmentation, augment
from hilum.learn.networks import build_network
from hilum.learn.seeds import AUGMENTATION, ORDER, WEIGHTS, derive_seed, generator

_AT_A_TIME = 64


class Training(Config):
    """Everything that a run of the loop depends on, besides the films.

    Attributes:
        network: a key of ``NETWORKS``; ``network_options`` are its own.
        channels, size: of the input; grey films are repeated over 3 channels.
        epochs, batch_size, learning_rate: of Adam, with Keras's epsilon of 1e-7.
        mean, std: the network sees ``(x - mean) / std`` of x in [0, 1].
        augmentation: of the training films.
        seed: of weights, order of films, augmentation and dropout.
    """

    network: str
    network_options: dict[str, Any] = Field(default_factory=dict)
    channels: Literal[1, 3] = 3
    size: int = 64
    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 1e-3
    mean: float = 0.0
    std: float = 1.0
    augmentation: Augmentation = Augmentation.off()
    seed: int = 0


class Epoch(Config):
    """One epoch of a curve; those of the test films are None where it was not asked for.

    Attributes:
        loss, accuracy: mean over the augmented batches as they were trained on, as Keras has it.
        test_loss, test_accuracy: after the epoch.
    """

    epoch: int
    loss: float
    accuracy: float
    test_loss: float | None = None
    test_accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """Films with their truth.

    Attributes:
        squares: float32 (n, 1, S, S) in [0, 1].
        truth: float32 (n,), 1 or 0.
    """

    squares: Tensor
    truth: Tensor


@dataclass(frozen=True, slots=True)
class Trained:
    """What the loop leaves: the network in evaluation mode, its curve, and the time it took."""

    network: nn.Module
    curve: list[Epoch]
    seconds: float
    cpu_seconds: float


def train(
    training: Training,
    films: Labelled,
    *,
    watched: Labelled | None = None,
    tell: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """Train a network.

    Args:
        training: the run.
        films: to train on.
        watched: films to measure after every epoch, for the graph alone; nothing is chosen by it.
        tell: called after every epoch.

    Raises:
        ConfigError: an unknown network or option.
        TrainingError: the loss became NaN.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(training.seed, WEIGHTS))
        network = new_network(training)
        optimizer = torch.optim.Adam(
            network.parameters(), lr=training.learning_rate, eps=1e-7, fused=True
        )
        chance = (generator(training.seed, ORDER), generator(training.seed, AUGMENTATION))
        started, cpu = time.perf_counter(), time.process_time()
        curve = []
        for number in range(1, training.epochs + 1):
            loss, accuracy = train_epoch(network, optimizer, training, films, *chance)
            curve.append(_measured(network, training, watched, number, loss, accuracy))
            tell(curve[-1])
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Trained(network.eval(), curve, seconds, cpu)


def new_network(training: Training) -> nn.Module:
    """Build the network of a run, with one logit, in channels-last order."""
    network = build_network(
        training.network,
        labels=1,
        channels=training.channels,
        size=training.size,
        **training.network_options,
    )
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    training: Training,
    films: Labelled,
    order: torch.Generator,
    chance: torch.Generator,
) -> tuple[float, float]:
    """Train on every film once; return the mean loss and accuracy over its batches."""
    network.train()
    inputs = to_inputs(augment(films.squares, training.augmentation, chance), training)
    places = torch.randperm(len(films.truth), generator=order)
    losses, right = [], []
    for batch in torch.split(places, training.batch_size):
        truth = films.truth[batch]
        logits = network(_last(inputs[batch])).logits[:, 0]
        loss = binary_cross_entropy_with_logits(logits, truth)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.detach() * len(batch))
        right.append(((logits.detach() > 0) == (truth > 0.5)).sum())
    return float(sum(losses)) / len(places), float(sum(right)) / len(places)


def to_inputs(squares: Tensor, training: Training) -> Tensor:
    """Standardise squares, float32 (n, 1, S, S), and repeat them: float32 (n, C, S, S)."""
    return ((squares - training.mean) / training.std).expand(-1, training.channels, -1, -1)


def score(network: nn.Module, training: Training, squares: Tensor) -> NDArray[np.float64]:
    """Return the score of each film, float64 (n,) in [0, 1]."""
    network.eval()
    with torch.inference_mode():
        parts = [
            network(_last(to_inputs(part, training))).logits[:, 0]
            for part in torch.split(squares, _AT_A_TIME)
        ]
    return torch.cat(parts).double().sigmoid().numpy()


def _last(inputs: Tensor) -> Tensor:
    return inputs.contiguous(memory_format=torch.channels_last)


def _measured(
    network: nn.Module,
    training: Training,
    watched: Labelled | None,
    number: int,
    loss: float,
    accuracy: float,
) -> Epoch:
    if not np.isfinite(loss):
        raise TrainingError(
            f"{training.network}: the loss is {loss} in epoch {number}",
            hint="a smaller learning rate",
        )
    if watched is None:
        return Epoch(epoch=number, loss=loss, accuracy=accuracy)
    scores = torch.from_numpy(score(network, training, watched.squares)).clamp(1e-7, 1 - 1e-7)
    truth = watched.truth.double()
    return Epoch(
        epoch=number,
        loss=loss,
        accuracy=accuracy,
        test_loss=float(torch.nn.functional.binary_cross_entropy(scores, truth)),
        test_accuracy=float(((scores >= 0.5) == (truth > 0.5)).double().mean()),
    )

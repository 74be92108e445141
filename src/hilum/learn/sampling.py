"""Sampling: which films an epoch shows, balanced over classes and sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler, WeightedRandomSampler

from hilum.learn.seeds import ORDER, generator


def balanced_weights(
    cases: pd.DataFrame, labels: Sequence[str], balance: str
) -> NDArray[np.float64]:
    """Return the chance of each film to be drawn, float64 (n,), summing to 1.

    The class of a film is the first of ``labels`` that is present, or none of them. Each class
    gets the same chance, so that none is drowned by a larger one.

    Args:
        cases: with the columns of ``labels`` and ``source``.
        labels: those that the network learns, in its order.
        balance: "class": within a class each film alike. "class-and-source": within a class a
            source of n films gets a share proportional to the square root of n, so that the
            largest collection does not speak for all, and a site of three films is not seen
            hundreds of times. "as-is": each film alike.
    """
    if balance == "as-is":
        return np.full(len(cases), 1 / len(cases))
    classes = class_of(cases, labels)
    cells = classes.map(str) + "|" + cases["source"].astype(str)
    within = np.ones(len(cases))
    if balance == "class-and-source":
        within = 1 / np.sqrt(cells.map(cells.value_counts()).to_numpy(np.float64))
    total = pd.Series(within).groupby(classes.to_numpy()).transform("sum").to_numpy()
    return np.asarray(within / total / classes.nunique())


def class_of(cases: pd.DataFrame, labels: Sequence[str]) -> pd.Series:
    """Return the place of the first label that is present, or the number of labels: int (n,)."""
    present = (cases[list(labels)] == 1).to_numpy()
    first = np.where(present.any(1), present.argmax(1), len(labels))
    return pd.Series(first, index=cases.index)


class EpochSampler(Sampler[int]):
    """The order of films in each epoch; it follows from (seed, epoch) alone.

    Args:
        weights: chance of each film, (n,); None shows each film once, in random order.
        seed: of the run.
        rank, world: with several devices, each takes every ``world``-th film of the same order.
    """

    def __init__(
        self,
        films: int,
        weights: NDArray[np.float64] | None,
        seed: int,
        *,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.films, self.weights, self.seed = films, weights, seed
        self.rank, self.world = rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Films per device and epoch."""
        return self.films // self.world

    def __iter__(self) -> Iterator[int]:
        """Yield indices of films."""
        order = self._order(generator(self.seed, ORDER, self.epoch))
        return iter(order[self.rank : len(self) * self.world : self.world])

    def _order(self, random: torch.Generator) -> list[int]:
        if self.weights is None:
            return torch.randperm(self.films, generator=random).tolist()
        return list(WeightedRandomSampler(self.weights.tolist(), self.films, generator=random))

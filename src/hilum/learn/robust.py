"""Robust: a loss that holds a network off the source of a film, by cells of class and source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from hilum.learn.sampling import class_of


class Cells(NamedTuple):
    """Class and source of each training film.

    Attributes:
        classes: int64 (n,), the place of the first label that is present, or the number of labels.
        sources: int64 (n,), the place of the source.
        together: bool (classes, sources), True where some film has both.
    """

    classes: Tensor
    sources: Tensor
    together: Tensor

    @classmethod
    def of(cls, cases: pd.DataFrame, labels: Sequence[str], by: str = "cohort") -> Cells:
        """Return the cells of training films, from their labels and the column ``by``."""
        classes = torch.from_numpy(class_of(cases, labels).to_numpy().copy())
        codes, names = pd.factorize(cases[by].astype(str), sort=True)
        sources = torch.from_numpy(codes.astype("int64"))
        together = torch.zeros(len(labels) + 1, len(names), dtype=torch.bool)
        together[classes, sources] = True
        return cls(classes, sources, together)


class GroupRobust(nn.Module):
    """Weighs the loss of each cell by how badly it goes (group DRO: Sagawa et al., ICLR 2020).

    Args:
        cells: of the training films.
        step: eta of the exponentiated gradient on the weights.
    """

    weights: Tensor

    def __init__(self, cells: Cells, step: float) -> None:
        super().__init__()
        self.step = step
        self.of_film = cells.classes * cells.together.shape[1] + cells.sources
        self.register_buffer("weights", torch.ones(cells.together.numel()))

    def forward(self, losses: Tensor, rows: Tensor) -> Tensor:
        """Return the weighted mean of the losses of a batch, float (N,); moves the weights."""
        cells = self.of_film[rows.cpu()]
        present, place = torch.unique(cells, return_inverse=True)
        sums = torch.zeros(len(present)).index_add(0, place, losses.cpu())
        means = (sums / torch.bincount(place)).to(losses.device)
        self.weights[present] *= (self.step * means.detach()).exp()
        self.weights /= self.weights.mean()
        shares = self.weights[present] / self.weights[present].sum()
        return (shares * means).sum()

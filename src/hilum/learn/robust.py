"""Robust: losses that hold a network off the source of a film.

Both work on cells: a class and a source. In pooled collections the sources of one class are hardly
ever those of another, so a network that forgot its source altogether would forget the class as
well; the adversary therefore asks for the source among those that have the film's own class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

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


class SourceAdversary(nn.Module):
    """Guesses the source of a film from its embedding; the network learns to leave no trace.

    Gradient reversal (Ganin et al., JMLR 2016), conditional on the class (Li et al., ECCV 2018).

    Args:
        width: E of the embedding, (N, E).
        cells: of the training films.
        weight: of the reversed gradient.
    """

    def __init__(self, width: int, cells: Cells, weight: float) -> None:
        super().__init__()
        self.cells, self.weight = cells, weight
        self.guess = nn.Linear(width, cells.together.shape[1])

    def forward(self, embedding: Tensor, rows: Tensor) -> Tensor:
        """Return the cross-entropy of the guess, a scalar; its gradient reaches ``embedding``
        with its sign turned."""
        turned = _Reverse.apply(embedding.float(), self.weight)  # type: ignore[no-untyped-call]
        allowed = self.cells.together.to(rows.device)[self.cells.classes[rows.cpu()]]
        logits = self.guess(turned).masked_fill(~allowed, -1e4)
        loss: Tensor = functional.cross_entropy(
            logits, self.cells.sources[rows.cpu()].to(logits.device)
        )
        return loss


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None


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

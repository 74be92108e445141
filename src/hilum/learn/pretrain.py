"""Pretrain: learn from films alone, before any label is seen (VICReg: Bardes et al., ICLR 2022).

Two changed copies of a film shall have the same embedding, while the embeddings of a batch stay
spread out and their dimensions apart. Only training films are used: a film that is left out of
training is left out here too, although no label would leak.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from hilum.learn.augment import augment
from hilum.learn.films import FilmDataset, Films
from hilum.learn.module import standardise
from hilum.learn.networks.output import EvidenceNetwork
from hilum.learn.recipe import Recipe
from hilum.learn.seeds import PRETRAINING, generator

_WIDTH = 512
_SIMILAR, _SPREAD, _APART = 25.0, 25.0, 1.0


def pretrain(
    network: EvidenceNetwork, films: Films, recipe: Recipe, *, progress: bool = True
) -> list[float]:
    """Move the backbone of ``network`` in place; return the mean loss of each epoch.

    Args:
        network: its head is not touched.
        films: those of train; their labels are not read.
        recipe: ``fit.pretrain_epochs``, batch size, learning rate, seed; ``augmentation`` makes
            the copies.
    """
    fit = recipe.fit
    seed = generator(fit.seed, PRETRAINING)
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**31, (), generator=seed)))
        head = _projector(network.evidence.in_channels)
    learned = nn.ModuleList([network.backbone, head]).parameters()
    optimizer = AdamW([each for each in learned if each.requires_grad], fit.learning_rate)
    steps = len(films.cases) // fit.batch_size * fit.pretrain_epochs
    schedule = OneCycleLR(optimizer, fit.learning_rate, total_steps=steps)
    dataset, losses = FilmDataset(films, [label.value for label in recipe.data.labels]), []
    network.train()
    bar = tqdm(total=steps, desc="pretrain", disable=None if progress else True)
    for _ in range(fit.pretrain_epochs):
        total, order = 0.0, torch.randperm(len(dataset), generator=seed)
        whole = len(dataset) // fit.batch_size * fit.batch_size
        batches = torch.split(order[:whole], fit.batch_size)
        for rows in batches:
            squares = dataset.__getitems__(rows.tolist()).squares
            one, other = (
                head(_embed(network, augment(squares, recipe.augmentation, seed), recipe))
                for _ in range(2)
            )
            loss = vicreg(one, other)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item()
            bar.update()
        losses.append(total / max(len(batches), 1))
    bar.close()
    return losses


def vicreg(one: Tensor, other: Tensor) -> Tensor:
    """Return the loss of two embeddings of the same films, float (N, E) each; a scalar >= 0."""
    alike = functional.mse_loss(one, other)
    spread = _spread(one) + _spread(other)
    apart = _covariance(one) + _covariance(other)
    return _SIMILAR * alike + _SPREAD * spread / 2 + _APART * apart


def _spread(vectors: Tensor) -> Tensor:
    return functional.relu(1 - (vectors.var(0) + 1e-4).sqrt()).mean()


def _covariance(vectors: Tensor) -> Tensor:
    centered = vectors - vectors.mean(0)
    matrix = centered.T @ centered / (len(vectors) - 1)
    off = matrix - torch.diag(matrix.diagonal())
    return off.pow(2).sum() / vectors.shape[1]


def _embed(network: EvidenceNetwork, squares: Tensor, recipe: Recipe) -> Tensor:
    films = standardise(squares, recipe.preprocess).contiguous(memory_format=torch.channels_last)
    features: Tensor = network.backbone(films)
    return features.mean((2, 3))


def _projector(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, _WIDTH), nn.BatchNorm1d(_WIDTH), nn.ReLU(), nn.Linear(_WIDTH, _WIDTH)
    )

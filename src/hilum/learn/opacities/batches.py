"""Batches: films of every material in the shares of a recipe, lesions drawn anew each time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hilum.image.opacities import KINDS
from hilum.learn.augment import augment_with_mask
from hilum.learn.module import standardise
from hilum.learn.opacities.films import BOXED, CLEAR, DRAWN, VIRTUAL, Films
from hilum.learn.opacities.recipe import OpacityRecipe
from hilum.learn.opacities.synthetic import add_lesions
from hilum.learn.seeds import AUGMENTATION, ORDER, derive_seed, generator

SYNTHETIC = "synthetic"
_LUNGS = len(KINDS)


class Batch(NamedTuple):
    """Some films to learn from.

    Attributes:
        films: float32 (N, 1, S, S), standardised.
        kinds: float32 (N, K, S, S), 1 where a kind is.
        lungs: float32 (N, 1, S, S), 1 inside.
        boxes: float32 (N, 4, S, S), 1 inside each box.
        drawn: bool (N,), whether ``kinds`` is known; else ``boxes`` are all that is.
    """

    films: Tensor
    kinds: Tensor
    lungs: Tensor
    boxes: Tensor
    drawn: Tensor


def make_batch(films: Films, recipe: OpacityRecipe, step: int) -> Batch:
    """Draw the batch of one step; it depends on nothing but the seed and the step."""
    fit = recipe.fit
    random = np.random.default_rng(derive_seed(fit.seed, ORDER, step))
    shares = shares_of(recipe)
    materials = random.choice(list(shares), size=fit.batch_size, p=list(shares.values()))
    rows = [_row(films, str(material), random) for material in materials]
    squares, targets = films.squares[rows].clone(), films.targets[rows].float()
    for place in np.flatnonzero(materials == SYNTHETIC):
        inside = targets[place, _LUNGS].numpy() > 0
        film, masks = add_lesions(squares[place, 0].numpy(), inside, random)
        squares[place, 0] = torch.from_numpy(film)
        targets[place, :_LUNGS] = torch.from_numpy(masks.astype(np.float32))
    squares, targets = augment_with_mask(
        squares, targets, recipe.augmentation, generator(fit.seed, AUGMENTATION, step)
    )
    return Batch(
        standardise(squares, recipe.preprocess),
        targets[:, :_LUNGS],
        targets[:, _LUNGS : _LUNGS + 1],
        targets[:, _LUNGS + 1 :],
        torch.from_numpy(materials != BOXED),
    )


def shares_of(recipe: OpacityRecipe) -> dict[str, float]:
    """Return material -> its share of a batch; drawn films take what is left."""
    material = recipe.material
    extras = {
        CLEAR: material.clear,
        SYNTHETIC: material.synthetic,
        BOXED: material.boxed,
        VIRTUAL: material.virtual,
    }
    return {DRAWN: 1 - sum(extras.values())} | {name: part for name, part in extras.items() if part}


def _row(films: Films, material: str, random: np.random.Generator) -> int:
    """Draw one film of a material; a synthetic one starts from a clear one."""
    return int(random.choice(films.rows(CLEAR if material == SYNTHETIC else material)))

"""Cross-validation: every film is scored by a network that never saw its patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hilum.bundle.opacities import place
from hilum.core.files import atomic_path
from hilum.image.opacities import KINDS
from hilum.learn.module import standardise
from hilum.learn.opacities.films import Films
from hilum.learn.opacities.fit import CHECKPOINT, fit_opacities
from hilum.learn.opacities.recipe import OpacityRecipe

SCORES = "scores.npz"
_AT_A_TIME = 16

Scores = NDArray[np.float32]
"""float32 (n, K, s, s) in [0, 1], on the square that the lungs lie on; 0 outside them."""


def cross_validate(
    recipe: OpacityRecipe, films: Films, out: Path, *, progress: bool = True
) -> Scores:
    """Train one network a fold and score the films of that fold.

    Args:
        recipe: of the run.
        films: of the run; those of fold 0 are learned from by every network.
        out: each fold has a folder in it; a fold that is done is not trained again, and one that
            was broken off goes on from its checkpoint.
        progress: show bars on a terminal.

    Returns:
        The scores of every film that is held out once; NaN for the others.
    """
    scores = np.full(films.truth.shape, np.nan, np.float32)
    folds = films.cases["fold"].to_numpy()
    for fold in range(1, recipe.split.folds + 1):
        held_out = np.flatnonzero(folds == fold)
        scores[held_out] = _fold(recipe, films, held_out, out / f"fold-{fold}", progress)
    return scores


def predict(network: nn.Module, films: Films, recipe: OpacityRecipe) -> Scores:
    """Score films with a network."""
    placed = []
    network.eval()
    for rows in torch.split(torch.arange(len(films.cases)), _AT_A_TIME):
        inputs = standardise(films.squares[rows], recipe.preprocess)
        with torch.inference_mode():
            logits = network(inputs.contiguous(memory_format=torch.channels_last)).numpy()
        pairs = zip(logits, rows, strict=True)
        placed += [place(each, recipe.preprocess, films.lungs[row]) for each, row in pairs]
    return np.stack(placed) if placed else np.zeros((0, len(KINDS), 0, 0), np.float32)


def _fold(
    recipe: OpacityRecipe, films: Films, held_out: NDArray[np.intp], out: Path, progress: bool
) -> Scores:
    ids = films.cases["case_id"].to_numpy(str)[held_out]
    if (out / SCORES).is_file():
        with np.load(out / SCORES, allow_pickle=False) as kept:
            if np.array_equal(kept["case_id"], ids):
                return np.asarray(kept["scores"], np.float32)
    others = np.setdiff1d(np.arange(len(films.cases)), held_out)
    fitted = fit_opacities(recipe, films.take(others), out, progress=progress, name=out.name)
    scores = predict(fitted.network, films.take(held_out), recipe)
    with atomic_path(out / SCORES) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, case_id=ids, scores=scores.astype(np.float16))
    (out / CHECKPOINT).unlink()
    return scores

"""Predict: the network's logits on films, in torch and full precision, without augmentation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hilum.image.preprocess import Preprocess
from hilum.learn.films import Films
from hilum.learn.module import standardise

_AT_A_TIME = 32


def predict_logits(network: nn.Module, films: Films, preprocess: Preprocess) -> NDArray[np.float32]:
    """Return float32 (n, L): row i belongs to row i of ``films.cases``."""
    network.eval()
    parts = [
        _logits(network, inputs_of(films, preprocess, start, start + _AT_A_TIME))
        for start in range(0, len(films.cases), _AT_A_TIME)
    ]
    return np.concatenate(parts)


def inputs_of(
    films: Films, preprocess: Preprocess, start: int = 0, stop: int | None = None
) -> NDArray[np.float32]:
    """Return films ``start`` to ``stop`` as a network takes them: float32 (n, C, S, S)."""
    squares = films.squares[films.rows[start:stop]].astype(np.float32)
    standard = standardise(torch.from_numpy(squares).unsqueeze(1), preprocess)
    return standard.numpy().copy()


def _logits(network: nn.Module, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        logits: NDArray[np.float32] = network(torch.from_numpy(inputs)).logits.float().numpy()
    return logits

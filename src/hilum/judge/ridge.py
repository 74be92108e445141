"""Ridge regression on blocks of features, for a whole path of penalties at once.

Hoerl and Kennard, Technometrics 1970, in its dual form: with more features than films, one
decomposition of the Gram matrix of the films answers every penalty. Every feature is standardized
and every block divided by the root of its size, so that 2,560 numbers of an embedding do not drown
nineteen of grey (the weighting of multiple factor analysis: Escofier and Pages, Computational
Statistics & Data Analysis 1994).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hilum.judge.metrics import Floats

Blocks = Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class LinearMap:
    """Scores as a linear map of features: ``intercepts + sum over blocks of x @ coefficients``.

    Attributes:
        coefficients: block -> (F, T).
        intercepts: (T,).
        penalties: (T,) that cross-validation chose.
    """

    coefficients: dict[str, Floats]
    intercepts: Floats
    penalties: Floats

    def __call__(self, blocks: Blocks) -> Floats:
        """Return (N, T), not clipped."""
        parts = [blocks[name] @ weights for name, weights in self.coefficients.items()]
        return np.asarray(self.intercepts + sum(parts), np.float64)


def ridge_path(
    blocks: Blocks, targets: Floats, weights: Floats, penalties: tuple[float, ...]
) -> list[LinearMap]:
    """Fit a ridge for each penalty.

    Args:
        blocks: group -> float64 (N, F).
        targets: (N, T).
        weights: (N,) of each film, positive; only their proportions count.
        penalties: 1 is the variance of a block, summed over films.
    """
    means = {name: np.average(values, axis=0, weights=weights) for name, values in blocks.items()}
    scales = {name: _scale(values) for name, values in blocks.items()}
    root = np.sqrt(weights / weights.mean())[:, None]
    parts = [(values - means[name]) / scales[name] for name, values in blocks.items()]
    films = np.concatenate(parts, 1) * root
    middle = np.average(targets, axis=0, weights=weights)
    values, vectors = np.linalg.eigh(films @ films.T)
    turned = vectors.T @ ((targets - middle) * root)
    path = []
    for penalty in penalties:
        dual = vectors @ (turned / (np.maximum(values, 0)[:, None] + penalty))
        path.append(_unscaled(films.T @ dual, means, scales, middle, penalty))
    return path


def _unscaled(
    weights: Floats, means: Blocks, scales: Blocks, middle: Floats, penalty: float
) -> LinearMap:
    """Bring weights (F, T) of scaled features into the units of the features."""
    coefficients, start, intercepts = {}, 0, middle.copy()
    for name, scale in scales.items():
        coefficients[name] = weights[start : start + scale.size] / scale[:, None]
        intercepts -= means[name] @ coefficients[name]
        start += scale.size
    return LinearMap(coefficients, intercepts, np.full(intercepts.size, penalty))


def _scale(values: Floats) -> Floats:
    """Standard deviation times the root of the block's size; infinite for a constant feature."""
    spread = values.std(0)
    varies = spread > 1e-6
    root = np.sqrt(max(int(varies.sum()), 1))
    return np.where(varies, spread * root, np.inf)

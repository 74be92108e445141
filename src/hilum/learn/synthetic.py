"""Lesions drawn into films without a finding: cloudy patches, mostly peripheral and low.

In image space: where a patch lies, the film gets lighter and loses contrast, little for
ground-glass (vessels stay visible), much for consolidation. Extent, place, texture and density are
drawn at random. The prior of place follows the usual look of COVID-19 pneumonia, bilateral,
peripheral and lower (Wong et al., Radiology 2020); one film in four ignores it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.radiograph import Pixels
from hilum.image.opacities import KINDS

_MOST = 0.6
"""Largest share of the lungs that is covered."""

_DENSITY = ((0.15, 0.4), (0.4, 0.8))
"""How far grey goes toward the lightest tissue, for each of ``KINDS``: lowest and highest."""


def add_lesions(
    square: Pixels, lungs: NDArray[np.bool_], random: np.random.Generator
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Draw lesions into a film.

    Args:
        square: float32 (S, S) in [0, 1]; it is not changed.
        lungs: bool (S, S).
        random: the only source of chance.

    Returns:
        The film with lesions, float32 (S, S) in [0, 1], and bool (K, S, S): where they are.
    """
    masks = np.zeros((len(KINDS), *square.shape), bool)
    if not lungs.any():
        return square, masks
    likely = _cloud(square.shape[0], random, coarse=random.uniform(0.06, 0.16)) + _place(
        lungs, random
    )
    cuts = _cuts(likely[lungs], random)
    light = float(np.percentile(square, 92))
    film = square.copy()
    for mask, cut, (low, high) in zip(masks, cuts, _DENSITY, strict=True):
        if cut is None:
            continue
        mask[:] = (likely > cut) & lungs
        density = random.uniform(low, high) * _soft(mask, lungs, random)
        film += density * (light - film)
    return np.clip(film, 0, 1).astype(np.float32), masks


def _cuts(likely: NDArray[np.float32], random: np.random.Generator) -> list[float | None]:
    """Levels above which there is an opacity, one a kind; None for a kind that is absent.

    Consolidation is the core of ground-glass in two films of five, alone in one.
    """
    extent = _MOST * random.beta(1.3, 1.8)
    chance = random.random()
    core = extent * random.uniform(0.2, 0.7)
    glass = float(np.quantile(likely, 1 - extent)) if chance < 0.85 else None
    dense = float(np.quantile(likely, 1 - core)) if chance > 0.45 else None
    return [glass, dense]


def _place(lungs: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.float32]:
    """Peripheral and low is likelier; how much so differs from film to film."""
    if random.random() < 0.25:
        return np.zeros(lungs.shape, np.float32)
    depth = cv2.distanceTransform(lungs.astype(np.uint8), cv2.DIST_L2, 5)
    rows = np.flatnonzero(lungs.any(1))
    height = (np.arange(lungs.shape[0]) - rows[0]) / max(np.ptp(rows), 1)
    across = np.abs(np.linspace(-1, 1, lungs.shape[1]))
    outer, low = random.uniform(0, 1.2), random.uniform(0, 1.5)
    near = np.exp(-depth / (0.08 * lungs.shape[0])) * across[None]
    return np.asarray(outer * near + low * height[:, None], np.float32)


def _soft(
    mask: NDArray[np.bool_], lungs: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.float32]:
    """Return how dense a lesion is, in [0, 1]: soft at its border, cloudy inside."""
    sigma = random.uniform(0.01, 0.03) * mask.shape[0]
    border = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma)
    inside = cv2.GaussianBlur(lungs.astype(np.float32), (0, 0), 1.5)
    texture = 1 + random.uniform(0.1, 0.35) * _cloud(mask.shape[0], random, coarse=0.02)
    return np.asarray(border * inside * np.clip(texture, 0, 1.6), np.float32)


def _cloud(size: int, random: np.random.Generator, *, coarse: float) -> NDArray[np.float32]:
    """Smooth noise (S, S) of mean 0 and deviation 1; ``coarse``: its scale as a part of S."""
    noise = random.standard_normal((size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), coarse * size)
    return np.asarray((smooth - smooth.mean()) / max(float(smooth.std()), 1e-6), np.float32)

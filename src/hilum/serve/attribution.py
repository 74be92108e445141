"""Attribution: how much of the evidence for a label lies where a chest film can show disease."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess

_SIDE = 256
"""Long side, in pixels, of the film on which shares are counted: finer than any evidence map."""


def in_lung_share(
    preprocess: Preprocess,
    evidence: NDArray[np.float32],
    shape: tuple[int, int],
    lungs: Lungs | None,
) -> float | None:
    """Return the share of the positive evidence for one label that lies inside the lungs.

    Args:
        preprocess: of the bundle.
        evidence: float32 (h, w), in logits, over the network's input.
        shape: (height, width) of the film, in pixels.
        lungs: of the film.

    Returns:
        sum of max(evidence, 0) inside the lungs / sum of max(evidence, 0), in [0, 1]. None where
        that says nothing: no lungs were found, or nothing speaks for the label.
    """
    if lungs is None or not lungs.parts:
        return None
    scale = min(_SIDE / max(shape), 1.0)
    small = max(round(shape[0] * scale), 1), max(round(shape[1] * scale), 1)
    positive = np.fmax(preprocess.to_film(evidence, small, lungs), 0)  # NaN where it did not look
    total = float(positive.sum())
    if total <= 0:
        return None
    return min(float(positive[lungs.on_film(small)].sum()) / total, 1.0)

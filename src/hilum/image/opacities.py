"""Opacities: ground-glass and consolidation inside the lungs of one film, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.details import Opacity

KINDS = tuple(Opacity)
"""In the order of the maps."""


@dataclass(frozen=True, eq=False)
class Opacities:
    """The opacities of one film.

    Attributes:
        scores: float32 (K, S, S) in [0, 1], one map a kind in the order of ``KINDS``: the whole
            film stretched to a square, as ``Lungs.mask`` is; 0 outside the lungs.
        thresholds: of each kind; a pixel belongs to an opacity from there on.
    """

    scores: NDArray[np.float32]
    thresholds: tuple[float, ...]

    def mask(self, kind: Opacity | None = None) -> NDArray[np.bool_]:
        """Return bool (S, S): the opacities of one kind, or of any."""
        limits = np.asarray(self.thresholds, np.float32)[:, None, None]
        masks = self.scores >= limits
        return np.asarray(masks.any(0) if kind is None else masks[KINDS.index(kind)])

    def on_film(self, shape: tuple[int, int], kind: Opacity | None = None) -> NDArray[np.bool_]:
        """Return the mask at film size, bool (H, W) = ``shape``, with smooth borders."""
        height, width = shape
        soft = cv2.resize(
            self.mask(kind).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
        )
        return np.asarray(soft > 0.5)

    def scores_on_film(self, shape: tuple[int, int], kind: Opacity) -> NDArray[np.float32]:
        """Return the scores of one kind at film size, float32 (H, W) in [0, 1]."""
        height, width = shape
        scores = self.scores[KINDS.index(kind)]
        resized = cv2.resize(scores, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, np.float32)

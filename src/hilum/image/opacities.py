"""Opacities: ground-glass and consolidation inside the lungs of one film, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hilum.core.config import Config
from hilum.core.details import Opacity

KINDS = tuple(Opacity)
"""In the order of the maps."""


class Regions(Config):
    """Which regions of a map are opacities; what lies elsewhere is doubt, and is not shown.

    Two limits, as Canny (IEEE PAMI 1986) follows edges: a region reaches as far as the lower one,
    and stays only if enough of it passes the higher one. On a film of which too little passes the
    higher one, regions reach no further than that.

    Attributes:
        reach: a region is connected pixels whose larger score of both kinds is at least this.
        core: the higher limit.
        least: so much of the lungs, at least, must be above ``core`` in one region; with 0 one
            pixel is enough.
        film: so much of the lungs, at least, must be above ``core`` for regions to reach beyond it;
            with less, what is shown of a film is less than this share of its lungs.
    """

    reach: float = Field(gt=0, le=1)
    core: float = Field(gt=0, le=1)
    least: float = Field(default=0.0, ge=0, le=1)
    film: float = Field(default=0.0, ge=0, le=1)


def find_regions(
    scores: NDArray[np.float32], lungs: NDArray[np.bool_], rule: Regions
) -> NDArray[np.bool_]:
    """Return the regions that ``rule`` keeps, bool (S, S).

    Args:
        scores: float32 (K, S, S) in [0, 1], 0 outside the lungs.
        lungs: bool (S, S).
        rule: which regions to keep.
    """
    union = scores.max(0)
    core = union >= rule.core
    near = union >= rule.reach if core.sum() >= rule.film * lungs.sum() else core
    _, marks = cv2.connectedComponents(near.astype(np.uint8), connectivity=8)
    cores = np.bincount(marks.ravel(), core.ravel())
    kept = (cores > 0) & (cores >= rule.least * lungs.sum())
    kept[0] = False  # all that is in no region
    return np.asarray(kept[marks])


@dataclass(frozen=True, eq=False)
class Opacities:
    """The opacities of one film.

    Attributes:
        scores: float32 (K, S, S) in [0, 1], one map a kind in the order of ``KINDS``: the whole
            film stretched to a square, as ``Lungs.mask`` is; 0 outside the lungs.
        thresholds: of each kind; a pixel belongs to an opacity from there on.
        regions: bool (S, S), outside of which nothing is shown as opaque, see ``find_regions``;
            None: everywhere.
        chance: that the film shows any opacity at all, in [0, 1]; 1 where nothing says so.
    """

    scores: NDArray[np.float32]
    thresholds: tuple[float, ...]
    regions: NDArray[np.bool_] | None = None
    chance: float = 1.0

    def with_doubtful(self) -> Opacities:
        """Return the same without ``regions``: with what is too faint or small to be shown."""
        return replace(self, regions=None)

    def mask(self, kind: Opacity | None = None) -> NDArray[np.bool_]:
        """Return bool (S, S): the opacities of one kind, or of any."""
        limits = np.asarray(self.thresholds, np.float32)[:, None, None]
        masks = self._shown() >= limits
        return np.asarray(masks.any(0) if kind is None else masks[KINDS.index(kind)])

    def on_film(self, shape: tuple[int, int], kind: Opacity | None = None) -> NDArray[np.bool_]:
        """Return the mask at film size, bool (H, W) = ``shape``, with smooth borders."""
        height, width = shape
        soft = cv2.resize(
            self.mask(kind).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
        )
        return np.asarray(soft > 0.5)

    def _shown(self) -> NDArray[np.float32]:
        return self.scores if self.regions is None else self.scores * self.regions

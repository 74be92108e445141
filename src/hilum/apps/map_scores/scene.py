"""Scene: one film, and what all its maps are compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess
from hilum.judge import localization as judge

Map = NDArray[np.float32]
Maps = dict[str, tuple[Map, dict[str, float]]]
"""Method -> its map on the film, and the numbers that need no target."""


@dataclass(frozen=True)
class Scene:
    """One film.

    Attributes:
        inputs: float32 (C, S, S), as the network gets it.
        black: what a black pixel is there.
        shape: (height, width) of the film, in pixels.
        side: long side, in pixels, on which maps and targets are compared.
        found: lungs of the film.
        preprocess: of the bundle.
        maps: those of each label, as far as made.
    """

    inputs: Map
    black: float
    shape: tuple[int, int]
    side: int
    found: Lungs
    preprocess: Preprocess
    maps: dict[str, Maps] = field(default_factory=dict)

    @cached_property
    def small(self) -> tuple[int, int]:
        """(height, width) on which maps and targets are compared."""
        scale = min(self.side / max(self.shape), 1.0)
        height, width = self.shape
        return max(round(height * scale), 1), max(round(width * scale), 1)

    @cached_property
    def lungs(self) -> judge.Mask:
        """Bool ``small``: inside the lungs."""
        return self.found.on_film(self.small)

    @cached_property
    def changeable(self) -> judge.Mask:
        """Bool (S, S): not black to begin with."""
        return np.asarray((np.abs(self.inputs - self.black) > 1e-6).any(0))

    def on_film(self, heat: Map) -> Map:
        """Bring a map of the network's input (h, w) to ``small``."""
        return self.preprocess.to_film(heat, self.small, self.found)


def located(on_film: Map, target: judge.Mask, scene: Scene) -> dict[str, float]:
    """Say how well a map, float32 ``small``, finds a target, bool ``small``."""
    return {
        "in-lung share": judge.share_inside(on_film, scene.lungs),
        "pointing": judge.points_at(on_film, target),
        "energy": judge.share_inside(on_film, target),
        "energy in lungs": judge.share_inside(on_film, target, scene.lungs),
        "auroc in lungs": judge.pixel_auroc(on_film, target, scene.lungs),
    }


def uniform(target: judge.Mask, scene: Scene) -> dict[str, float]:
    """Say how well a map does that is the same everywhere in the lungs."""
    level = judge.chance(target, scene.lungs)
    return {
        "in-lung share": 1.0,
        "pointing": level,
        "energy": level,
        "energy in lungs": level,
        "auroc in lungs": 0.5,
    }

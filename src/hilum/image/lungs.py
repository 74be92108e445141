"""Lungs: where they lie on a film, as a mask and what follows from it.

A zone is a third of its lung's height. The Brixia score draws its lines at the aortic arch and at
the lower pulmonary vein (Borghesi and Maroldi, 2020); without those landmarks thirds stand for
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.details import Affected, Opacity, Side, Zone
from hilum.image.opacities import KINDS, Opacities

_SPECK = 0.15
"""A region smaller than this share of the largest one is no lung."""

Box = tuple[float, float, float, float]
"""(top, left, bottom, right), as fractions of the film in [0, 1]."""


@dataclass(frozen=True)
class LungPart:
    """One connected region of a mask.

    Attributes:
        area: as a fraction of the film.
        center: (x, y), as fractions of the film.
        box: that holds it.
    """

    area: float
    center: tuple[float, float]
    box: Box


@dataclass(frozen=True, eq=False)
class Lungs:
    """The lungs of one film.

    Attributes:
        mask: bool (S, S), the whole film stretched to a square; True inside a lung.
        embedding: float32 (E,), what the film as a whole looks like to the lung network; empty
            where a mask was drawn by hand.
    """

    mask: NDArray[np.bool_]
    embedding: NDArray[np.float32]

    @classmethod
    def drawn(cls, mask: NDArray[np.bool_], size: int = 256) -> Lungs:
        """Return lungs from a mask at film size, bool (H, W)."""
        square = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        return cls(np.asarray(square > 0.5), np.zeros(0, np.float32))

    @property
    def area(self) -> float:
        """Lungs as a fraction of the film, in [0, 1], specks left out."""
        return sum(part.area for part in self.parts)

    @cached_property
    def parts(self) -> tuple[LungPart, ...]:
        """The connected regions, largest first, without specks."""
        return tuple(part for part, _ in self._found)

    @property
    def regions(self) -> tuple[NDArray[np.bool_], ...]:
        """The mask of each of ``parts``, bool (S, S)."""
        return tuple(region for _, region in self._found)

    @cached_property
    def _found(self) -> list[tuple[LungPart, NDArray[np.bool_]]]:
        count, marks, stats, centers = cv2.connectedComponentsWithStats(self.mask.astype(np.uint8))
        side = self.mask.shape[0]
        found = [(_part(stats[i], centers[i], side), i) for i in range(1, count)]
        found.sort(key=lambda each: -each[0].area)
        kept = [each for each in found if each[0].area >= _SPECK * found[0][0].area]
        return [(part, marks == i) for part, i in kept]  # specks, of noise thousands, get no mask

    def box(self, margin: float = 0.0) -> Box:
        """Return the box around the lungs.

        Args:
            margin: added on each side, as a fraction of the box's own height and width; what
                would lie beyond the film is cut off.

        Returns:
            The whole film where no lung was found.
        """
        if not self.parts:
            return 0.0, 0.0, 1.0, 1.0
        top = min(part.box[0] for part in self.parts)
        left = min(part.box[1] for part in self.parts)
        bottom = max(part.box[2] for part in self.parts)
        right = max(part.box[3] for part in self.parts)
        down, across = margin * (bottom - top), margin * (right - left)
        return (
            max(top - down, 0.0),
            max(left - across, 0.0),
            min(bottom + down, 1.0),
            min(right + across, 1.0),
        )

    def on_film(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask at film size, bool (H, W) = ``shape``, with smooth borders."""
        height, width = shape
        soft = cv2.resize(
            self.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
        )
        return np.asarray(soft > 0.5)


def _part(stats: NDArray[np.int32], center: NDArray[np.float64], side: int) -> LungPart:
    left, top, width, height, area = (int(value) for value in stats)
    box = (top / side, left / side, (top + height) / side, (left + width) / side)
    x, y = ((float(value) + 0.5) / side for value in center)
    return LungPart(area / side**2, (x, y), box)


Mask = NDArray[np.bool_]

_BOTH = 0.8
"""One region may be both lungs, grown together, if it is wider than this share of its height."""

_WAIST = 0.9
"""And it is, if its middle is lower than this share of both sides: a lung alone has no waist,
however wide a narrow film is stretched."""


def split_sides(lungs: Lungs) -> dict[Side, Mask]:
    """Return the lungs one by one, the patient's right (the left of the picture) first.

    Each region goes to the side of the lungs' common middle on which its center lies (a single
    lung: of the film's middle); where both lungs grew together, that one region is cut down the
    middle. Specks are left out.

    Returns:
        bool (S, S) for each side, empty where no lung was found on it.
    """
    size = lungs.mask.shape[0]
    sides = {each: np.zeros((size, size), bool) for each in Side}
    if len(lungs.parts) == 1:
        top, left, bottom, right = lungs.box()
        # Both conditions: a single lung on a film that was stretched is wide, too.
        if right - left > _BOTH * (bottom - top) and _has_waist(lungs.regions[0]):
            on_left = np.arange(size) < round((left + right) / 2 * size)
            return {
                Side.RIGHT: lungs.regions[0] & on_left,
                Side.LEFT: lungs.regions[0] & ~on_left,
            }
        middle = 0.5
    else:
        _, left, _, right = lungs.box()
        middle = (left + right) / 2
    for part, region in zip(lungs.parts, lungs.regions, strict=True):
        sides[Side.RIGHT if part.center[0] < middle else Side.LEFT] |= region
    return sides


def _has_waist(region: Mask) -> bool:
    heights = region.sum(0)[region.any(0)]
    if heights.size < 3:
        return False  # a few pixels have no middle
    first, middle, last = np.array_split(heights, 3)
    return bool(middle.min() < _WAIST * min(first.max(), last.max()))


def split_zones(lung: Mask) -> dict[Zone, Mask]:
    """Cut one lung, bool (S, S), into thirds of its height."""
    rows = np.flatnonzero(lung.any(1))
    if not rows.size:
        return {zone: np.zeros_like(lung) for zone in Zone}
    edges = np.linspace(rows[0], rows[-1] + 1, len(Zone) + 1).round().astype(int)
    zones = {}
    for zone, top, bottom in zip(Zone, edges, edges[1:], strict=False):
        zones[zone] = np.zeros_like(lung)
        zones[zone][top:bottom] = lung[top:bottom]
    return zones


def affected(opacities: Opacities, lungs: Lungs) -> tuple[Affected, ...]:
    """Return how much of both lungs, of each, and of each zone is opaque.

    Returns:
        Nine rows, fewer where a lung was not found, none without lungs.
    """
    sides = {side: mask for side, mask in split_sides(lungs).items() if mask.any()}
    if not sides:
        return ()
    both = np.logical_or.reduce(list(sides.values()))
    opaque = opacities.mask()
    kinds = {kind: opacities.mask(kind) for kind in KINDS}
    rows = [_row(opaque, kinds, both, None, None)]
    rows += [_row(opaque, kinds, mask, side, None) for side, mask in sides.items()]
    rows += [
        _row(opaque, kinds, region, side, zone)
        for side, mask in sides.items()
        for zone, region in split_zones(mask).items()
    ]
    return tuple(rows)


def _row(
    opaque: Mask, kinds: dict[Opacity, Mask], region: Mask, side: Side | None, zone: Zone | None
) -> Affected:
    return Affected(
        side=side,
        zone=zone,
        share=_share(opaque, region),
        kinds={kind: _share(mask, region) for kind, mask in kinds.items()},
    )


def _share(mask: Mask, region: Mask) -> float:
    total = int(region.sum())
    return round(int((mask & region).sum()) / total, 4) if total else 0.0

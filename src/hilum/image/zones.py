"""Zones: the two lungs of a film, each in three parts, and how much of each is opaque.

A zone is a third of its lung's height. The Brixia score draws its lines at the aortic arch and at
the lower pulmonary vein (Borghesi and Maroldi, 2020); without those landmarks thirds stand for
them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilum.core.details import Affected, Opacity, Side, Zone
from hilum.image.lungs import Lungs
from hilum.image.opacities import KINDS, Opacities

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

"""Sketch: two lungs with three zones each, to write numbers into.

A drawing, not an outline of the film's own lungs. The patient's right lung lies on the left, as on
a film. Coordinates are (x, y) in a box of ``WIDTH`` x ``HEIGHT``, y downward.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hilum.core.details import Affected, Side, Zone
from hilum.serve.heatmap import FOR
from hilum.serve.marks import share

WIDTH, HEIGHT = 200.0, 150.0

_TOP, _BOTTOM, _MIDDLE, _GAP = 6.0, 144.0, 100.0, 9.0
_DOWN = (0.0, 0.04, 0.12, 0.25, 0.45, 0.65, 0.85, 0.95, 1.0)
_LATERAL = (42.0, 52.0, 61.0, 70.0, 79.0, 84.0, 87.0, 88.0, 88.0)
_MEDIAL = {
    Side.RIGHT: (28.0, 21.0, 12.0, 7.0, 7.0, 7.0, 8.0, 11.0, 16.0),
    Side.LEFT: (28.0, 21.0, 12.0, 7.0, 8.0, 17.0, 27.0, 31.0, 36.0),
}
"""Distances from the middle at depths ``_DOWN``; the left lung makes room for the heart."""

Point = tuple[float, float]


class ZoneShape(NamedTuple):
    """One zone of the drawing.

    Attributes:
        outline: a closed polygon.
        center: where its number stands.
        share: of the zone that is opaque, in [0, 1]; None where that is not known.
        text: the number, "-" where it is not known.
        color: RGB, from white to orange: the more is opaque; dark letters stay readable on it.
        words: the zone and its number, for those who cannot see the drawing.
    """

    outline: tuple[Point, ...]
    center: Point
    share: float | None
    text: str
    color: tuple[int, int, int]
    words: str

    @property
    def fill(self) -> str:
        """The color as #rrggbb."""
        return "#{:02x}{:02x}{:02x}".format(*self.color)


def zone_shapes(affected: tuple[Affected, ...]) -> tuple[ZoneShape, ...]:
    """Return six zones: of the right lung from above, then of the left one."""
    known = {(each.side, each.zone): each.share for each in affected if each.zone}
    return tuple(
        _shape(side, zone, place, known.get((side, zone)))
        for side in Side
        for place, zone in enumerate(Zone)
    )


def _shape(side: Side, zone: Zone, place: int, value: float | None) -> ZoneShape:
    first, last = place / len(Zone), (place + 1) / len(Zone)
    inner = [depth for depth in np.linspace(0, 1, 61) if first < depth < last]
    depths = np.array([first, *inner, last])
    sign = -1 if side is Side.RIGHT else 1
    outer = _MIDDLE + sign * np.interp(depths, _DOWN, _LATERAL)
    medial = _MIDDLE + sign * np.interp(depths, _DOWN, _MEDIAL[side])
    y = _TOP + depths * (_BOTTOM - _TOP)
    outline = [*zip(outer, y, strict=True), *zip(medial[::-1], y[::-1], strict=True)]
    half = len(depths) // 2 + (2 if place == 0 else 0)  # the apex is narrow
    center = float(outer[half] + medial[half]) / 2, float(y[half])
    text = "-" if value is None else share(value)
    return ZoneShape(
        outline=tuple((round(float(x), 1), round(float(down), 1)) for x, down in outline),
        center=(round(center[0], 1), round(center[1], 1)),
        share=value,
        text=text,
        color=_tint(value),
        words=f"{side} lung, {zone} zone: {'not known' if value is None else text}",
    )


def _tint(value: float | None) -> tuple[int, int, int]:
    strength = 0.75 * (value or 0.0) ** 0.5
    red, green, blue = (round(255 + strength * (color - 255)) for color in FOR)
    return red, green, blue

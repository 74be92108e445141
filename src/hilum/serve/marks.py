"""Marks: the lines that details draw over a film, and how each kind of line looks.

Pictures, pages and PDFs draw the same marks. Each kind has a color of the palette of Okabe and Ito
(2008), which people with any color vision tell apart and which the heatmap does not use, and a line
style of its own, so that a print in grey still tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.details import Details, LungDetail, Opacity, Outline, PixelBox
from hilum.core.rounded import fixed, percent


class Layer(StrEnum):
    """What can be drawn, and switched on and off, by itself."""

    LUNGS = "lungs"
    GROUND_GLASS = "ground-glass"
    CONSOLIDATION = "consolidation"
    BOXES = "boxes"


class Style(NamedTuple):
    """How the lines of one layer look.

    Attributes:
        words: in a legend.
        color: RGB.
        dash: lengths of lines and gaps, in widths of the line; empty for a solid line.
    """

    words: str
    color: tuple[int, int, int]
    dash: tuple[float, ...]

    @property
    def html(self) -> str:
        """The color as #rrggbb."""
        return "#{:02x}{:02x}{:02x}".format(*self.color)


STYLES: dict[Layer, Style] = {
    Layer.LUNGS: Style("lungs", (0, 200, 150), ()),
    Layer.GROUND_GLASS: Style("ground-glass opacity", (240, 228, 66), (4, 2.5)),
    Layer.CONSOLIDATION: Style("consolidation", (230, 150, 195), (2, 2)),
    Layer.BOXES: Style("box around a possible opacity", (255, 255, 255), (9, 2.5, 2, 2.5)),
}
CASING = (0, 0, 0)
"""RGB of the wider line beneath each line: it stays visible on bone and on air."""

_LAYERS = {
    Opacity.GROUND_GLASS: Layer.GROUND_GLASS,
    Opacity.CONSOLIDATION: Layer.CONSOLIDATION,
}


class ClosedLine(NamedTuple):
    """One closed line.

    Attributes:
        layer: that it belongs to.
        points: a polygon of (x, y), in pixels of the film.
        words: what it is, in a sentence's part.
        tag: a few signs to write beside it, or "".
    """

    layer: Layer
    points: Outline
    words: str
    tag: str = ""

    @property
    def corner(self) -> tuple[int, int]:
        """The left and the top of it, in pixels of the film."""
        return min(x for x, _ in self.points), min(y for _, y in self.points)


def marks_of(details: Details | None) -> tuple[ClosedLine, ...]:
    """Return every mark, in the order in which they are drawn.

    A mark of a single point or line has no inside and is left out.
    """
    if details is None:
        return ()
    lungs = [ClosedLine(Layer.LUNGS, lung.outline, _lung(lung)) for lung in details.lungs]
    lesions = [
        ClosedLine(
            _LAYERS[each.kind],
            each.outline,
            f"{each.kind}, {share(each.area)} of the lungs, score {fixed(each.score, 2)}",
        )
        for each in details.lesions
    ]
    boxes = [
        ClosedLine(Layer.BOXES, _corners(each.box), f"box, score {score}", score)
        for each, score in ((each, fixed(each.score, 2)) for each in details.boxes)
    ]
    return tuple(mark for mark in (*lungs, *lesions, *boxes) if len(mark.points) > 2)


def draw_lines(
    film: NDArray[np.float32], lines: Iterable[tuple[Layer, NDArray[np.float64]]]
) -> NDArray[np.uint8]:
    """Return a film in color with closed lines on it.

    Args:
        film: float32 (H, W) in [0, 1].
        lines: the layer of each, and its points (N, 2) of x and y from the upper left corner of
            the upper left pixel.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    picture = cv2.cvtColor(cv2.convertScaleAbs(film, alpha=255), cv2.COLOR_GRAY2RGB)
    wide = max(1, round(max(film.shape) / 500))
    for layer, points in lines:
        fixed_point = np.rint(points * 16 - 8).astype(np.int32)
        for color, width in ((CASING, wide + 2), (STYLES[layer].color, wide)):
            cv2.polylines(picture, [fixed_point], True, color, width, cv2.LINE_AA, shift=4)
    return np.asarray(picture, np.uint8)


def layers_of(marks: tuple[ClosedLine, ...]) -> tuple[Layer, ...]:
    """Return the layers that have a mark, in the order of ``Layer``."""
    found = {mark.layer for mark in marks}
    return tuple(layer for layer in Layer if layer in found)


def share(value: float) -> str:
    """Write a share in [0, 1] as a percentage; what is not zero is never written as zero.

    >>> share(0.304), share(0.004), share(0), share(0.996), share(1)
    ('30 %', '< 1 %', '0 %', '> 99 %', '100 %')
    """
    if 0 < value < 0.01:
        return "< 1 %"
    if 0.99 < value < 1:
        return "> 99 %"
    return f"{percent(value)} %"


def _lung(lung: LungDetail) -> str:
    return f"{lung.side} lung, {share(lung.area)} of the film"


def _corners(box: PixelBox) -> Outline:
    left, top, width, height = box
    right, bottom = left + width, top + height
    return ((left, top), (right, top), (right, bottom), (left, bottom))

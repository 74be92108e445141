"""The pictures of a PDF report: the film, and the film with heatmap and marks, with legends."""

from __future__ import annotations

import numpy as np

from hilum.serve.heatmap import overlay
from hilum.serve.marks import STYLES, Layer, Mark, layers_of
from hilum.serve.pdf.blocks import SMALL
from hilum.serve.pdf.letters import width_of
from hilum.serve.pdf.pen import RGB, SOFT, Pen
from hilum.serve.pdf.sheet import Sheet

_SPACE = 12.0
"""Between the two pictures, in points."""
_TALLEST = 300.0
_CAPTION = 31.0
"""Height of what stands beneath the pictures."""
_MOST_TAGS = 6
_STEPS = 41


def pictures(pen: Pen, left: float, top: float, width: float, room: float, sheet: Sheet) -> float:
    """Draw the film, and the overlay if there is one, in at most ``room`` points of height."""
    if sheet.film is None or sheet.shape is None:
        return top
    both = sheet.heatmap is not None or bool(sheet.marks)
    cell = (width - _SPACE) / 2 if both else width
    high, wide = sheet.shape
    scale = min(cell / wide, min(room - _CAPTION, _TALLEST) / high)
    size = scale * wide, scale * high
    first = left + (cell - size[0]) / 2
    pen.picture(sheet.film, first, top, *size)
    under = top + size[1] + 3
    pen.text(
        left + cell / 2, under + SMALL, "The film as opened", SMALL, color=SOFT, align="center"
    )
    if both:
        second = first + cell + _SPACE
        pen.picture(sheet.heatmap or sheet.film, second, top, *size)
        _marks(pen, second, top, scale, sheet.marks)
        _ramp(pen, left + cell + _SPACE, under, cell, sheet)
        _key(pen, left, under + 19, width, layers_of(sheet.marks))
    return under + _CAPTION - 3


def _marks(pen: Pen, left: float, top: float, scale: float, marks: tuple[Mark, ...]) -> None:
    for mark in marks:
        points = [(left + scale * x, top + scale * y) for x, y in mark.points]
        pen.mark(points, STYLES[mark.layer], 0.9)
    for mark in [mark for mark in marks if mark.tag][:_MOST_TAGS]:
        x, y = mark.corner
        wide = width_of(mark.tag, SMALL) + 3
        above = scale * y > 9
        at = top + scale * y - (9 if above else -1)
        pen.box(left + scale * x, at, wide, 8, fill=(0, 0, 0))
        pen.text(left + scale * x + 1.5, at + 6.4, mark.tag, SMALL, color=(255, 255, 255))


def _ramp(pen: Pen, left: float, top: float, width: float, sheet: Sheet) -> None:
    """The scale of the heatmap, in logits, with what it speaks of."""
    if sheet.heatmap is None:
        said = "Lungs, lesions and boxes"
        pen.text(left + width / 2, top + SMALL, said, SMALL, color=SOFT, align="center")
        return
    scale = np.linspace(-sheet.limit, sheet.limit, _STEPS, dtype=np.float32)[None]
    row = overlay(np.full(scale.shape, 0.25, np.float32), scale, sheet.limit)[0]
    colors: list[RGB] = [(int(r), int(g), int(b)) for r, g, b in row]
    words = f"Evidence for {sheet.label}, in logits"
    pen.text(left, top + SMALL, words, SMALL, color=SOFT, width=width * 0.5)
    start, length = left + width * 0.5, width * 0.5
    pen.ramp(start, top, length, 6, colors)
    for x, said, align in (
        (start, f"-{sheet.limit:g} against", "left"),
        (start + length / 2, "0", "center"),
        (start + length, f"for +{sheet.limit:g}", "right"),
    ):
        pen.text(x, top + 13, said, SMALL, color=SOFT, align=align)


def _key(pen: Pen, left: float, top: float, width: float, layers: tuple[Layer, ...]) -> None:
    """One line that names the lines, each drawn on a dark patch as on a film."""
    x = left
    for layer in layers:
        style = STYLES[layer]
        pen.box(x, top, 26, 8, fill=(70, 70, 70))
        pen.mark([(x + 2, top + 4), (x + 24, top + 4)], style, 0.9, closed=False)
        pen.text(x + 29, top + 6.5, style.words, SMALL)
        x += 29 + width_of(style.words, SMALL) + 14

"""Blocks of a PDF report: each draws itself from a point downward and returns where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from hilum.core.details import RESEARCH_SCORE, Affected, Opacity
from hilum.core.labels import Label
from hilum.core.reading import Reading
from hilum.image.write import jpeg
from hilum.serve.heatmap import limit_of, overlay, thumbnail
from hilum.serve.marks import STYLES, ClosedLine, Layer, layers_of, marks_of
from hilum.serve.pdf.pen import INK, RGB, SOFT, WARN, WARN_BACK, Pen, width_of
from hilum.serve.reader import Examined, Reader
from hilum.serve.said import AppearanceSaid, FindingSaid, RegionSaid, SeveritySaid, Wording
from hilum.serve.sketch import HEIGHT, WIDTH, zone_shapes

SIZE, SMALL = 7.5, 6.5
"""Of letters, in points."""

_COLUMNS = (
    ("label", 0.0),
    ("probability", 0.17),
    ("answer", 0.46),
    ("prediction set", 0.68),
    ("evidence in lungs", 0.85),
)
_OF = ("of what speaks for it", "nothing speaks for it")
_BLUE = (11, 110, 153)


SIDE = 800
"""Long side of a picture in pixels: 200 dots an inch or more on paper."""
QUALITY = 80
"""Of the JPEGs."""


@dataclass(frozen=True, slots=True)
class PdfPage:
    """One page.

    Attributes:
        name: of the film's file, without its folders, which may name a patient.
        shape: (height, width) of the film in pixels; None if it did not open.
        film, heatmap: JPEGs; None where there is nothing to show.
        label: that the heatmap speaks of; ``limit`` the end of its scale in logits.
        marks: in pixels of the film.
    """

    reading: Reading
    name: str
    shape: tuple[int, int] | None = None
    film: bytes | None = None
    heatmap: bytes | None = None
    label: Label | None = None
    limit: float = 0.0
    marks: tuple[ClosedLine, ...] = ()

    @classmethod
    def of(cls, examined: Examined, reader: Reader) -> PdfPage:
        """Prepare a page; the film itself is not kept."""
        reading, radiograph = examined.reading, examined.radiograph
        name = Path(reading.path).name
        if radiograph is None:
            return cls(reading, name)
        small = thumbnail(radiograph.pixels, SIDE)
        film = jpeg(small, QUALITY)
        marks = marks_of(reading.details)
        if examined.evidence is None or not reading.findings:
            return cls(reading, name, radiograph.shape, film, marks=marks)
        label = reading.findings[0].label
        heatmap = reader.on_film(examined.evidence, label, small.shape, examined.lungs)
        limit = limit_of(heatmap)
        colored = jpeg(overlay(small, heatmap, limit), QUALITY)
        return cls(reading, name, radiograph.shape, film, colored, label, limit, marks)


def heading(pen: Pen, x: float, top: float, width: float, words: str) -> float:
    """Write the heading of a block, with a line beneath."""
    pen.text(x, top + 8, words, 8, bold=True, color=_BLUE, width=width)
    pen.rule(x, top + 10.5, width)
    return top + 13


def refusal(pen: Pen, x: float, top: float, width: float, said: Wording) -> float:
    """Say why a film was not read, or was read against a refusal; nothing where there is no why."""
    if not said.reason:
        return top

    def lines(pen: Pen, x: float, top: float) -> float:
        top = pen.lines(
            x, top, width - 16, f"{said.why} {said.code}{said.reason}", 9, most=3, bold=True
        )
        return pen.lines(x, top + 1, width - 16, said.hint, SIZE, most=3)

    height = lines(Pen(None, 0), x + 8, 0) + 11
    pen.box(x, top, width, height, fill=WARN_BACK, edge=WARN)
    lines(pen, x + 8, top + 6)
    return top + height


def findings(
    pen: Pen, x: float, top: float, width: float, found: Sequence[FindingSaid], most: int
) -> float:
    """Draw the table of findings, at most ``most`` rows; nothing without any."""
    if not found:
        return top
    top = heading(pen, x, top, width, "Findings")
    edges = [*(start for _, start in _COLUMNS), 1.0]
    places = [(x + a * width, (b - a) * width - 6) for a, b in pairwise(edges)]
    for (words, _), (left, room) in zip(_COLUMNS, places, strict=True):
        pen.text(left, top + SMALL, words, SMALL, color=SOFT, width=room)
    top += 10
    for finding in found[:most]:
        for (left, room), (first, second) in zip(places, _cells(finding), strict=True):
            pen.text(left, top + SIZE, first, SIZE, bold=True, width=room)
            pen.text(left, top + SIZE + 9, second, SMALL, color=SOFT, width=room)
        top += 20.5
        pen.rule(x, top - 1.5, width)
    if len(found) > most:
        left_out = f"and {len(found) - most} more labels: see the JSON"
        top = pen.lines(x, top + 1, width, left_out, SMALL)
    return top + 3


def appearance(pen: Pen, x: float, top: float, width: float, said: AppearanceSaid | None) -> float:
    """Say what the film looks like, in words and as four chances; nothing where nobody says it."""
    if said is None:
        return top
    top = heading(pen, x, top, width, "Appearance")
    words = said.words[0].upper() + said.words[1:]
    top = pen.lines(x, top, width, words, SIZE, most=2, bold=True)
    top = pen.lines(x, top, width, said.chances, SMALL, most=2, color=SOFT)
    return pen.lines(x, top, width, said.notice, SMALL, most=2)


def zones(
    pen: Pen, x: float, top: float, width: float, affected: Sequence[Affected], said: Wording
) -> float:
    """Draw two lungs with the share of each zone that is opaque, and the sums beneath."""
    top = heading(pen, x, top, width, "Opaque share of the lungs")
    if not affected:
        return pen.lines(
            x, top + 2, width, "Not measured: no lungs, or no opacity network.", SIZE, color=SOFT
        )
    scale = 0.62
    left = x + (width - scale * WIDTH) / 2
    for shape in zone_shapes(tuple(affected)):
        points = [(left + scale * a, top + scale * b) for a, b in shape.outline]
        pen.polygon(points, fill=shape.color, edge=SOFT)
        a, b = shape.center
        pen.text(
            left + scale * a, top + scale * b + 2.5, shape.text, SMALL, bold=True, align="center"
        )
    pen.text(left - 2, top + 12, "R", SIZE, bold=True, color=SOFT)
    pen.text(left + scale * WIDTH + 2, top + 12, "L", SIZE, bold=True, color=SOFT, align="right")
    top = _sums(pen, x, top + scale * HEIGHT + 3, width, said.regions)
    return pen.lines(x, top, width, said.sides, SMALL, most=3, color=SOFT)


def severity(pen: Pen, x: float, top: float, width: float, scores: Sequence[SeveritySaid]) -> float:
    """Draw each severity score as a number, its interval and where they lie on the scale."""
    top = heading(pen, x, top, width, f"Severity ({RESEARCH_SCORE})")
    if not scores:
        return pen.lines(
            x, top + 2, width, "Not estimated: not part of this bundle.", SIZE, color=SOFT
        )
    for each in scores:
        pen.text(x, top + SIZE, each.scale, SIZE, width=width * 0.6)
        pen.text(x + width, top + SIZE, each.value, 8.5, bold=True, align="right")
        pen.box(x, top + 11, width, 5, fill=(230, 235, 240))
        length = (each.high - each.low) * width
        pen.box(x + each.low * width, top + 11, length, 5, fill=(150, 195, 215))
        pen.box(x + each.at * width - 0.9, top + 9.8, 1.8, 7.4, fill=INK)
        top = pen.lines(x, top + 18.5, width, each.interval, SMALL, most=2, color=SOFT) + 4
    return top


def similar(pen: Pen, x: float, top: float, width: float, said: Wording) -> float:
    """List the nearest training films."""
    top = heading(pen, x, top, width, "Similar films of the training set")
    if not said.similar:
        return pen.lines(
            x, top + 2, width, "Not looked for: not part of this bundle.", SIZE, color=SOFT
        )
    if said.trained:
        top = pen.lines(x, top + 1, width, said.trained, SMALL, most=3, bold=True, color=WARN) + 2
    for place, each in enumerate(said.similar[:5], start=1):
        pen.text(x, top + SMALL, f"{place}. {each.name}", SMALL, bold=True, width=width)
        top = pen.lines(x + 8, top + 8.5, width - 8, each.words, SMALL, most=2, color=SOFT) + 2
    return top


def notes(pen: Pen, x: float, top: float, width: float, said: Sequence[str], most: int) -> float:
    """List what to know of the film's quality and what was corrected, in at most ``most`` lines."""
    if not said:
        return top
    top = heading(pen, x, top, width, "Quality notes")
    left = most
    for place, note in enumerate(said):
        rest = len(said) - place
        if left == 1 and rest > 1:
            return pen.lines(x, top, width, f"and {rest} more notes: see the JSON", SIZE)
        end = pen.lines(x, top, width, f"\u00b7 {note}", SIZE, most=min(2, left - (rest > 1)))
        left -= round((end - top) / (1.28 * SIZE))
        top = end
    return top


def signature(pen: Pen, x: float, top: float, width: float) -> float:
    """Leave room for who looked at it."""
    y = top + 24
    for words, start, end in (("name", 0, 0.36), ("date", 0.4, 0.58), ("signature", 0.62, 1.0)):
        pen.rule(x + start * width, y, (end - start) * width, color=SOFT)
        pen.text(x + start * width, y + 8, words, SMALL, color=SOFT)
    return y + 10


def _cells(said: FindingSaid) -> tuple[tuple[str, str], ...]:
    return (
        (said.label, said.code),
        (f"{said.probability}, {said.likelihood}", said.holds_for),
        (said.answer, said.against),
        (said.answers, said.coverage),
        (said.inside, _OF[said.inside == "-"]),
    )


def _sums(pen: Pen, x: float, top: float, width: float, regions: Sequence[RegionSaid]) -> float:
    """The whole lungs: any opacity, then each kind."""
    edges = [x + part * width for part in (0.4, 0.7, 1.0)]
    for edge, words in zip(edges, ("any", *Opacity), strict=True):
        pen.text(edge, top + SMALL, words, SMALL, color=SOFT, align="right")
    for each in regions:
        top += 9
        pen.text(x, top + SMALL, each.name, SMALL)
        for edge, value in zip(edges, (each.share, *each.kinds), strict=True):
            pen.text(edge, top + SMALL, value, SMALL, bold=edge is edges[0], align="right")
    return top + 10


_SPACE = 12.0
"""Between the two pictures, in points."""
_TALLEST = 300.0
_CAPTION = 31.0
"""Height of what stands beneath the pictures."""
_MOST_TAGS = 6
_STEPS = 41


def pictures(pen: Pen, left: float, top: float, width: float, room: float, sheet: PdfPage) -> float:
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


def _marks(pen: Pen, left: float, top: float, scale: float, marks: tuple[ClosedLine, ...]) -> None:
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


def _ramp(pen: Pen, left: float, top: float, width: float, sheet: PdfPage) -> None:
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

"""Blocks of a PDF report: each draws itself from a point downward and returns where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hilum.core.details import RESEARCH_SCORE, Affected, Opacity
from hilum.serve.pdf.pen import INK, SOFT, WARN, WARN_BACK, Pen
from hilum.serve.said import AppearanceSaid, FindingSaid, RegionSaid, Said, SeveritySaid
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


def heading(pen: Pen, x: float, top: float, width: float, words: str) -> float:
    """Write the heading of a block, with a line beneath."""
    pen.text(x, top + 8, words, 8, bold=True, color=_BLUE, width=width)
    pen.rule(x, top + 10.5, width)
    return top + 13


def refusal(pen: Pen, x: float, top: float, width: float, said: Said) -> float:
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
    pen: Pen, x: float, top: float, width: float, affected: Sequence[Affected], said: Said
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


def similar(pen: Pen, x: float, top: float, width: float, said: Said) -> float:
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

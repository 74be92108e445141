"""Pen: draws on a page in points from its upper left corner, y downward; or only measures.

Its fonts are DejaVu Sans (Bitstream Vera licence, see ``fonts/``), cut by ``tools/subset_fonts.py``
to Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew and Arabic; Chinese, Japanese and Korean
letters are Droid Sans Fallback's (Apache-2.0). Arabic letters are joined, and letters stand in the
order of the Unicode standard's annex 9; what only orders letters is left out. A letter that neither
font has is written as its code, so a name stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any
from unicodedata import category

from hilum.serve.marks import CASING, Style

RGB = tuple[int, int, int]
INK, SOFT, LINE = (27, 39, 51), (80, 94, 108), (205, 213, 221)
WARN, WARN_BACK, WHITE = (122, 62, 0), (255, 244, 224), (255, 255, 255)
LEADING = 1.28
"""Of a line, in sizes of its letters."""


class Pen:
    """Args:
    canvas: of reportlab; None draws nothing, so that a block can be measured before it is drawn.
    height: of the page, in points.
    """

    def __init__(self, canvas: Any, height: float) -> None:
        self._canvas = canvas
        self._height = height

    def text(
        self,
        x: float,
        y: float,
        text: object,
        size: float,
        *,
        width: float = 0,
        bold: bool = False,
        color: RGB = INK,
        align: str = "left",
    ) -> None:
        """Write one line with its baseline at ``y``, cut to ``width`` points if that is given."""
        if self._canvas is None:
            return
        font = BOLD if bold else REGULAR
        line = fit(text, width, size, font) if width else shown(text, font)
        shift = {"left": 0.0, "center": 0.5, "right": 1.0}[align] * width_of(line, size, font)
        self._canvas.setFillColorRGB(*_unit(color))
        x -= shift
        for name, part in runs(in_order(line), font):
            self._canvas.setFont(name, size)
            self._canvas.drawString(x, self._height - y, part)
            x += width_of(part, size, font)

    def lines(
        self,
        x: float,
        top: float,
        width: float,
        text: object,
        size: float,
        *,
        most: int = 100,
        bold: bool = False,
        color: RGB = INK,
    ) -> float:
        """Write text in lines from ``top`` on; return where they end."""
        for line in wrap(text, width, size, BOLD if bold else REGULAR, most):
            self.text(x, top + size, line, size, bold=bold, color=color)
            top += LEADING * size
        return top

    def box(
        self,
        x: float,
        top: float,
        width: float,
        height: float,
        *,
        fill: RGB | None = None,
        edge: RGB | None = None,
    ) -> None:
        """Draw a rectangle."""
        if self._canvas is None:
            return
        self._colors(fill, edge)
        self._canvas.setLineWidth(0.6)
        self._canvas.rect(
            x, self._height - top - height, width, height, stroke=bool(edge), fill=bool(fill)
        )

    def notice(self, x: float, top: float, width: float, words: str) -> float:
        """Write a warning in a box; return where it ends."""
        self.box(x, top, width, 15, fill=WARN_BACK, edge=WARN)
        middle = x + width / 2
        self.text(middle, top + 10.5, words, 8.5, bold=True, color=WARN, align="center")
        return top + 15

    def rule(self, x: float, y: float, width: float, color: RGB = LINE) -> None:
        """Draw a horizontal hairline."""
        self.box(x, y, width, 0, edge=color)

    def polygon(
        self,
        points: Iterable[Sequence[float]],
        *,
        fill: RGB | None = None,
        edge: RGB | None = None,
        line: float = 0.6,
    ) -> None:
        """Draw a closed polygon."""
        if self._canvas is None:
            return
        self._colors(fill, edge)
        self._canvas.setLineWidth(line)
        path = self._path(points, closed=True)
        self._canvas.drawPath(path, stroke=bool(edge), fill=bool(fill))

    def mark(
        self, points: Iterable[Sequence[float]], style: Style, line: float, *, closed: bool = True
    ) -> None:
        """Draw a line in the style of a layer, on a darker and wider one."""
        if self._canvas is None:
            return
        path = self._path(points, closed=closed)
        self._canvas.saveState()
        self._canvas.setLineJoin(1)
        dash = [line * each for each in style.dash]
        for color, width, pattern in ((CASING, 2 * line, []), (style.color, line, dash)):
            self._canvas.setDash(pattern)
            self._canvas.setStrokeColorRGB(*_unit(color))
            self._canvas.setLineWidth(width)
            self._canvas.drawPath(path, stroke=1, fill=0)
        self._canvas.restoreState()

    def picture(self, jpeg: bytes, x: float, top: float, width: float, height: float) -> None:
        """Put a JPEG on the page; its bytes go into the file as they are."""
        if self._canvas is None:
            return
        from reportlab.lib.utils import ImageReader  # type: ignore[import-untyped]

        bottom = self._height - top - height
        self._canvas.drawImage(ImageReader(BytesIO(jpeg)), x, bottom, width, height)

    def ramp(self, x: float, top: float, width: float, height: float, colors: list[RGB]) -> None:
        """Draw colors side by side, as the scale of a heatmap."""
        step = width / len(colors)
        for place, color in enumerate(colors):
            self.box(x + place * step, top, step + 0.2, height, fill=color)

    def _path(self, points: Iterable[Sequence[float]], *, closed: bool) -> Any:
        path = self._canvas.beginPath()
        for place, (x, y) in enumerate(points):
            (path.lineTo if place else path.moveTo)(x, self._height - y)
        if closed:
            path.close()
        return path

    def _colors(self, fill: RGB | None, edge: RGB | None) -> None:
        if fill:
            self._canvas.setFillColorRGB(*_unit(fill))
        if edge:
            self._canvas.setStrokeColorRGB(*_unit(edge))


def _unit(color: RGB) -> tuple[float, float, float]:
    red, green, blue = color
    return red / 255, green / 255, blue / 255


REGULAR, BOLD, EAST = "HilumSans", "HilumSans-Bold", "HilumEast"
ELLIPSIS = "\u2026"

_FIRST_EAST = 0x1100
"""Hangul's first letter; what comes before is not East Asian."""
_RIGHT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_RIGHTWARD = re.compile(f"[{_RIGHT}](?:[{_RIGHT}\u200c\u200d ,.'-]*[{_RIGHT}])?")
"""Words that are written from right to left, and digits among them."""
_ORDERS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What only orders the letters beside it, and has no form (Bidi_Control)."""
_CODE = re.compile(r"\\(?:x[0-9a-f]{0,2}|u[0-9a-f]{0,4}|U[0-9a-f]{0,8})")
"""Of ``shown``; it may be cut."""
_FOR_CODES = 0xF0000
"""Letters of private use, from left to right, which ``shown`` leaves in no line."""
_DOT = " \u00b7 "
_MARK = "\u034f"
"""It stays with the letter before it (class NSM), and no font has it, so no line does."""
FONTS = Path(__file__).parent / "fonts"
_FILES = {REGULAR: "DejaVuSans.ttf", BOLD: "DejaVuSans-Bold.ttf", EAST: "DroidSansFallback.ttf"}


@cache
def _known(font: str) -> frozenset[int]:
    """Load a font; return the code points that it has."""
    from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
    from reportlab.pdfbase.ttfonts import TTFont  # type: ignore[import-untyped]

    loaded = TTFont(font, str(FONTS / _FILES[font]))
    pdfmetrics.registerFont(loaded)
    return frozenset(loaded.face.charToGlyph)


def shown(text: object, font: str = REGULAR) -> str:
    r"""Write text in one line with letters that the fonts have; others as codes.

    >>> shown("ward 7\n\u0e01.png")
    'ward 7 \\u0e01.png'
    """
    line = " ".join(_ORDERS.sub("", str(text)).split())
    if _RIGHTWARD.search(line):
        line = _RIGHTWARD.sub(lambda each: _joined(each[0]), line)
    return "".join(
        each if _font_of(each, font) and each.isprintable() else ascii(each)[1:-1] for each in line
    )


def _joined(words: str) -> str:
    """Give each Arabic letter the form that it has between its neighbors; leave vowel signs out."""
    from arabic_reshaper import ArabicReshaper  # type: ignore[import-untyped]

    # the font has no such ligature, and draws its letters
    formed = ArabicReshaper({"ARABIC LIGATURE ALLAH": False}).reshape(words)
    return "".join(each for each in formed if category(each) not in ("Mn", "Cf"))


def in_order(line: str) -> str:
    """Put the letters of a line in the order in which they stand (Unicode, annex 9).

    Each part between middle dots begins on the side that its own first letter asks for (rule P2),
    so that a name from right to left does not move the number beside it.
    """
    return _DOT.join(map(_ordered, line.split(_DOT))) if _RIGHTWARD.search(line) else line


def _ordered(part: str) -> str:
    from bidi import get_display  # type: ignore[import-untyped]
    from bidi.mirror import MIRRORED  # type: ignore[import-untyped]

    codes: list[str] = []

    def held(code: re.Match[str]) -> str:
        codes.append(code[0])
        return chr(_FOR_CODES + len(codes) - 1)

    part = _CODE.sub(held, part)  # a code moves as the letter that it stands for, and stays whole
    # brackets are not mirrored there (rule L4): a mark comes to stand before those that must be
    marked = "".join(each + _MARK if each in MIRRORED else each for each in part)
    letters = iter(str(get_display(marked)))
    ordered = []
    for each in letters:
        if each == _MARK:
            ordered.append(MIRRORED[next(letters)])
        else:
            code = ord(each) - _FOR_CODES
            ordered.append(codes[code] if 0 <= code < len(codes) else each)
            if each in MIRRORED:
                next(letters)  # its mark
    return "".join(ordered)


def runs(line: str, font: str = REGULAR) -> list[tuple[str, str]]:
    """Part a line into (font, text), where each font has all letters of its text.

    >>> runs("Li \u674e")
    [('HilumSans', 'Li '), ('HilumEast', '\u674e')]
    """
    parts = groupby(line, lambda each: _font_of(each, font) or font)
    return [(name, "".join(letters)) for name, letters in parts]


def _font_of(letter: str, font: str) -> str | None:
    """Return which font has a letter; the large one is read where the other lacks it, only."""
    if ord(letter) in _known(font):
        return font
    return EAST if ord(letter) >= _FIRST_EAST and ord(letter) in _known(EAST) else None


def width_of(text: str, size: float, font: str = REGULAR) -> float:
    """Return the width of a line in points."""
    from reportlab.pdfbase.pdfmetrics import stringWidth  # type: ignore[import-untyped]

    return float(sum(stringWidth(part, name, size) for name, part in runs(text, font)))


def fit(text: object, width: float, size: float, font: str = REGULAR) -> str:
    """Return one line no wider than ``width`` points; a cut end is an ellipsis."""
    line = shown(text, font)
    if width_of(line, size, font) <= width:
        return line
    return line[: _longest(line + " ", width, size, font, ELLIPSIS)].rstrip() + ELLIPSIS


def fit_middle(text: object, width: float, size: float, font: str = REGULAR) -> str:
    """Return one line with an ellipsis in its middle: both ends of a path or a name say most."""
    line = shown(text, font)
    if width_of(line, size, font) <= width:
        return line
    low, high = 0, len(line)
    while high - low > 1:
        kept = (low + high) // 2
        if width_of(_ends(line, kept), size, font) <= width:
            low = kept
        else:
            high = kept
    return _ends(line, low)


def wrap(
    text: object, width: float, size: float, font: str = REGULAR, most: int = 100
) -> list[str]:
    """Break text into at most ``most`` lines; the last one ends with an ellipsis if more follows.

    Lines break at spaces; a word that is wider than a line breaks where it must.
    """
    rest = shown(text, font)
    lines: list[str] = []
    while rest and len(lines) < most - 1 and width_of(rest, size, font) > width:
        end = max(_longest(rest, width, size, font), 1)
        space = rest.rfind(" ", 1, end + 1)
        cut = space if space > 0 else end
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*lines, fit(rest, width, size, font)] if rest else lines


def _ends(line: str, kept: int) -> str:
    head = kept // 3
    return line[:head] + ELLIPSIS + line[len(line) - (kept - head) :]


def _longest(line: str, width: float, size: float, font: str, end: str = "") -> int:
    """Return how many letters of a line fit, with ``end`` after them."""
    low, high = 0, len(line)
    while high - low > 1:
        middle = (low + high) // 2
        if width_of(line[:middle] + end, size, font) <= width:
            low = middle
        else:
            high = middle
    return low

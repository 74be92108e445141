"""Letters: the fonts of a PDF report, and text that fits where it is put.

DejaVu Sans (Bitstream Vera licence, see ``fonts/``), cut by ``tools/subset_fonts.py`` to Latin,
Greek and Cyrillic; Chinese, Japanese and Korean letters are Droid Sans Fallback's (Apache-2.0). A
letter that neither has is written as its code, so a name stays what it is.
"""

from __future__ import annotations

from functools import cache
from itertools import groupby
from pathlib import Path

REGULAR, BOLD, EAST = "HilumSans", "HilumSans-Bold", "HilumEast"
ELLIPSIS = "\u2026"

_FIRST_EAST = 0x1100
"""Hangul's first letter; what comes before is not East Asian."""
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
    return "".join(
        each if _font_of(each, font) and each.isprintable() else ascii(each)[1:-1]
        for each in " ".join(str(text).split())
    )


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

"""Letters: the fonts of a PDF report, and text that fits where it is put.

DejaVu Sans (Bitstream Vera licence, see ``fonts/``), cut by ``tools/subset_fonts.py`` to Latin,
Greek and Cyrillic. A letter that the font lacks is written as its code, so a name stays what it is.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

REGULAR, BOLD = "HilumSans", "HilumSans-Bold"
ELLIPSIS = "\u2026"

_FONTS = Path(__file__).parent / "fonts"
_FILES = {REGULAR: "DejaVuSans.ttf", BOLD: "DejaVuSans-Bold.ttf"}


@cache
def _known(font: str) -> frozenset[int]:
    """Load a font; return the code points that it has."""
    from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
    from reportlab.pdfbase.ttfonts import TTFont  # type: ignore[import-untyped]

    loaded = TTFont(font, str(_FONTS / _FILES[font]))
    pdfmetrics.registerFont(loaded)
    return frozenset(loaded.face.charToGlyph)


def shown(text: object, font: str = REGULAR) -> str:
    r"""Write text in one line with letters that the font has; others as codes.

    >>> shown("ward 7\n\u80ba.png")
    'ward 7 \\u80ba.png'
    """
    known = _known(font)
    return "".join(
        each if ord(each) in known and each.isprintable() else ascii(each)[1:-1]
        for each in " ".join(str(text).split())
    )


def width_of(text: str, size: float, font: str = REGULAR) -> float:
    """Return the width of a line in points."""
    from reportlab.pdfbase.pdfmetrics import stringWidth  # type: ignore[import-untyped]

    _known(font)
    return float(stringWidth(text, font, size))


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

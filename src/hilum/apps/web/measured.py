"""Measured: lengths and areas of what was drawn on a film, in millimeters where they are known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from hilum.core.rounded import fixed


class Spacing(NamedTuple):
    """Millimeters of a row and of a column of the film, at the detector or in the patient."""

    row: float
    column: float
    at_detector: bool = False


_UNITS = {"en": ("mm", "px"), "ru": ("мм", "пикс.")}
_AT_DETECTOR = {"en": " at the detector", "ru": " на детекторе"}
_WORDS = {
    "en": {"line": "Length", "ellipse": "Area"},
    "ru": {"line": "Длина", "ellipse": "Площадь"},
}


def measure(mark: Mapping[str, Any], spacing: Spacing | None) -> tuple[float, int] | None:
    """Return the length of a line, or the area of an ellipse by two corners of its box.

    Args:
        mark: {kind, points}; points (x, y) in pixels of the film.
        spacing: in mm; None measures in pixels.

    Returns:
        The value and the power of its unit: 1 or 2; None for what measures nothing.

    >>> measure({"kind": "line", "points": [[0, 0], [3, 4]]}, Spacing(0.5, 0.5))
    (2.5, 1)
    """
    if mark["kind"] not in ("line", "ellipse") or len(mark["points"]) != 2:
        return None
    row, column, _ = spacing or Spacing(1.0, 1.0)
    (left, top), (right, bottom) = mark["points"]
    width, height = abs(right - left) * column, abs(bottom - top) * row
    if mark["kind"] == "line":
        return math.hypot(width, height), 1
    return math.pi / 4 * width * height, 2


def in_words(
    mark: Mapping[str, Any], spacing: Spacing | None, language: Literal["en", "ru"] = "en"
) -> str | None:
    """Say what a mark measures, with its unit; None for what measures nothing.

    >>> in_words({"kind": "line", "points": [[0, 0], [3, 4]]}, None)
    'Length 5.0 px'
    """
    found = measure(mark, spacing)
    if found is None:
        return None
    value, power = found
    unit = _UNITS[language][spacing is None] + ("²" if power == 2 else "")
    unit += _AT_DETECTOR[language] if spacing is not None and spacing.at_detector else ""
    return f"{_WORDS[language][mark['kind']]} {fixed(value, 2 - power)} {unit}"


def lines(
    marks: Iterable[Mapping[str, Any]], spacing: Spacing | None, language: Literal["en", "ru"]
) -> list[str]:
    """Say what all marks measure, with what is written at them; others are passed over."""
    said = []
    for mark in marks:
        words = in_words(mark, spacing, language)
        if words is not None:
            said.append(f"{words}: {mark['text']}" if mark.get("text") else words)
    return said

"""Marks: what people drew on a film, and lengths and areas, in millimeters where they are known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hilum.apps.store.queue import is_old
from hilum.apps.store.tables import Desk, Film, Read, Verdict
from hilum.core.rounded import fixed
from hilum.core.words import local, words
from hilum.serve.gate import CORRECTIONS

STAY = ("line", "ellipse")
"""What stays on the desk after a verdict; all else went with it."""


class Spacing(NamedTuple):
    """Millimeters of a row and of a column of the film, at the detector or in the patient."""

    row: float
    column: float
    at_detector: bool = False


_UNITS = {"en": ("mm", "px"), "ru": ("мм", "пикс.")}
_AT_DETECTOR = {"en": " at the detector", "ru": " на детекторе"}
_TURNED = {
    "en": "Marks of verdicts that are not shown, because the film was turned since: {count}",
    "ru": "Отметки вердиктов, не показанные, потому что снимок потом был повёрнут: {count}",
}
_WORDS = {
    "en": {
        "line": "Length", "ellipse": "Area", "rectangle": "Box", "polygon": "Outline",
        "point": "Point",
    },
    "ru": {
        "line": "Длина", "ellipse": "Площадь", "rectangle": "Рамка", "polygon": "Контур",
        "point": "Точка",
    },
}  # fmt: skip


def marks_of(session: Session, film: Film, person_id: str) -> tuple[list[dict[str, Any]], int]:
    """Return what a person has drawn on a film, and how many marks of verdicts do not fit it now.

    Lines and ellipses lie on the desk until they are deleted there, whatever verdicts they went
    along with. All else goes with a verdict: of each finding that of the last verdict counts,
    where its reading saw the film the same way up; what stands in several stands once.
    """
    desk = session.get(Desk, (film.id, person_id))
    query = select(Verdict).where(Verdict.film_id == film.id, Verdict.person_id == person_id)
    last = {each.finding: each for each in session.scalars(query.order_by(Verdict.at_ms))}
    now = _read(session, film.reading_id)
    fits: list[dict[str, Any]] = []
    turned: list[dict[str, Any]] = []
    for verdict in last.values():
        went = [each for each in verdict.marks if each["kind"] not in STAY]
        (fits if _alike(_read(session, verdict.reading_id), now) else turned).extend(went)
    marks = unique([*(desk.body["marks"] if desk is not None else ()), *fits])
    return marks, len([each for each in unique(turned) if each not in marks])


def _read(session: Session, reading_id: str | None) -> Read | None:
    return session.get(Read, reading_id) if reading_id else None


def _alike(one: Read | None, other: Read | None) -> bool:
    """Say whether a film lay the same way when it was shown beside two readings.

    Beside old ones it was shown as it is filed; that is another way only where its file asks for
    the film to be turned, which newer readings tell.
    """
    both = [each for each in (one, other) if each is not None]
    moves = [
        [kind for kind in each.corrected if CORRECTIONS[kind].moves] if each is not None else []
        for each in (one, other)
    ]
    if moves[0] != moves[1]:
        return False
    telling = [each for each in both if not is_old(each)]
    if len(telling) == len(both) or (len(both) == 2 and not telling):
        return True
    return bool(telling) and not any(
        step.startswith("orientation: stored ")
        for each in telling
        for step in each.reading["history"]
    )


def unique(marks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return marks, each one once."""
    kept: list[dict[str, Any]] = []
    kept.extend(each for each in marks if each not in kept)
    return kept


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
    number = local(fixed(value, 2 - power), words(language))
    unit = _UNITS[language][spacing is None] + ("²" if power == 2 else "")
    unit += _AT_DETECTOR[language] if spacing is not None and spacing.at_detector else ""
    return f"{_WORDS[language][mark['kind']]} {number} {unit}"


def lines(
    marks: Iterable[Mapping[str, Any]],
    spacing: Spacing | None,
    language: Literal["en", "ru"],
    turned: int = 0,
) -> list[str]:
    """Say of marks, by their numbers, what they measure and what is written at them.

    And how many do not fit the film since it was ``turned``.
    """
    said = []
    for number, mark in enumerate(marks, 1):
        told = in_words(mark, spacing, language) or _WORDS[language][mark["kind"]]
        said.append(f"{number}. {told}" + (f": {mark['text']}" if mark.get("text") else ""))
    return said + ([_TURNED[language].format(count=turned)] if turned else [])

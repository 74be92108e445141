"""Rulers: a known length that a person drew on a film, by which its pixels become millimeters."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from hilum.apps.store.tables import Person, Ruler, iso

Line = tuple[tuple[float, float], tuple[float, float]]


def set_ruler(session: Session, film_id: str, person_id: str, line: Line, mm: float | None) -> None:
    """Let a line on a film, in its pixels, be ``mm`` millimeters long; None takes it back."""
    session.execute(delete(Ruler).where(Ruler.film_id == film_id))
    if mm is not None:
        points = [list(each) for each in line]
        session.add(Ruler(film_id=film_id, points=points, mm=mm, person_id=person_id))
    session.flush()


def ruler_of(session: Session, film_id: str) -> dict[str, Any] | None:
    """Return a film's ruler as the API says it, None without one."""
    ruler = session.get(Ruler, film_id)
    if ruler is None:
        return None
    return {
        "points": ruler.points,
        "mm": ruler.mm,
        "by": session.get_one(Person, ruler.person_id).name,
        "at": iso(ruler.at_ms),
    }


def with_ruler(described: dict[str, Any], ruler: dict[str, Any] | None) -> dict[str, Any]:
    """Let a ruler say how far the pixels of a film lie apart; its pixels are square.

    Args:
        described: what ``Pictures.describe`` says of the film.
        ruler: of ``ruler_of``.
    """
    if ruler is None:
        return described | {"ruler": None}
    length, mm, by = math.dist(*ruler["points"]), ruler["mm"], ruler["by"]
    known = {
        "spacing_mm": [mm / length] * 2,
        "spacing_plane": "patient",
        "spacing_source": f"a line of {length:.1f} pixels is {mm:g} mm, says {by}",
    }
    return described | known | {"ruler": ruler}

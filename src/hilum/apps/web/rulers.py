"""Rulers: a person draws a line over an object of known length, and says how long it is."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter

from hilum.apps.store.people import Role
from hilum.apps.store.rulers import ruler_of, set_ruler
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.films import RulerAnswer
from hilum.apps.web.films import find_film
from hilum.apps.web.problems import Problem
from hilum.apps.web.schemas import API, FilmId, NewRuler
from hilum.apps.web.service import Served

router = APIRouter(prefix=API, tags=["films"])
SHORTEST = 5.0
"""Pixels; a hand is not surer than one at each end."""
_Reviewer = Annotated[Visitor, needs(Role.REVIEWER)]


@router.put("/films/{film_id}/ruler", summary="Enter a known length")
def put_ruler(film_id: FilmId, body: NewRuler, visitor: _Reviewer, service: Served) -> RulerAnswer:
    """Enter, change or (with null) take back how long a line on the film is, in millimeters."""
    length = math.dist(*body.points)
    if length < SHORTEST:
        raise Problem(
            422, "invalid", f"a line of {length:.1f} pixels; expected at least {SHORTEST:g}"
        )
    with service.store.write() as session:
        film = find_film(session, film_id)
        set_ruler(session, film_id, visitor.person_id, body.points, body.mm)
        service.log.add(
            session,
            visitor.name,
            "ruler",
            film_id=film_id,
            study_id=film.study_id,
            pixels=round(length, 1),
            mm=body.mm,
        )
        return RulerAnswer(ruler=ruler_of(session, film_id))

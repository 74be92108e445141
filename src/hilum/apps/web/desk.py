"""Desk: what a person has begun on a film: choices and how sure of each, words and marks.

It is kept as it is made, so that the next film, a reload or another browser loses nothing. Two
windows on one film may both keep: what either of them made stays.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request

from hilum.apps.store.marks import Spacing, in_words
from hilum.apps.store.people import Role
from hilum.apps.store.tables import Desk, now_ms
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.verdicts import DeskAnswer
from hilum.apps.web.films import find_film, pictures_of, spacing_of
from hilum.apps.web.schemas import API, FilmId, OnDesk
from hilum.apps.web.service import Served

router = APIRouter(prefix=API, tags=["verdicts"])
_Reviewer = Annotated[Visitor, needs(Role.REVIEWER)]


@router.get("/films/{film_id}/desk", summary="What I have begun on a film")
def desk(film_id: FilmId, request: Request, visitor: _Reviewer, service: Served) -> DeskAnswer:
    """Give what was kept of my work on a film, with what its marks measure."""
    with service.store.read() as session:
        find_film(session, film_id)
        kept = session.get(Desk, (film_id, visitor.person_id))
    pictures = pictures_of(request)
    has = kept is not None and kept.body["marks"]
    spacing = spacing_of(pictures, service.store, film_id) if has else None
    return _show(kept, spacing)


@router.put("/films/{film_id}/desk", summary="Keep what I have begun on a film")
def keep(
    film_id: FilmId, body: OnDesk, request: Request, visitor: _Reviewer, service: Served
) -> DeskAnswer:
    """Keep it in place of what was there, unless another window has kept something meanwhile."""
    spacing = spacing_of(pictures_of(request), service.store, film_id) if body.marks else None
    with service.store.write() as session:
        find_film(session, film_id)
        kept = session.get(Desk, (film_id, visitor.person_id))
        mine = body.model_dump(mode="json", exclude={"version"})
        if kept is None:
            kept = Desk(film_id=film_id, person_id=visitor.person_id, version=0, body=mine)
            session.add(kept)
        elif kept.version != body.version:
            mine = _both(kept.body, mine)
        kept.body, kept.version, kept.at_ms = mine, kept.version + 1, now_ms()
        session.flush()
        return _show(kept, spacing)


def _both(theirs: dict[str, Any], mine: dict[str, Any]) -> dict[str, Any]:
    """Keep what two windows made: of choices the last, of words both, of marks each one once."""
    choices = theirs["choices"] | mine["choices"]
    return mine | {
        "choices": choices,
        "confidence": {
            label: sure
            for one in (theirs, mine)
            for label, sure in one.get("confidence", {}).items()  # an older Hilum kept none
            if one["choices"].get(label) == choices.get(label)
        },
        "text": _words(theirs["text"], mine["text"]),
        "corrected_label": mine["corrected_label"] or theirs["corrected_label"],
        "marks": theirs["marks"] + [each for each in mine["marks"] if each not in theirs["marks"]],
    }


def _words(theirs: str, mine: str) -> str:
    """Join the words of two windows; what one had typed on to, and sent twice, stands once.

    >>> _words("left", "left base"), _words("left base", "round")
    ('left base', 'left base\\nround')
    """
    if mine in theirs or theirs in mine:
        return max(theirs, mine, key=len)
    return f"{theirs}\n{mine}"[:10_000]


def _show(kept: Desk | None, spacing: Spacing | None) -> DeskAnswer:
    empty: dict[str, Any] = OnDesk().model_dump(mode="json")
    said = empty if kept is None else empty | kept.body | {"version": kept.version}
    marks = [{**each, "measured": in_words(each, spacing)} for each in said["marks"]]
    return DeskAnswer.model_validate({**said, "marks": marks})

"""Blind first read: a person's own verdict before the machine's answer is shown to that person.

A film is pending for who reads blind from its first answer until that person has given a blind
verdict of every finding, or was shown the answer before the switch was on. A film of an open blind
reading list is pending for each of its readers, whatever their switch says, until its findings have
their verdicts. Wherever an answer is shown, that is written down (``show``): who has seen it reads
that film blind no more.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.orm import Session, aliased

from hilum.apps.store import lists
from hilum.apps.store.store import parts
from hilum.apps.store.tables import Film, Read, ReadingList, Seen, Verdict
from hilum.apps.web.access import Visitor
from hilum.apps.web.problems import Problem
from hilum.apps.web.service import Service
from hilum.core.errors import StoreError


@dataclass(frozen=True, slots=True)
class Sight:
    """What is kept from a person of some films, as long as that lasts.

    Attributes:
        owed: films whose answer is hidden, and what that person still has to say of each, blind.
        asked: films in that person's open lists: in which, and what each list still owes.
        unnamed: films whose name is not told: it may be the label, of this film or of its study.
    """

    owed: dict[str, list[str]]
    asked: dict[str, list[tuple[ReadingList, list[str]]]]
    unnamed: set[str]


def sight_of(session: Session, visitor: Visitor, film_ids: Collection[str]) -> Sight:
    """Return what is kept from this person of some films."""
    ids = sorted(set(film_ids))
    asked = lists.asked_of(session, visitor.person_id, ids)
    hidden = lists.hidden_of(asked)
    unseen = _unseen(session, visitor, ids if visitor.blind else sorted(hidden))
    given = _given(session, visitor, unseen) if visitor.blind else {}
    labels = _labels(session, unseen) if visitor.blind else {}
    owed: dict[str, list[str]] = {}
    for film_id in unseen:
        missing = list(hidden.get(film_id, ()))
        said = {*given.get(film_id, ()), *missing}
        missing += [each for each in labels.get(film_id, ()) if each not in said]
        if missing or film_id in hidden:
            owed[film_id] = missing
    unnamed = {
        each
        for part in parts(ids)
        for each in session.scalars(unnamed_to(session, visitor).where(Film.id.in_(part)))
    }
    return Sight(owed, asked, unnamed)


def unnamed_to(session: Session, visitor: Visitor) -> Select[str]:
    """Return the query for films whose name is not told: those of ``unnamed_studies``."""
    one = aliased(Film)
    kept = one.study_id == Film.study_id, _unnames(one, session, visitor)
    return select(Film.id).where(exists().where(*kept))


def unnamed_studies(session: Session, visitor: Visitor) -> Select[str]:
    """Return the query for studies of whose films no name is told: COVID-12.png would tell.

    Those of which a film stands in an open list, or, for who reads blind, of which the answer to
    one was not shown yet. One that was refused hides none: its name tells which file to send anew.
    """
    return select(Film.study_id).where(_unnames(Film, session, visitor))


def _unnames(film: type[Film], session: Session, visitor: Visitor) -> ColumnElement[bool]:
    """Return the condition for films that keep the names of their study."""
    kept: ColumnElement[bool] = film.id.in_(lists.listed_for(session, visitor.person_id))
    if visitor.blind:
        seen = select(Seen.film_id).where(Seen.person_id == visitor.person_id)
        kept |= film.id.not_in(seen) & film.status.not_in(("refused", "error"))
    return kept


def is_pending(session: Session, visitor: Visitor, film: Film) -> bool:
    """Say whether this person still owes a blind verdict of this film."""
    return film.id in sight_of(session, visitor, [film.id]).owed


def hides(session: Session, visitor: Visitor) -> bool:
    """Say whether some answers are kept from this person, so that no list may tell of any."""
    if visitor.blind:
        return True
    seen = select(Seen.film_id).where(Seen.person_id == visitor.person_id)
    kept = Film.id.in_(lists.hidden_for(session, visitor.person_id)), Film.id.not_in(seen)
    answered = select(Film.id).join(Read, Read.id == Film.reading_id).where(Read.status == "read")
    return session.scalar(answered.where(*kept).limit(1)) is not None


def _given(session: Session, visitor: Visitor, film_ids: set[str]) -> defaultdict[str, set[str]]:
    """Return which findings of which films this person has answered blind."""
    mine = select(Verdict.film_id, Verdict.finding).where(
        Verdict.person_id == visitor.person_id, Verdict.film_id.in_(film_ids), Verdict.blind
    )
    given: defaultdict[str, set[str]] = defaultdict(set)
    for film_id, finding in session.execute(mine):
        given[film_id].add(finding)
    return given


def _labels(session: Session, film_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the findings that the readings of films answer."""
    query = select(Film.id, Read.reading).join(Read, Film.reading_id == Read.id)
    found = session.execute(query.where(Film.id.in_(film_ids)))
    return {film_id: [each["label"] for each in said["findings"]] for film_id, said in found}


def check(session: Session, visitor: Visitor, film: Film) -> None:
    """Raise the 409 while a blind verdict is owed."""
    if is_pending(session, visitor, film):
        raise Problem(
            409,
            "blind-read-pending",
            "give your blind verdict of every finding of this film first",
            hint=f"POST /api/v1/films/{film.id}/verdicts/all with blind = true",
        )


def check_off(service: Service, visitor: Visitor) -> None:
    """Raise the 409 for who reads blind: what is asked would tell of many films at once."""
    with service.store.read() as session:
        hidden = hides(session, visitor)
    if hidden:
        raise Problem(
            409,
            "blind-read-pending",
            "this would tell the machine's answers",
            hint="switch blind reading off first"
            if visitor.blind
            else "finish your blind reading lists first",
        )


def has_seen(session: Session, visitor: Visitor, film_id: str) -> bool:
    """Say whether this person has been shown the machine's answer."""
    return session.get(Seen, (film_id, visitor.person_id)) is not None


def show(service: Service, visitor: Visitor, film_ids: Iterable[str | None]) -> None:
    """Write down that this person is shown the answers to films; call it before they are.

    Of whatever role: who looks on today may be a reviewer tomorrow.

    Raises:
        StoreError: it could not be written: the answers must not be shown.
    """
    ids = sorted({each for each in film_ids if each is not None})
    for part in parts(ids):
        _note(service, visitor, part)


def _note(service: Service, visitor: Visitor, film_ids: list[str]) -> None:
    with service.store.read() as session:
        new = _unseen(session, visitor, film_ids)
    if new:
        with service.store.write() as session:
            for film_id in _unseen(session, visitor, sorted(new)):
                session.add(Seen(film_id=film_id, person_id=visitor.person_id))


def show_list(service: Service, visitor: Visitor, film_ids: Iterable[str | None]) -> None:
    """Do what ``show`` does, if it can: a list comes though the disk is full or the store busy."""
    with contextlib.suppress(StoreError):
        show(service, visitor, film_ids)


def _unseen(session: Session, visitor: Visitor, film_ids: list[str]) -> set[str]:
    """Return the films with an answer that this person was not shown yet.

    A film that waits to be read again has one from before; a refusal is none.
    """
    found: set[str] = set()
    for part in parts(film_ids):
        answered = select(Film.id).join(Read, Read.id == Film.reading_id)
        answered = answered.where(Film.id.in_(part), Read.status == "read")
        mine = Seen.person_id == visitor.person_id, Seen.film_id.in_(part)
        found |= set(session.scalars(answered))
        found -= set(session.scalars(select(Seen.film_id).where(*mine)))
    return found

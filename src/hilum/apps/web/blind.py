"""Blind first read: a person's own verdict before the machine's answer is shown to that person."""

from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from hilum.apps.store.people import Role
from hilum.apps.store.tables import Film, Seen, Verdict
from hilum.apps.web.access import Visitor
from hilum.apps.web.problems import Problem


def is_pending(session: Session, visitor: Visitor, film: Film) -> bool:
    """Say whether this person still owes a blind verdict of this film."""
    if not visitor.blind or not visitor.role.covers(Role.REVIEWER) or film.status != "read":
        return False
    seen = exists().where(Seen.film_id == film.id, Seen.person_id == visitor.person_id)
    given = exists().where(
        Verdict.film_id == film.id, Verdict.person_id == visitor.person_id, Verdict.blind
    )
    return not session.scalar(select(seen | given))


def pending_of(session: Session, visitor: Visitor, film_ids: list[str]) -> set[str]:
    """Return those of many films that this person still has to read blind."""
    if not visitor.blind or not visitor.role.covers(Role.REVIEWER) or not film_ids:
        return set()
    mine = Seen.person_id == visitor.person_id, Seen.film_id.in_(film_ids)
    done = set(session.scalars(select(Seen.film_id).where(*mine)))
    given = select(Verdict.film_id).where(
        Verdict.person_id == visitor.person_id, Verdict.film_id.in_(film_ids), Verdict.blind
    )
    done |= set(session.scalars(given))
    read = select(Film.id).where(Film.id.in_(film_ids), Film.status == "read")
    return set(session.scalars(read)) - done


def check(session: Session, visitor: Visitor, film: Film) -> None:
    """Raise the 409 while a blind verdict is owed."""
    if is_pending(session, visitor, film):
        raise Problem(
            409,
            "blind-read-pending",
            "give your blind verdict of this film first",
            hint=f"POST /api/v1/films/{film.id}/verdicts with blind = true",
        )


def has_seen(session: Session, visitor: Visitor, film_id: str) -> bool:
    """Say whether this person has been shown the machine's answer."""
    return session.get(Seen, (film_id, visitor.person_id)) is not None


def now_seen(session: Session, visitor: Visitor, film_id: str) -> None:
    """Write down that this person is shown the machine's answer; in a writing session."""
    if not has_seen(session, visitor, film_id):
        session.add(Seen(film_id=film_id, person_id=visitor.person_id))

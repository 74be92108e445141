"""Events: what the page should hear of, kept in the store so that a worker can tell it, too."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from hilum.apps.store.store import Store
from hilum.apps.store.tables import Event, iso, now_ms

KEPT = 20_000
"""Events after which the oldest are forgotten."""
BY = "by"
"""Key of who caused an event; nobody is told it."""


def tell(
    session: Session,
    kind: str,
    film_id: str | None = None,
    study_id: str | None = None,
    **more: str,
) -> None:
    """Add an event to a transaction; ``more`` must not name a patient or a finding.

    A verdict and a report say by whom, under ``BY``.
    """
    at_ms = now_ms()
    ids = {"film_id": film_id, "study_id": study_id}
    known = {key: value for key, value in ids.items() if value is not None}
    session.add(Event(kind=kind, at_ms=at_ms, data={**known, **more, "at": iso(at_ms)}))


def after(store: Store, last: int, limit: int = 500) -> list[Event]:
    """Return the events that came after one, oldest first."""
    with store.read() as session:
        query = select(Event).where(Event.id > last).order_by(Event.id).limit(limit)
        return list(session.scalars(query))


def newest(store: Store) -> int:
    """Return the id of the newest event; 0 if there is none."""
    with store.read() as session:
        return session.scalar(select(func.max(Event.id))) or 0


def forget_old(store: Store) -> None:
    """Delete all but the newest events."""
    with store.write() as session:
        last = session.scalar(select(func.max(Event.id))) or 0
        session.execute(delete(Event).where(Event.id <= last - KEPT))

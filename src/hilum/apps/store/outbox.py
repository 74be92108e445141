"""The outbox: what of the results waits for whom, is on its way, was sent, and is kept there.

A delivery is closed by what the peer answered. A kill before that leaves it claimed: it is sent
again, which a peer answers as a duplicate. One sender sends to a peer, so that what is claimed when
one of them starts was claimed by one that ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, case, func, or_, select, update
from sqlalchemy.orm import Session

from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Delivery, Film, Made, Read, Result, Study, now_ms
from hilum.apps.store.wanted import (
    ANEW,
    CLOSED,
    DELETED,
    MAX_ATTEMPTS,
    RETRACTED,
    TO_MAKE,
    TOO_LATE,
    UNASKED,
    Object,
    mades,
    want,
)
from hilum.serve.dicom import KINDS, NOTE

NO_SUCH_OBJECT = 0x0112
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery that the sender has claimed."""

    id: int
    object: Object
    attempts: int
    created_ms: int


def unsettled() -> Select[str]:
    """Return the query for films of which something is to be made, or is to be sent."""
    return _films(Delivery.state.in_(("waiting", "claimed")), TO_MAKE)


def undelivered(confirming: Collection[str], deleting: Collection[str]) -> Select[str]:
    """Return the query for those, and for films of which something is not where it belongs.

    It is dead, could not be made, was not confirmed by a peer of those that do, or is still to be
    deleted at one of those that do that. What a person dropped belongs nowhere.
    """
    is_open = Delivery.state.in_(("waiting", "claimed", "dead"))
    to_confirm = (Delivery.state == "sent") & Delivery.peer.in_(confirming)
    to_delete = (Delivery.state == RETRACTED) & Delivery.peer.in_(deleting)
    to_delete &= Delivery.asked < MAX_ATTEMPTS
    return _films(or_(is_open, to_confirm, to_delete), (*TO_MAKE, "failed"))


def _films(deliveries: Any, makings: Collection[str]) -> Select[str]:
    """Return the query for films with such deliveries, or makings in such a state."""
    sent = select(Result.film_id).join(Delivery, Delivery.result_id == Result.id).where(deliveries)
    made = select(Made.film_id).where(Made.state.in_(makings))
    return select(Film.id).where(Film.id.in_(sent) | Film.id.in_(made))


def make_again(store: Store, parcel: Parcel) -> str | None:
    """Let the results of a reading be made again, because the file of one is gone.

    Returns:
        In which state the making was; None where another reading has superseded this one.
    """
    with store.write() as session:
        result = select(Result).where(Result.sop_uid == parcel.object.sop_uid, Result.kind != NOTE)
        found = session.scalars(result.where(Result.superseded.is_(False))).first()
        made = session.get(Made, found.reading_id) if found else None
        if made is None:
            return None
        was = made.state
        if was == "made":
            made.state, made.attempts, made.at_ms = "to-make", 0, now_ms()
        return was


def release(store: Store, peer: str) -> None:
    """Let what was claimed for a peer wait again: who sends to it knows that nobody else does."""
    with store.write() as session:
        mine = update(Delivery).where(Delivery.state == "claimed", Delivery.peer == peer)
        session.execute(mine.values(state="waiting", next_ms=now_ms()))


def hurried(session: Session, peer: str, since_ms: int) -> bool:
    """Say whether a person has said since then that something is to be sent to a peer at once."""
    waits = _waiting(peer).where(Delivery.next_ms == 0, Delivery.created_ms >= since_ms)
    return session.scalars(waits.with_only_columns(Delivery.id).limit(1)).first() is not None


def claim(store: Store, peer: str, most: int) -> list[Parcel]:
    """Take what waits for a peer of the study that waits longest, in the order of sending.

    What is urgent goes before that.
    """
    with store.write() as session:
        now = now_ms()
        waits = _waiting(peer).where(Delivery.next_ms <= now)
        first = waits.order_by(Delivery.urgent.desc(), Delivery.id).limit(1)
        study = session.scalars(first.with_only_columns(Result.study_uid)).first()
        if study is None:
            return []
        order = case({kind: place for place, kind in enumerate((NOTE, *KINDS))}, value=Result.kind)
        of_study = waits.where(Result.study_uid == study)
        of_study = of_study.order_by(Result.film_id, order, Delivery.id).limit(most)
        parcels = []
        for delivery, result in session.execute(of_study):
            delivery.state = "claimed"
            parcels.append(_parcel(delivery, result))
        return parcels


def close(
    store: Store,
    parcel: Parcel,
    *,
    state: str,
    status: int | None = None,
    error: str | None = None,
    attempts: int | None = None,
    next_ms: int | None = None,
) -> None:
    """Write what became of a delivery that was claimed."""
    with store.write() as session:
        delivery = session.get(Delivery, parcel.id)
        if delivery is None or delivery.state != "claimed":  # deleted, or dropped by a person
            return
        if state == "waiting" and session.get_one(Result, delivery.result_id).superseded:
            state, error = "dropped", TOO_LATE
        delivery.state, delivery.status = state, status
        delivery.error = error[:255] if error else None
        if attempts is not None:
            delivery.attempts = attempts
        if next_ms is not None:
            delivery.next_ms = next_ms
        if state == "sent":
            delivery.sent_ms = now_ms()


class Unconfirmed(NamedTuple):
    """A result that was sent, and of which the peer has not said that it keeps it."""

    id: int
    sop_class: str
    sop_uid: str
    unanswered: bool
    """The peer was asked already, long ago."""


def unconfirmed(session: Session, peer: str, most: int) -> list[Unconfirmed]:
    """Return what a peer is to be asked to confirm: what it was never asked for, or long ago."""
    long_ago = Delivery.asked_ms < now_ms() - HOUR_MS
    query = (
        select(Delivery.id, Result.sop_class, Result.sop_uid, Delivery.asked_ms.is_not(None))
        .join(Result, Delivery.result_id == Result.id)
        .where(Delivery.state == "sent", Delivery.peer == peer, Delivery.asked < MAX_ATTEMPTS)
        .where(or_(Delivery.asked_ms.is_(None), long_ago))
    )
    rows = session.execute(query.order_by(Delivery.id).limit(most))
    return [Unconfirmed(*row) for row in rows]


def asked(store: Store, ids: list[int], transaction: str) -> None:
    """Note, before it is done, by which transaction a peer is asked to confirm deliveries."""
    with store.write() as session:
        session.execute(
            update(Delivery)
            .where(Delivery.id.in_(ids), Delivery.state == "sent")
            .values(transaction=transaction, asked=Delivery.asked + 1, asked_ms=now_ms())
        )


def is_answered(session: Session, transaction: str) -> bool:
    """Say whether a peer has answered a transaction; what was taken back meanwhile says nothing."""
    answered = Delivery.state.in_(("committed", "dead", "waiting"))
    mine = (Delivery.transaction == transaction) & answered
    return session.scalars(select(Delivery.id).where(mine).limit(1)).first() is not None


def reported(
    store: Store, peer: str, transaction: str, kept: Collection[str], failed: Mapping[str, int]
) -> None:
    """Write what a peer says of a transaction: UIDs that it keeps, and those not, with why.

    What it has lost is sent again, as long as it has not been asked too often.
    """
    with store.write() as session:
        query = select(Delivery, Result).join(Result, Delivery.result_id == Result.id)
        query = query.where(Delivery.transaction == transaction, Delivery.peer == peer)
        for delivery, result in session.execute(query.where(Delivery.state == "sent")):
            if result.sop_uid in failed:
                delivery.status = failed[result.sop_uid]
                delivery.error = f"not kept by the peer: 0x{delivery.status:04X}"
                again = delivery.status == NO_SUCH_OBJECT and delivery.asked < MAX_ATTEMPTS
                delivery.state, delivery.next_ms = "waiting" if again else "dead", now_ms()
                delivery.asked_ms = None
            elif result.sop_uid in kept:
                delivery.state, delivery.committed_ms = "committed", now_ms()
                delivery.error = None


def give_up(store: Store, peer: str, hours: float) -> int:
    """Let what has waited for a peer too long wait no more; return how many."""
    old = (Delivery.state == "waiting") & (Delivery.peer == peer)
    old &= Delivery.created_ms < now_ms() - round(hours * HOUR_MS)
    with store.read() as session:
        if session.scalars(select(Delivery.id).where(old).limit(1)).first() is None:
            return 0
    with store.write() as session:
        values = {"state": "dead", "error": f"not delivered within {hours:g} hours"}
        return session.execute(update(Delivery).where(old).values(values)).rowcount  # type: ignore[attr-defined,no-any-return]


def keep_peers(store: Store, peers: Collection[str]) -> None:
    """Let nothing wait for a peer that is not among these: nobody would ever send it."""
    with store.write() as session:
        lost = Delivery.state.in_(("waiting", "claimed")) & Delivery.peer.not_in(peers)
        values = {"state": "dead", "error": "no peer of this name is reached by hilum.toml"}
        session.execute(update(Delivery).where(lost).values(values))


def retry(
    store: Store, log: Log, who: str, *, ids: Collection[int] = (), peer: str | None = None
) -> int:
    """Send what is dead, or waits, at once: those of these ids, or all of a peer, or all.

    With all, results that could not be made are made again, too.
    """
    if not ids and peer is None:
        with store.write() as session:
            again = update(Made).where(Made.state == "failed")
            state = case((Made.reject.is_not(None), "reject"), else_="to-make")
            session.execute(again.values(state=state, attempts=0, error=None))
    query = update(Delivery).where(Delivery.state.in_(("dead", "waiting")))
    if ids:
        query = query.where(Delivery.id.in_(ids))
    if peer is not None:
        query = query.where(Delivery.peer == peer)
    values = {"state": "waiting", "next_ms": 0, "attempts": 0, "created_ms": now_ms()} | UNASKED
    return _by_hand(store, log, who, "retried", query.values(values), {})


def drop(store: Store, log: Log, who: str, ids: Collection[int], reason: str) -> int:
    """Give deliveries up that were not sent; the log says who did, and why."""
    open_ = ("dead", "waiting", "claimed")
    query = update(Delivery).where(Delivery.id.in_(ids), Delivery.state.in_(open_))
    values = {"state": "dropped", "error": reason[:255]}
    return _by_hand(store, log, who, "dropped", query.values(values), {"reason": reason})


def resend(
    store: Store, log: Log, who: str, *,
    film_id: str | None = None, study: str | None = None, since_ms: int | None = None,
    peer: str | None = None,
) -> int:  # fmt: skip
    """Send results again, with the same UIDs, that were sent or given up.

    Those of a film or study that were taken back are made anew, with other UIDs: an archive may
    refuse what it was told to reject. A study is named by its id or its UID.
    """
    films = films_of(film_id, study)
    if film_id is not None or study is not None:
        with store.write() as session:
            taken = select(Made).where(Made.film_id.in_(films), Made.reject.is_not(None))
            again = {}
            for made in session.scalars(taken.order_by(Made.at_ms)):
                again[made.film_id], made.reject = made.reading_id, None
            for each, reading_id in again.items():
                want(session, session.get_one(Read, reading_id))
                log.add(session, who, "results-restored", film_id=each)
        if again:
            return len(again)
    chosen = select(Result.id).where(Result.film_id.in_(films), Result.superseded.is_(False))
    if since_ms is not None:
        chosen = chosen.where(Result.at_ms >= since_ms)
    query = update(Delivery).where(Delivery.result_id.in_(chosen), Delivery.state.in_(CLOSED))
    if peer is not None:
        query = query.where(Delivery.peer == peer)
    values = ANEW | {"next_ms": 0, "created_ms": now_ms()}
    return _by_hand(store, log, who, "resent", query.values(values), {})


def listed(
    session: Session, *, state: str | None, peer: str | None, study: str | None, most: int
) -> list[dict[str, Any]]:
    """Return deliveries, newest first; a UID by its last 8 digits."""
    query = select(Delivery, Result).join(Result, Delivery.result_id == Result.id)
    if state is not None:
        query = query.where(Delivery.state == state)
    if peer is not None:
        query = query.where(Delivery.peer == peer)
    if study is not None:
        query = query.where(Result.film_id.in_(films_of(None, study)))
    return [
        {
            "id": delivery.id,
            "peer": delivery.peer,
            "state": delivery.state,
            "kind": result.kind,
            "film_id": result.film_id,
            "uid_ends": result.sop_uid[-8:],
            "attempts": delivery.attempts,
            "status": delivery.status,
            "error": delivery.error,
        }
        for delivery, result in session.execute(query.order_by(Delivery.id.desc()).limit(most))
    ]


def of_film(session: Session, film_id: str) -> tuple[list[dict[str, Any]], bool]:
    """Return what each peer has of a film's results, and whether something is being taken back.

    Returns:
        {"peer", "has", "waiting", "dead", "taken_back", "last_ms"} each; notes, and what was
        dropped, are not counted.
    """

    def count(*states: str) -> Any:
        return func.count().filter(Delivery.state.in_(states))

    query = select(
        Delivery.peer, count("sent", "committed"), count("waiting", "claimed"), count("dead"),
        count(RETRACTED, DELETED), func.max(Delivery.sent_ms),
    ).join(Result, Delivery.result_id == Result.id)  # fmt: skip
    query = query.where(Result.film_id == film_id, Result.kind != NOTE, Delivery.state != "dropped")
    rows = session.execute(query.group_by(Delivery.peer).order_by(Delivery.peer))
    names = ("peer", "has", "waiting", "dead", "taken_back", "last_ms")
    going = any(each.state == "reject" for each in mades(session, film_id))
    return [dict(zip(names, row, strict=True)) for row in rows], going


def films_of(film_id: str | None, study: str | None) -> Select[str]:
    """Return the query for films: one, those of a study by its id or its UID, or all."""
    films = select(Film.id)
    if film_id is not None:
        films = films.where(Film.id == film_id)
    if study is not None:
        films = films.join(Study).where(or_(Study.uid == study, Study.id == study))
    return films


def _waiting(peer: str) -> Select[Delivery, Result]:
    joined = select(Delivery, Result).join(Result, Delivery.result_id == Result.id)
    return joined.where(Delivery.state == "waiting", Delivery.peer == peer)


def _parcel(delivery: Delivery, result: Result) -> Parcel:
    return Parcel(
        id=delivery.id,
        object=Object(**{each: getattr(result, each) for each in Object.__slots__}),
        attempts=delivery.attempts,
        created_ms=delivery.created_ms,
    )


def _by_hand(
    store: Store, log: Log, who: str, action: str, query: Any, more: dict[str, Any]
) -> int:
    """Change deliveries because a person said so; the log says who."""
    with store.write() as session:
        count: int = session.execute(query).rowcount  # type: ignore[attr-defined]
        if count:
            log.add(session, who, f"deliveries-{action}", count=count, **more)
        return count

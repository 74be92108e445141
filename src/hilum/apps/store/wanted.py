"""Wanted: of which readings results are to be made, and that they were made.

That results are to be made of a reading is written together with the reading; results and their
deliveries are written together. A kill in between leaves the row before: the same results are made
again, with the same bytes and UIDs. One worker makes, so that what was begun when it starts was
begun by one that ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy.orm import Session

from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Delivery, Film, Job, Made, Read, Received, Result, now_ms
from hilum.core.reading import Status
from hilum.serve.dicom import KINDS, NOTE, Sent

MAX_ATTEMPTS = 3
"""What ends its maker, or is refused by a peer, that often is given up, and says so."""
CLOSED = ("sent", "committed", "dead", "dropped")
RETRACTED, DELETED = "retracted", "deleted"
STATES = ("waiting", "claimed", *CLOSED, RETRACTED, DELETED)
THERE = ("sent", "committed", "claimed")
"""The peer has it, or may have it in a moment."""
_FOR_GOOD = ("wrong-patient", "worklist")
"""Taken back for what no other reading changes: nothing of the film is sent any more."""
UNASKED = {"asked": 0, "asked_ms": None, "transaction": None}
ANEW = {"state": "waiting", "attempts": 0, "error": None} | UNASKED
TO_MAKE = ("to-make", "reject")
TOO_LATE = "another reading came before it was sent"


@dataclass(frozen=True, slots=True)
class Making:
    """A reading of which results are to be made.

    Attributes:
        reading: its JSON; ``read_ms`` when it was made, by the bundle of ``checksum``.
        sources: names of the peers that sent its film, the first one first.
        former: what was sent of the reading that this one replaces.
        reject: why a person took back what was sent of it, and from which peer, None for all: only
            a note is to be made; None: objects are.
        wanted_ms: when it was wanted that they are made.
    """

    reading_id: str
    film_id: str
    sha256: str
    reading: Mapping[str, Any]
    checksum: str
    read_ms: int
    sources: tuple[str, ...]
    attempts: int
    former: Sent | None = None
    reject: tuple[str, str | None] | None = None
    wanted_ms: int = 0


@dataclass(frozen=True, slots=True)
class Object:
    """A result whose file is in the folder."""

    kind: str
    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str
    sha256: str
    size: int


def want(session: Session, read: Read, *, refusals: bool = False) -> None:
    """Note, in the transaction that writes a reading, that results are to be made of it.

    Only of a film that came over the network, and that was read; or that was refused now, where
    ``refusals`` are sent, or results of another reading were. Those of another reading are
    superseded from now on, and what of them was not sent yet never is.
    """
    film_id = read.film_id
    came = select(Received.id).where(Received.film_id == film_id).limit(1)
    if read.status == Status.ERROR or session.scalars(came).first() is None:
        return
    # What was taken back for good stays so, whatever reads the film later.
    if any(_is_for_good(each) for each in mades(session, film_id)):
        return
    older = results_of(film_id).with_only_columns(Result.id)
    unread = read.status != Status.READ and not refusals
    if unread and session.scalars(older.limit(1)).first() is None:
        return
    session.execute(update(Result).where(Result.id.in_(older)).values(superseded=True))
    unsent = (Delivery.state == "waiting") & Delivery.result_id.in_(older)
    session.execute(update(Delivery).where(unsent).values(state="dropped", error=TOO_LATE))
    made = _ordered(session, read)
    former = results_of(film_id).join(Delivery, Delivery.result_id == Result.id)
    former = former.where(or_(Delivery.state.in_(THERE), Delivery.sent_ms.is_not(None)))
    # The new SR names its predecessor; where none was sent, whatever the peer has.
    best = former.order_by((Result.kind == "sr").desc(), Result.id.desc()).limit(1)
    if (sent := session.scalars(best).first()) is not None:
        made.former = list(sent_of(sent))


def want_once(session: Session, film_id: str, *, refusals: bool = False) -> None:
    """Note the same of a film that was read before it came, or that fitted no route so far.

    Of one whose results were forgotten the same ones are made, and sent again; of one whose former
    reading is in force again, new ones.
    """
    reading_id = session.get_one(Film, film_id).reading_id
    read = session.get(Read, reading_id) if reading_id else None
    if read is None:
        return
    made = session.get(Made, read.id)
    if made is None:
        want(session, read, refusals=refusals)
    if made is None or made.state != "made" or made.reject is not None:
        return
    results = list(session.scalars(results_of(film_id).where(Result.reading_id == read.id)))
    current = [each for each in results if not each.superseded]
    if not current:
        want(session, read, refusals=refusals)
    elif all(each.forgotten for each in current):
        ids = [each.id for each in current]
        again = update(Delivery).where(Delivery.result_id.in_(ids), Delivery.state.in_(CLOSED))
        session.execute(again.values(**ANEW, next_ms=now_ms(), created_ms=now_ms()))
        made.state, made.attempts, made.at_ms = "to-make", 0, now_ms()


def _ordered(session: Session, read: Read) -> Made:
    made = session.get(Made, read.id) or Made(reading_id=read.id, film_id=read.film_id)
    made.state, made.attempts, made.error, made.at_ms = "to-make", 0, None, now_ms()
    made.former = made.reject = None
    hurried = select(Job.id).where(Job.film_id == read.film_id, Job.urgent.is_(True)).limit(1)
    made.urgent = session.scalars(hurried).first() is not None
    session.add(made)
    return made


def mades(session: Session, film_id: str) -> list[Made]:
    """Return what was made, or is to be, of the readings of a film, the latest first."""
    query = select(Made).where(Made.film_id == film_id)
    return list(session.scalars(query.order_by(Made.at_ms.desc(), Made.reading_id)))


def _is_for_good(made: Made) -> bool:
    taken = made.reject or {}
    return taken.get("reason") in _FOR_GOOD and taken["peer"] is None


def results_of(film_id: str) -> Select[Result]:
    """Return the query for the results of a film, without rejection notes."""
    return select(Result).where(Result.film_id == film_id, Result.kind != NOTE)


def sent_of(result: Result) -> Sent:
    """Return how a rejection note, or a new reading, names a result."""
    return Sent(result.kind, result.sop_class, result.sop_uid, result.series_uid)


@dataclass(frozen=True, slots=True)
class Rejected:
    """What peers were sent that they are to be told to take out of sight."""

    sent: tuple[Sent, ...]
    peers: tuple[str, ...]
    deliveries: tuple[int, ...]


def to_reject(store: Store, making: Making) -> list[Rejected]:
    """Return what of a film is to be taken back: by a person, or because it is superseded.

    Peers that were sent the same come together.
    """
    query = select(Delivery, Result).join(Result, Delivery.result_id == Result.id)
    query = query.where(is_meant(making), Delivery.state.in_(THERE))
    if making.reject is not None and making.reject[1] is not None:
        query = query.where(Delivery.peer == making.reject[1])
    of_peer: dict[str, list[tuple[int, Sent]]] = {}
    with store.read() as session:
        for delivery, result in session.execute(query.order_by(Result.id)):
            of_peer.setdefault(delivery.peer, []).append((delivery.id, sent_of(result)))
    same: dict[tuple[Sent, ...], list[str]] = {}
    for peer, rows in sorted(of_peer.items()):
        same.setdefault(tuple(sent for _, sent in rows), []).append(peer)
    return [
        Rejected(sent, tuple(peers), tuple(number for each in peers for number, _ in of_peer[each]))
        for sent, peers in same.items()
    ]


def is_meant(making: Making) -> ColumnElement[bool]:
    """Say of which results a note is.

    It may be made long after a person took results back: those of a reading that came since are
    not meant, unless what is wrong is wrong of the film.
    """
    of_film = (Result.film_id == making.film_id) & (Result.kind != NOTE)
    if making.reject is None:
        return of_film & Result.superseded.is_(True)
    if making.reject[0] in _FOR_GOOD:
        return of_film
    return of_film & (Result.superseded.is_(True) | (Result.reading_id == making.reading_id))


def to_make(session: Session) -> tuple[int, int]:
    """Count the readings of which results are to be made, and those of them that are urgent."""
    query = select(func.count(), func.count().filter(Made.urgent.is_(True)))
    row = session.execute(query.where(Made.state.in_(TO_MAKE))).one()
    return row[0], row[1]


def claim_making(store: Store) -> Making | None:
    """Take the oldest reading of which results are to be made; None if there is none.

    What is urgent comes first, and what ended its maker before comes last: a worker that is ended
    again and again from outside would else end the same one until it is given up.
    """
    with store.write() as session:
        first = select(Made).where(Made.state.in_(TO_MAKE))
        first = first.order_by(Made.urgent.desc(), Made.attempts, Made.at_ms, Made.reading_id)
        made = session.scalars(first.limit(1)).first()
        if made is None:
            return None
        made.attempts += 1
        taken = made.reject if made.state == "reject" else None
        read = session.get_one(Read, made.reading_id)
        film = session.get_one(Film, made.film_id)
        came = select(Received.peer).where(Received.film_id == film.id).order_by(Received.id)
        return Making(
            reading_id=read.id,
            film_id=film.id,
            sha256=film.sha256,
            reading=read.reading,
            checksum=read.checksum,
            read_ms=read.created_ms,
            sources=tuple(dict.fromkeys(session.scalars(came))),
            attempts=made.attempts,
            former=Sent(*made.former) if made.former else None,
            reject=(taken["reason"], taken["peer"]) if taken else None,
            wanted_ms=made.at_ms,
        )


def put(
    store: Store,
    log: Log,
    making: Making,
    objects: Collection[Object],
    to: Collection[str],
    left_out: Mapping[str, str] | None = None,
    notes: Iterable[tuple[Object, Rejected]] = (),
    only: Mapping[str, Collection[str]] | None = None,
    urgent: bool = False,
) -> None:
    """Write results of a reading and their deliveries, and end the making, together.

    So are rejection notes of what was sent before; ``only`` has the kinds that a peer takes, where
    it does not take all. The log keeps which kinds were left out, and why. What is ``urgent`` is
    sent first, and so are notes.
    """
    with store.write() as session:
        made = session.get(Made, making.reading_id)
        if made is None or made.state != ("reject" if making.reject else "to-make"):
            return  # its study was deleted meanwhile, or a person took its results back
        made.state, made.error = "made", None
        if making.reject is not None:  # what was on its way, and failed before the note was made
            mine = select(Result.id).where(is_meant(making))
            back = update(Delivery).where(Delivery.result_id.in_(mine), Delivery.state == "waiting")
            if making.reject[1] is not None:
                back = back.where(Delivery.peer == making.reject[1])
            session.execute(back.values(state=RETRACTED, error=None, asked=0))
        for note, rejected in notes:
            _keep(session, making, note, rejected.peers, urgent=True)
            gone = update(Delivery).where(Delivery.id.in_(rejected.deliveries))
            session.execute(gone.values(state=RETRACTED, error=None, asked=0))
        for each in objects:
            takes = [peer for peer in to if each.kind in (only or {}).get(peer, KINDS)]
            _keep(session, making, each, takes, urgent=urgent)
        kinds = [each.kind for each in objects]
        if making.reject is None:
            log.add(
                session, "hilum", "results-made", film_id=making.film_id,
                reading_id=making.reading_id, kinds=kinds, to=list(to),
                left_out=dict(left_out or {}),
            )  # fmt: skip


def _keep(
    session: Session, making: Making, made: Object, to: Iterable[str], *, urgent: bool
) -> None:
    """Write a result, unless it is there, and who gets it."""
    same = select(Result).where(Result.sop_uid == made.sop_uid)
    if (result := session.scalars(same).first()) is None:
        result = Result(film_id=making.film_id, **_columns(made))
        session.add(result)
    result.reading_id, result.superseded, result.forgotten = making.reading_id, False, False
    session.flush()
    known = set(session.scalars(select(Delivery.peer).where(Delivery.result_id == result.id)))
    session.add_all(
        Delivery(result_id=result.id, peer=peer, urgent=urgent) for peer in to if peer not in known
    )


def fail(store: Store, log: Log, making: Making, why: str) -> None:
    """Give up making results of a reading; the reading stays, and the log says why."""
    with store.write() as session:
        if (made := session.get(Made, making.reading_id)) is not None:
            made.state, made.error = "failed", why[:255]
            ids = {"film_id": making.film_id, "reading_id": making.reading_id}
            log.add(session, "hilum", "results-failed", **ids, why=why[:255])


def _columns(each: Object) -> dict[str, Any]:
    return {name: getattr(each, name) for name in Object.__slots__}

"""The outbox: what is to be made of readings, and what of that is on its way to whom.

That results are to be made of a reading is written together with the reading; results and their
deliveries are written together; a delivery is closed by what the peer answered. A kill in between
leaves the row before: the same results are made again, with the same bytes and UIDs, or are sent
again, which a peer answers as a duplicate. One worker makes and one sender sends, so that what is
claimed when one of them starts was claimed by one that ended.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, CompoundSelect, Select, case, func, or_, select, update
from sqlalchemy.orm import Session

from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store, parts
from hilum.apps.store.tables import (
    Delivery,
    Film,
    Job,
    Made,
    Read,
    Received,
    Result,
    Study,
    TrashedFile,
    now_ms,
)
from hilum.core.reading import Status
from hilum.serve.dicom import KINDS, NOTE, Sent

MAX_ATTEMPTS = 3
"""What ends its maker, or is refused by a peer, that often is given up, and says so."""
CLOSED = ("sent", "committed", "dead", "dropped")
RETRACTED, DELETED = "retracted", "deleted"
STATES = ("waiting", "claimed", *CLOSED, RETRACTED, DELETED)
_THERE = ("sent", "committed", "claimed")
"""The peer has it, or may have it in a moment."""
_FOR_GOOD = ("wrong-patient", "worklist")
"""Taken back for what no other reading changes: nothing of the film is sent any more."""
NO_SUCH_OBJECT = 0x0112
_UNASKED = {"asked": 0, "asked_ms": None, "transaction": None}
_ANEW = {"state": "waiting", "attempts": 0, "error": None} | _UNASKED
_TO_MAKE = ("to-make", "reject")
_TOO_LATE = "another reading came before it was sent"
_HOUR_MS = 3_600_000


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


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery that the sender has claimed."""

    id: int
    object: Object
    attempts: int
    created_ms: int


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
    if any(_is_for_good(each) for each in _mades(session, film_id)):
        return
    older = _results_of(film_id).with_only_columns(Result.id)
    unread = read.status != Status.READ and not refusals
    if unread and session.scalars(older.limit(1)).first() is None:
        return
    session.execute(update(Result).where(Result.id.in_(older)).values(superseded=True))
    unsent = (Delivery.state == "waiting") & Delivery.result_id.in_(older)
    session.execute(update(Delivery).where(unsent).values(state="dropped", error=_TOO_LATE))
    made = _ordered(session, read)
    former = _results_of(film_id).join(Delivery, Delivery.result_id == Result.id)
    former = former.where(or_(Delivery.state.in_(_THERE), Delivery.sent_ms.is_not(None)))
    best = former.order_by((Result.kind == "sr").desc(), Result.id.desc()).limit(1)
    if (sent := session.scalars(best).first()) is not None:
        made.former = list(_sent(sent))


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
    results = list(session.scalars(_results_of(film_id).where(Result.reading_id == read.id)))
    current = [each for each in results if not each.superseded]
    if not current:
        want(session, read, refusals=refusals)
    elif all(each.forgotten for each in current):
        ids = [each.id for each in current]
        again = update(Delivery).where(Delivery.result_id.in_(ids), Delivery.state.in_(CLOSED))
        session.execute(again.values(**_ANEW, next_ms=now_ms(), created_ms=now_ms()))
        made.state, made.attempts, made.at_ms = "to-make", 0, now_ms()


def _ordered(session: Session, read: Read) -> Made:
    made = session.get(Made, read.id) or Made(reading_id=read.id, film_id=read.film_id)
    made.state, made.attempts, made.error, made.at_ms = "to-make", 0, None, now_ms()
    made.former = made.reject = None
    hurried = select(Job.id).where(Job.film_id == read.film_id, Job.urgent.is_(True)).limit(1)
    made.urgent = session.scalars(hurried).first() is not None
    session.add(made)
    return made


def _mades(session: Session, film_id: str) -> list[Made]:
    """Return what was made, or is to be, of the readings of a film, the latest first."""
    query = select(Made).where(Made.film_id == film_id)
    return list(session.scalars(query.order_by(Made.at_ms.desc(), Made.reading_id)))


def _is_for_good(made: Made) -> bool:
    taken = made.reject or {}
    return taken.get("reason") in _FOR_GOOD and taken["peer"] is None


def _results_of(film_id: str) -> Select[Result]:
    """Return the query for the results of a film, without rejection notes."""
    return select(Result).where(Result.film_id == film_id, Result.kind != NOTE)


def _sent(result: Result) -> Sent:
    return Sent(result.kind, result.sop_class, result.sop_uid, result.series_uid)


def retract(
    session: Session, log: Log, who: str, film_ids: Iterable[str], *, reason: str,
    peer: str | None = None, by_verdict: bool = False,
) -> int:  # fmt: skip
    """Take back what was sent of films: a rejection note is made, and goes to whoever has it.

    What was not sent yet never is.

    Args:
        session, log: of the store.
        who: a person.
        film_ids: of which films.
        reason: of ``hilum.serve.dicom.codes.REJECTED``; for all but "quality" nothing of the film
            is sent any more, whatever bundle reads it.
        peer: from this peer alone.
        by_verdict: a verdict says so: ``restore`` brings back what was, if that is undone and no
            person has taken it back since, from whichever peer.

    Returns:
        how many films had something to take back, or had it taken back by a verdict alone.
    """
    count = 0
    for film_id in film_ids:
        made = next(iter(_mades(session, film_id)), None)
        said = (made.reject if made is not None else None) or {}
        lasts = not by_verdict and "was" in said
        whom, why = peer, reason
        if lasts and peer is not None:  # the verdict took it back from all, and so it stays
            whom, why = None, said["reason"]
        mine = select(Delivery).where(
            Delivery.result_id.in_(_results_of(film_id).with_only_columns(Result.id))
        )
        mine = mine.where(Delivery.state.not_in((RETRACTED, DELETED)))
        if whom is not None:
            mine = mine.where(Delivery.peer == whom)
        deliveries = list(session.scalars(mine))
        if made is None or not (deliveries or lasts or made.state in ("to-make", "failed")):
            continue
        if by_verdict and made.state == "reject":
            continue  # another verdict, or a person, has said so before
        was = {"making": made.state, "deliveries": {str(d.id): d.state for d in deliveries}}
        for each in deliveries:
            if each.state not in _THERE:
                each.state, each.error, each.asked = RETRACTED, None, 0
        there = any(each.state in _THERE for each in deliveries)
        if whom is None or there:  # else others wait for what is being made
            made.state, made.attempts, made.error = "reject" if there else "made", 0, None
            made.reject, made.at_ms = {"reason": why, "peer": whom}, now_ms()
            if by_verdict:
                made.reject |= {"was": was}
        log.add(session, who, "results-retracted", film_id=film_id, reason=reason, peer=peer)
        count += 1
    return count


def restore(session: Session, log: Log, who: str, film_id: str) -> bool | None:
    """Bring back what a verdict has taken back of a film, because the verdict was undone.

    Returns:
        False if an archive was told already: what it has stays rejected, and no later undo asks
        again. None if no verdict has taken anything back, or a person or another reading came
        after it.
    """
    made = next(iter(_mades(session, film_id)), None)
    was = (made.reject or {}).get("was") if made is not None else None
    if made is None or was is None:
        return None
    query = select(Result, Delivery).join(Delivery, Delivery.result_id == Result.id)
    query = query.where(Result.film_id == film_id, Result.kind == NOTE)
    notes = list(session.execute(query.where(Delivery.created_ms >= made.at_ms)))
    mine = [session.get(Delivery, int(number)) for number in was["deliveries"]]
    if any(note.state not in ("waiting", "dead") for _, note in notes) or any(
        each is not None and each.state == DELETED for each in mine
    ):
        made.reject = {k: each for k, each in (made.reject or {}).items() if k != "was"}
        return False
    for result in {result for result, _ in notes}:
        session.delete(result)
    for each in mine:
        if each is not None and each.state == RETRACTED:  # the others went on meanwhile
            each.state = _before(each, was["deliveries"][str(each.id)], made.at_ms)
    made.state, made.attempts, made.error, made.reject = was["making"], 0, None, None
    log.add(session, who, "results-restored", film_id=film_id)
    return True


def _before(delivery: Delivery, state: str, taken_ms: int) -> str:
    """Say where a delivery is that was in this state when it was taken back, and a note named."""
    if state in _THERE and (delivery.committed_ms or 0) >= taken_ms:
        return "committed"
    if state == "claimed":  # the sender may have ended it before the note was made
        return "sent" if (delivery.sent_ms or 0) >= taken_ms else "waiting"
    return state


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
    query = query.where(_is_meant(making), Delivery.state.in_(_THERE))
    if making.reject is not None and making.reject[1] is not None:
        query = query.where(Delivery.peer == making.reject[1])
    of_peer: dict[str, list[tuple[int, Sent]]] = {}
    with store.read() as session:
        for delivery, result in session.execute(query.order_by(Result.id)):
            of_peer.setdefault(delivery.peer, []).append((delivery.id, _sent(result)))
    same: dict[tuple[Sent, ...], list[str]] = {}
    for peer, rows in sorted(of_peer.items()):
        same.setdefault(tuple(sent for _, sent in rows), []).append(peer)
    return [
        Rejected(sent, tuple(peers), tuple(number for each in peers for number, _ in of_peer[each]))
        for sent, peers in same.items()
    ]


def _is_meant(making: Making) -> ColumnElement[bool]:
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
    row = session.execute(query.where(Made.state.in_(_TO_MAKE))).one()
    return row[0], row[1]


def unsettled() -> Select[str]:
    """Return the query for films of which something is to be made, or is to be sent."""
    return _films(Delivery.state.in_(("waiting", "claimed")), _TO_MAKE)


def undelivered(confirming: Collection[str], deleting: Collection[str]) -> Select[str]:
    """Return the query for those, and for films of which something is not where it belongs.

    It is dead, could not be made, was not confirmed by a peer of those that do, or is still to be
    deleted at one of those that do that. What a person dropped belongs nowhere.
    """
    is_open = Delivery.state.in_(("waiting", "claimed", "dead"))
    to_confirm = (Delivery.state == "sent") & Delivery.peer.in_(confirming)
    to_delete = (Delivery.state == RETRACTED) & Delivery.peer.in_(deleting)
    to_delete &= Delivery.asked < MAX_ATTEMPTS
    return _films(or_(is_open, to_confirm, to_delete), (*_TO_MAKE, "failed"))


def _films(deliveries: Any, makings: Collection[str]) -> Select[str]:
    """Return the query for films with such deliveries, or makings in such a state."""
    sent = select(Result.film_id).join(Delivery, Delivery.result_id == Result.id).where(deliveries)
    made = select(Made.film_id).where(Made.state.in_(makings))
    return select(Film.id).where(Film.id.in_(sent) | Film.id.in_(made))


def claim_making(store: Store) -> Making | None:
    """Take the oldest reading of which results are to be made; None if there is none.

    What is urgent comes first, and what ended its maker before comes last: a worker that is ended
    again and again from outside would else end the same one until it is given up.
    """
    with store.write() as session:
        first = select(Made).where(Made.state.in_(_TO_MAKE))
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
            mine = select(Result.id).where(_is_meant(making))
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


def fail(store: Store, log: Log, making: Making, why: str) -> None:
    """Give up making results of a reading; the reading stays, and the log says why."""
    with store.write() as session:
        if (made := session.get(Made, making.reading_id)) is not None:
            made.state, made.error = "failed", why[:255]
            ids = {"film_id": making.film_id, "reading_id": making.reading_id}
            log.add(session, "hilum", "results-failed", **ids, why=why[:255])


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
            state, error = "dropped", _TOO_LATE
        delivery.state, delivery.status = state, status
        delivery.error = error[:255] if error else None
        if attempts is not None:
            delivery.attempts = attempts
        if next_ms is not None:
            delivery.next_ms = next_ms
        if state == "sent":
            delivery.sent_ms = now_ms()


class Withdrawn(NamedTuple):
    """A result that was taken back, and that a peer may still have."""

    id: int
    place: tuple[str, str, str]
    """Study, Series and SOP Instance UID."""


def withdrawn(session: Session, peer: str, most: int) -> list[Withdrawn]:
    """Return what a peer that deletes is to be told to delete."""
    columns = (Delivery.id, Result.study_uid, Result.series_uid, Result.sop_uid)
    query = select(*columns).join(Result, Delivery.result_id == Result.id)
    query = query.where(Delivery.state == RETRACTED, Delivery.peer == peer)
    query = query.where(Delivery.asked < MAX_ATTEMPTS).order_by(Delivery.id).limit(most)
    return [Withdrawn(row[0], (row[1], row[2], row[3])) for row in session.execute(query)]


def withdrew(store: Store, number: int, error: str | None, *, answered: bool = True) -> None:
    """Write that a peer has deleted a result that was taken back, or why it does not.

    It is told so often only where it answered of this result.
    """
    values: dict[str, Any] = {"state": DELETED, "error": None}
    if error is not None:
        values = {"error": error[:255], "asked": Delivery.asked + answered}
    with store.write() as session:
        mine = (Delivery.id == number) & (Delivery.state == RETRACTED)
        session.execute(update(Delivery).where(mine).values(values))


class Unconfirmed(NamedTuple):
    """A result that was sent, and of which the peer has not said that it keeps it."""

    id: int
    sop_class: str
    sop_uid: str
    unanswered: bool
    """The peer was asked already, long ago."""


def unconfirmed(session: Session, peer: str, most: int) -> list[Unconfirmed]:
    """Return what a peer is to be asked to confirm: what it was never asked for, or long ago."""
    long_ago = Delivery.asked_ms < now_ms() - _HOUR_MS
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
    old &= Delivery.created_ms < now_ms() - round(hours * _HOUR_MS)
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
    values = {"state": "waiting", "next_ms": 0, "attempts": 0, "created_ms": now_ms()} | _UNASKED
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
    values = _ANEW | {"next_ms": 0, "created_ms": now_ms()}
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
    going = any(each.state == "reject" for each in _mades(session, film_id))
    return [dict(zip(names, row, strict=True)) for row in rows], going


def films_of(film_id: str | None, study: str | None) -> Select[str]:
    """Return the query for films: one, those of a study by its id or its UID, or all."""
    films = select(Film.id)
    if film_id is not None:
        films = films.where(Film.id == film_id)
    if study is not None:
        films = films.join(Study).where(or_(Study.uid == study, Study.id == study))
    return films


def checksums(session: Session, film_ids: list[str]) -> list[str]:
    """Return the files of the results of films."""
    return [
        found
        for part in parts(film_ids)
        for found in session.scalars(select(Result.sha256).where(Result.film_id.in_(part)))
    ]


def remove(store: Store, folder: FilmFolder, files: Collection[str]) -> None:
    """Remove results from disk that no row names any more."""
    for part in parts(list(files)):
        with store.write() as session:  # no result is written while this holds the lock
            known = set(session.scalars(_needed(part)))
            for sha256 in set(part) - known:
                folder.result(sha256).unlink(missing_ok=True)


def retain(store: Store, folder: FilmFolder, log: Log, days: float) -> int:
    """Delete files of results made more than so many days ago whose every delivery is closed.

    What was sent stays known, so that it can be taken back. The log has how many, and how many
    deliveries were never made of them.
    """
    before = now_ms() - round(days * 24 * _HOUR_MS)
    open_ = select(Delivery.result_id).where(Delivery.state.in_(("waiting", "claimed")))
    old = select(Result).where(Result.at_ms < before, Result.id.not_in(open_))
    old = old.where(Result.forgotten.is_(False)).limit(500)
    with store.read() as session:
        if session.scalars(old).first() is None:
            return 0
    with store.write() as session:
        results = list(session.scalars(old))
        files, ids = [each.sha256 for each in results], [each.id for each in results]
        unsent = func.count().filter(Delivery.state.in_(("dead", "dropped")))
        count = session.scalar(select(unsent).where(Delivery.result_id.in_(ids)))
        session.execute(update(Result).where(Result.id.in_(ids)).values(forgotten=True))
        log.add(session, "hilum", "results-forgotten", count=len(ids), unsent=count, days=days)
    remove(store, folder, files)
    return len(files)


def sweep(store: Store, folder: FilmFolder) -> None:
    """Remove results that no row names: what a kill left of them in the middle."""
    before = time.time() - _HOUR_MS / 1000  # what is being made now has no row yet
    old = [each.name for each in folder.results.glob("*/*") if each.stat().st_mtime < before]
    with store.read() as session:
        known = {found for part in parts(old) for found in session.scalars(_needed(part))}
    remove(store, folder, set(old) - known)


def _needed(files: Collection[str]) -> CompoundSelect[str]:
    named = select(Result.sha256).where(Result.sha256.in_(files), Result.forgotten.is_(False))
    return named.union(select(TrashedFile.sha256).where(TrashedFile.sha256.in_(files)))


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


def _columns(each: Object) -> dict[str, Any]:
    return {name: getattr(each, name) for name in Object.__slots__}


def _by_hand(
    store: Store, log: Log, who: str, action: str, query: Any, more: dict[str, Any]
) -> int:
    """Change deliveries because a person said so; the log says who."""
    with store.write() as session:
        count: int = session.execute(query).rowcount  # type: ignore[attr-defined]
        if count:
            log.add(session, who, f"deliveries-{action}", count=count, **more)
        return count

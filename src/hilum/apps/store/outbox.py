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

from sqlalchemy import Select, case, delete, func, or_, select, update
from sqlalchemy.orm import Session

from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store, parts
from hilum.apps.store.tables import Delivery, Film, Made, Read, Received, Result, Study, now_ms
from hilum.core.reading import Status
from hilum.serve.dicom import KINDS

MAX_ATTEMPTS = 3
"""What ends its maker, or is refused by a peer, that often is given up, and says so."""
CLOSED = ("sent", "committed", "dead", "dropped")
STATES = ("waiting", "claimed", *CLOSED)
NO_SUCH_OBJECT = 0x0112
_UNASKED = {"asked": 0, "asked_ms": None, "transaction": None}
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Making:
    """A reading of which results are to be made.

    Attributes:
        reading: its JSON; ``read_ms`` when it was made, by the bundle of ``checksum``.
        sources: names of the peers that sent its film, the first one first.
    """

    reading_id: str
    film_id: str
    sha256: str
    reading: Mapping[str, Any]
    checksum: str
    read_ms: int
    sources: tuple[str, ...]
    attempts: int


@dataclass(frozen=True, slots=True)
class Object:
    """A result whose file is in the folder."""

    kind: str
    sop_class: str
    sop_uid: str
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


def want(session: Session, read: Read) -> None:
    """Note, in the transaction that writes a reading, that results are to be made of it.

    Only of a film that was read, and that came over the network.
    """
    came = select(Received.id).where(Received.film_id == read.film_id).limit(1)
    if read.status != Status.READ or session.scalars(came).first() is None:
        return
    made = session.get(Made, read.id) or Made(reading_id=read.id, film_id=read.film_id)
    made.state, made.attempts, made.error, made.at_ms = "to-make", 0, None, now_ms()
    session.add(made)


def want_once(session: Session, film_id: str) -> None:
    """Note the same of a film that was read before it came, or that fitted no route so far."""
    reading_id = session.get_one(Film, film_id).reading_id
    read = session.get(Read, reading_id) if reading_id else None
    if read is None:
        return
    made = session.get(Made, read.id)
    results = select(Result.id).where(Result.reading_id == read.id).limit(1)
    if made is None or (made.state == "made" and session.scalars(results).first() is None):
        want(session, read)


def to_make(session: Session) -> int:
    """Count the readings of which results are to be made."""
    query = select(func.count()).where(Made.state == "to-make")
    return session.scalar(query) or 0


def claim_making(store: Store) -> Making | None:
    """Take the oldest reading of which results are to be made; None if there is none."""
    with store.write() as session:
        oldest = select(Made).where(Made.state == "to-make").order_by(Made.at_ms, Made.reading_id)
        made = session.scalars(oldest.limit(1)).first()
        if made is None:
            return None
        made.attempts += 1
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
        )


def put(
    store: Store,
    log: Log,
    making: Making,
    objects: Iterable[Object],
    to: Iterable[str],
    left_out: Mapping[str, str] | None = None,
) -> None:
    """Write results of a reading and their deliveries, and end the making, together.

    The log keeps which kinds were left out, and why.
    """
    with store.write() as session:
        made = session.get(Made, making.reading_id)
        if made is None or made.state != "to-make":  # its study was deleted meanwhile
            return
        made.state, made.error = "made", None
        older = (Result.film_id == making.film_id) & (Result.reading_id != making.reading_id)
        session.execute(update(Result).where(older).values(superseded=True))
        uids = []
        for each in objects:
            same = select(Result).where(Result.sop_uid == each.sop_uid)
            if (result := session.scalars(same).first()) is None:
                result = Result(
                    film_id=making.film_id, reading_id=making.reading_id, **_columns(each)
                )
                session.add(result)
            result.reading_id, result.superseded = making.reading_id, False
            session.flush()
            _deliver(session, result.id, to)
            uids.append(each.kind)
        log.add(
            session, "hilum", "results-made", film_id=making.film_id,
            reading_id=making.reading_id, kinds=uids, to=list(to), left_out=dict(left_out or {}),
        )  # fmt: skip


def make_again(store: Store, parcel: Parcel) -> str | None:
    """Let the results of a reading be made again, because the file of one is gone.

    Returns:
        In which state the making was; None where another reading has superseded this one.
    """
    with store.write() as session:
        result = select(Result).where(Result.sop_uid == parcel.object.sop_uid)
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
    """Take what waits for a peer of the study that waits longest, in the order of sending."""
    with store.write() as session:
        now = now_ms()
        waits = _waiting(peer).where(Delivery.next_ms <= now)
        first = waits.order_by(Delivery.id).limit(1).with_only_columns(Result.study_uid)
        study = session.scalars(first).first()
        if study is None:
            return []
        order = case({kind: number for number, kind in enumerate(KINDS)}, value=Result.kind)
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


def unconfirmed(session: Session, peer: str, most: int) -> list[Unconfirmed]:
    """Return what a peer is to be asked to confirm: what it was never asked for, or long ago."""
    long_ago = Delivery.asked_ms < now_ms() - _HOUR_MS
    query = (
        select(Delivery.id, Result.sop_class, Result.sop_uid)
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
        values = {"state": "dead", "error": "no peer of this name has a host in hilum.toml"}
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
            session.execute(again.values(state="to-make", attempts=0, error=None))
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

    A study is named by its id or its UID.
    """
    films = select(Film.id)
    if film_id is not None:
        films = films.where(Film.id == film_id)
    if study is not None:
        films = films.where(Film.id.in_(_films_of(study)))
    chosen = select(Result.id).where(Result.film_id.in_(films), Result.superseded.is_(False))
    if since_ms is not None:
        chosen = chosen.where(Result.at_ms >= since_ms)
    query = update(Delivery).where(Delivery.result_id.in_(chosen), Delivery.state.in_(CLOSED))
    if peer is not None:
        query = query.where(Delivery.peer == peer)
    values = {
        "state": "waiting",
        "next_ms": 0,
        "attempts": 0,
        "created_ms": now_ms(),
        "error": None,
    } | _UNASKED
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
        query = query.where(Result.film_id.in_(_films_of(study)))
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


def _films_of(study: str) -> Select[str]:
    return select(Film.id).join(Study).where(or_(Study.uid == study, Study.id == study))


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
            known = set(session.scalars(select(Result.sha256).where(Result.sha256.in_(part))))
            for sha256 in set(part) - known:
                folder.result(sha256).unlink(missing_ok=True)


def retain(store: Store, folder: FilmFolder, log: Log, days: float) -> int:
    """Forget results made more than so many days ago whose every delivery is closed.

    The log has how many, and how many deliveries were never made of them.
    """
    before = now_ms() - round(days * 24 * _HOUR_MS)
    open_ = select(Delivery.result_id).where(Delivery.state.in_(("waiting", "claimed")))
    old = select(Result).where(Result.at_ms < before, Result.id.not_in(open_)).limit(500)
    with store.read() as session:
        if session.scalars(old).first() is None:
            return 0
    with store.write() as session:
        results = list(session.scalars(old))
        files, ids = [each.sha256 for each in results], [each.id for each in results]
        unsent = func.count().filter(Delivery.state.in_(("dead", "dropped")))
        count = session.scalar(select(unsent).where(Delivery.result_id.in_(ids)))
        session.execute(delete(Result).where(Result.id.in_(ids)))
        log.add(session, "hilum", "results-forgotten", count=len(ids), unsent=count, days=days)
    remove(store, folder, files)
    return len(files)


def sweep(store: Store, folder: FilmFolder) -> None:
    """Remove results that no row names: what a kill left of them in the middle."""
    before = time.time() - _HOUR_MS / 1000  # what is being made now has no row yet
    old = [each.name for each in folder.results.glob("*/*") if each.stat().st_mtime < before]
    with store.read() as session:
        known = {
            found
            for part in parts(old)
            for found in session.scalars(select(Result.sha256).where(Result.sha256.in_(part)))
        }
    remove(store, folder, set(old) - known)


def _deliver(session: Session, result_id: int, to: Iterable[str]) -> None:
    known = set(session.scalars(select(Delivery.peer).where(Delivery.result_id == result_id)))
    session.add_all(Delivery(result_id=result_id, peer=peer) for peer in to if peer not in known)


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

"""The queue: films that wait to be read; it survives a kill of the server and of any worker.

A worker claims a film for a while (a lease) and renews the lease while it reads. A worker that was
killed renews nothing: its films are free again when the lease ends, or at once where the server saw
it end. A reading is written together with the end of its job, and the table of readings takes one
reading per film and bundle, so that a film is read exactly once however often it was begun.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from hilum.apps.store import events, wanted
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.tables import (
    Film,
    Job,
    Model,
    Read,
    Ruler,
    Seen,
    Study,
    new_id,
    now_ms,
    search_text,
)
from hilum.core.reading import Reading, Status, answer_in

LEASE_MS = 15_000
"""How long a claim holds without being renewed."""
MAX_ATTEMPTS = 3
"""A film that ended its worker that often is given up, and says so."""

_ORDER = {"reading": 0, "queued": 1, "error": 2, "read": 3, "refused": 4}
"""What a study shows of its films: the first of these."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A film that a worker is to read."""

    job_id: int
    film_id: str
    study_id: str
    sha256: str
    name: str
    forced: bool
    attempts: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """What a worker found.

    Attributes:
        reading: of the film.
        checksum: of the bundle; it must be in ``models`` already.
        evidence, corrected: as in ``tables.Read``.
        results: objects are to be made of it, if its film came over the network.
        refusals: so they are if the film was refused.
    """

    reading: Reading
    checksum: str
    evidence: bytes | None = None
    corrected: tuple[str, ...] = ()
    results: bool = False
    refusals: bool = False


def claim(store: Store, worker: str) -> Claim | None:
    """Take the oldest film that waits, or whose worker has not renewed its lease; None if none.

    What is urgent comes first, and what ended its worker before comes last: a worker that is ended
    again and again from outside would else end the same film until it is given up.
    """
    with store.write() as session:
        now = now_ms()
        lost = and_(Job.state == "claimed", Job.lease_ms < now)
        query = select(Job).where(or_(Job.state == "queued", lost))
        query = query.order_by(Job.urgent.desc(), Job.attempts, Job.id).limit(1)
        # On PostgreSQL two workers never wait for one row; SQLite writes one at a time anyway.
        job = session.scalars(query.with_for_update(skip_locked=True)).first()
        if job is None:
            return None
        film = session.get_one(Film, job.film_id)
        job.state, job.worker, job.lease_ms = "claimed", worker, now + LEASE_MS
        job.attempts += 1
        if film.status != "reading":
            film.status = "reading"
            show(session, film.study_id)
            events.tell(session, "reading", film.id, film.study_id, status="reading")
        return Claim(
            job_id=job.id,
            film_id=film.id,
            study_id=film.study_id,
            sha256=film.sha256,
            name=film.name,
            forced=job.forced,
            attempts=job.attempts,
            created_ms=job.created_ms,
        )


def renew(store: Store, worker: str, job_id: int) -> None:
    """Hold a film that a worker has claimed for another lease."""
    with store.write() as session:
        mine = and_(Job.id == job_id, Job.state == "claimed", Job.worker == worker)
        session.execute(update(Job).where(mine).values(lease_ms=now_ms() + LEASE_MS))


def release(store: Store, worker: str) -> None:
    """Give back what a worker had claimed, because it has ended."""
    with store.write() as session:
        mine = and_(Job.state == "claimed", Job.worker == worker)
        session.execute(update(Job).where(mine).values(lease_ms=0))


def release_all(store: Store) -> None:
    """Give back every claim: a server that starts knows that no worker of its own runs yet.

    Should one of a killed server still finish its film, that is written once all the same.
    """
    with store.write() as session:
        session.execute(update(Job).where(Job.state == "claimed").values(lease_ms=0))


def finish(store: Store, log: Log, claimed: Claim, worker: str, answer: WorkerAnswer) -> bool:
    """Write a reading and end its job, together.

    Returns:
        False if nothing was written: the claim was lost to another worker, the film was deleted,
        or it has a reading by this bundle already.
    """
    with store.write() as session:
        job = session.get(Job, claimed.job_id, with_for_update=True)
        if job is None or job.state != "claimed" or job.worker != worker:
            return False
        job.state, job.done_ms = "done", now_ms()
        film = session.get_one(Film, job.film_id)
        found = _existing(session, film.id, answer.checksum, job.forced)
        again = found is not None and (found.status == Status.ERROR or is_old(found))
        if found is None or again:
            found = _write(session, found, film, job, answer)
            if answer.results:
                wanted.want(session, found, refusals=answer.refusals)
        film.status, film.reading_id, film.read_ms = found.status, found.id, found.created_ms
        if answer.results:
            # its results may have been deleted since
            wanted.want_once(session, film.id, refusals=answer.refusals)
        show(session, film.study_id)
        events.tell(session, found.status, film.id, film.study_id, status=found.status)
        log.add(
            session,
            "hilum",
            "read",
            film_id=film.id,
            study_id=film.study_id,
            bundle=answer.checksum,
            reading_id=found.id,
            status=found.status,
            forced=job.forced,
            scores={each["label"]: each["score"] for each in found.reading["findings"]},
        )
        return True


def ask_again(store: Store, log: Log, film_id: str, who: str, *, force: bool) -> None:
    """Queue a film once more, unless it waits already."""
    with store.write() as session:
        film = session.get_one(Film, film_id)
        open_jobs = select(Job.id).where(Job.film_id == film_id, Job.state != "done")
        if session.scalars(open_jobs.limit(1)).first() is None:
            session.add(Job(film_id=film_id, forced=force))
            film.status = "queued"
            show(session, film.study_id)
            events.tell(session, "accepted", film_id, film.study_id, status="queued")
            log.add(session, who, "read-again", film_id=film_id, force=force)


def begin_anew(session: Session, film: Film, *, urgent: bool = False) -> None:
    """Queue a film that has other content now; what was read of the old content is forgotten."""
    for table in (Job, Read, Seen, Ruler):
        session.execute(delete(table).where(table.film_id == film.id))
    film.status, film.reading_id, film.read_ms = "queued", None, None
    session.add(Job(film_id=film.id, urgent=urgent))
    show(session, film.study_id)


def is_old(read: Read) -> bool:
    """Say whether a reading says nothing of sides: older ones may have taken one for the other."""
    film = read.reading["film"]
    return "height" in film and "sides" not in film


def know_model(store: Store, checksum: str, identity: str, manifest: dict[str, Any]) -> None:
    """Keep a bundle's manifest, so that its readings can be explained when it is gone."""
    adaptations = manifest.get("adaptations") or [{}]
    with store.write() as session:
        if session.get(Model, checksum) is None:
            site = adaptations[-1].get("site")
            session.add(Model(checksum=checksum, identity=identity, site=site, manifest=manifest))


def ahead_of(session: Session, film_id: str) -> int:
    """Count the films that are read before this one."""
    mine = session.scalars(select(Job).where(Job.film_id == film_id, Job.state != "done")).first()
    if mine is None:
        return 0
    held = and_(Job.state == "claimed", Job.lease_ms >= now_ms())
    if mine.state == "claimed" and mine.lease_ms >= now_ms():
        return 0
    fewer = or_(Job.attempts < mine.attempts, and_(Job.attempts == mine.attempts, Job.id < mine.id))
    before = or_(held, and_(Job.urgent == mine.urgent, fewer))
    if not mine.urgent:
        before |= Job.urgent.is_(True)
    query = select(func.count()).select_from(Job).where(Job.state != "done", before)
    return session.scalar(query) or 0


def is_dangerous(session: Session, film: Film) -> bool:
    """Say whether a film was begun more than once and not read since: its decoder may crash."""
    if film.status in ("read", "refused"):
        return False
    last = select(Job.attempts).where(Job.film_id == film.id).order_by(Job.id.desc()).limit(1)
    return (session.scalar(last) or 0) > 1


def waiting(store: Store) -> int:
    """Count the films that are not yet read."""
    with store.read() as session:
        query = select(func.count()).select_from(Job).where(Job.state != "done")
        return session.scalar(query) or 0


def _existing(session: Session, film_id: str, checksum: str, forced: bool) -> Read | None:
    query = select(Read).where(
        Read.film_id == film_id, Read.checksum == checksum, Read.forced == forced
    )
    return session.scalars(query).first()


def _write(
    session: Session, found: Read | None, film: Film, job: Job, answer: WorkerAnswer
) -> Read:
    """Write the one reading of this film by this bundle; an error that passed is replaced."""
    read = found or Read(id=new_id(), film_id=film.id, checksum=answer.checksum, forced=job.forced)
    read.status = answer.reading.status.value
    read.reading = answer.reading.model_dump(mode="json")
    read.evidence = answer.evidence
    read.corrected = list(answer.corrected)
    read.created_ms = now_ms()
    read.waited_ms = read.created_ms - job.created_ms
    session.add(read)
    session.flush()
    return read


def show(session: Session, study_id: str) -> None:
    """Bring a study's columns of the worklist up to date with its films."""
    session.flush()
    study = session.get_one(Study, study_id)
    of_study = select(Film).where(Film.study_id == study.id).order_by(Film.created_ms, Film.id)
    films = list(session.scalars(of_study))
    study.status = min((each.status for each in films), key=_ORDER.__getitem__)
    reads = {each.id: _reading_of(session, each) for each in films}
    best = max(films, key=lambda each: (_priority(reads[each.id]), -each.created_ms))
    chosen = reads[best.id]
    study.film_id, study.name, study.view = best.id, best.name, best.view
    study.read_ms = max((each.read_ms or 0 for each in films), default=0) or None
    study.findings = [_short(each) for each in chosen["findings"]] if chosen else []
    study.refusal = (chosen.get("refusal") or {}).get("code") if chosen else None
    study.priority = _priority(chosen)
    study.labels = "".join(f",{each['label']}," for each in study.findings if each["present"])
    # of every film: that of the most suspicious one alone would tell a blind reader which it is
    study.search = search_text(study.patient_id, *(each.name for each in films))


def _reading_of(session: Session, film: Film) -> dict[str, Any] | None:
    read = session.get(Read, film.reading_id) if film.reading_id else None
    return read.reading if read is not None else None


def _priority(reading: dict[str, Any] | None) -> float:
    findings = reading["findings"] if reading else []
    return max((float(each["probability"]) for each in findings), default=-1.0)


def _short(finding: dict[str, Any]) -> dict[str, Any]:
    known = {key: finding[key] for key in ("label", "probability", "present", "prediction_set")}
    return known | {"answer": answer_in(finding).value}

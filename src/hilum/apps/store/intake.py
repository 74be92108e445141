"""Intake: a film that lies in the folder becomes a row, a study and a place in the queue, or none.

Same film twice is one film: by its content, or by its SOP Instance UID. UIDs are unique by the
standard and not always in life: what two patients share by mistake joins nothing of theirs.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from hilum.apps.store import events
from hilum.apps.store.folder import FilmFolder, Kept
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Film, Job, Study, search_text
from hilum.core.errors import RejectedImageError, StoreBusyError, StoreError
from hilum.core.radiograph import Metadata


@dataclass(frozen=True, slots=True)
class Arrival:
    """A film that was kept and is to be accepted.

    Attributes:
        kept: its file.
        name: as the sender called it, without folders.
        format: "DICOM DX", "PNG", ...
        metadata: what its header says.
    """

    kept: Kept
    name: str
    format: str
    metadata: Metadata = field(default_factory=Metadata)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The ids of a film; ``duplicate`` where it was there before."""

    film_id: str
    study_id: str
    duplicate: bool


def accept(store: Store, folder: FilmFolder, log: Log, arrival: Arrival, who: str) -> Accepted:
    """Write film, study, job, event and log line in one transaction.

    Raises:
        RejectedImageError: a film of another patient is known under its UID, or by its content.
        StoreError: nothing was written.
    """
    with store.write() as session:
        if (film := _known(session, arrival)) is not None:
            if film.sha256 != arrival.kept.sha256:
                folder.remove(
                    [arrival.kept.sha256]
                )  # no film's, and none's while this has the lock
            _check_patient(session, film, arrival)
            return Accepted(film.id, film.study_id, duplicate=True)
        if not folder.path(arrival.kept.sha256).exists():
            raise StoreBusyError("the film was being deleted meanwhile", hint="send it again")
        study = _study(session, arrival)
        film = _film(arrival, study)
        session.add(film)
        session.flush()
        study.films += 1
        study.status = "queued"
        study.film_id = study.film_id or film.id
        session.add(Job(film_id=film.id))
        events.tell(session, "accepted", film.id, study.id, status="queued")
        log.add(session, who, "accepted", film_id=film.id, study_id=study.id, sha256=film.sha256)
        return Accepted(film.id, study.id, duplicate=False)


def drop(store: Store, folder: FilmFolder, kept: Kept) -> None:
    """Remove the file of a film that was not accepted, unless a film that was is the same."""
    with (
        contextlib.suppress(StoreError),  # then it lies there until it is sent again
        store.write() as session,  # no film is accepted while this holds the lock
    ):
        if session.scalars(select(Film.id).where(Film.sha256 == kept.sha256)).first() is None:
            folder.remove([kept.sha256])


def _known(session: Session, arrival: Arrival) -> Film | None:
    same = select(Film).where(Film.sha256 == arrival.kept.sha256)
    found = session.scalars(same).first()
    if found is None and (uid := arrival.metadata.instance_uid):
        found = session.scalars(select(Film).where(Film.instance_uid == uid)).first()
    return found


def _check_patient(session: Session, film: Film, arrival: Arrival) -> None:
    if _differ(session.get_one(Study, film.study_id).patient_id, arrival.metadata.patient_id):
        raise RejectedImageError(
            f"{arrival.name}: this film, or its SOP Instance UID, is known as another patient's",
            hint="if that is the mistake, delete the other study first; else give it its own UID",
        )


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _study(session: Session, arrival: Arrival) -> Study:
    """Find the study by its UID; a picture without one is a study of its own."""
    facts = arrival.metadata
    uid = facts.study_uid
    if uid:
        found = session.scalars(select(Study).where(Study.uid == uid)).first()
        if found is not None and not _differ(found.patient_id, facts.patient_id):
            return found
        uid = uid if found is None else None  # another patient's: a study of its own
    study = Study(
        uid=uid,
        patient_id=facts.patient_id,
        sex=facts.sex,
        age_years=facts.age_years,
        study_date=facts.study_date,
        name=arrival.name,
        search=search_text(facts.patient_id, arrival.name),
        view=facts.view,
        status="queued",
        films=0,
    )
    session.add(study)
    session.flush()
    return study


def _film(arrival: Arrival, study: Study) -> Film:
    return Film(
        study_id=study.id,
        sha256=arrival.kept.sha256,
        instance_uid=arrival.metadata.instance_uid,
        name=arrival.name,
        size=arrival.kept.size,
        format=arrival.format,
        view=arrival.metadata.view,
    )

"""Intake: a film that lies in the folder becomes a row, a study and a place in the queue, or none.

Same film twice is one film: by its content, or by its SOP Instance UID.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from hilum.apps.store import events
from hilum.apps.store.folder import FilmFolder, Kept
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Film, Job, Study, search_text
from hilum.core.errors import StoreBusyError
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
        StoreError: nothing was written.
    """
    with store.write() as session:
        if (film := _known(session, arrival)) is not None:
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


def _known(session: Session, arrival: Arrival) -> Film | None:
    same = [Film.sha256 == arrival.kept.sha256]
    if arrival.metadata.instance_uid:
        same.append(Film.instance_uid == arrival.metadata.instance_uid)
    return session.scalars(select(Film).where(or_(*same)).limit(1)).first()


def _study(session: Session, arrival: Arrival) -> Study:
    """Find the study by its UID; a picture without one is a study of its own."""
    facts = arrival.metadata
    if facts.study_uid:
        found = session.scalars(select(Study).where(Study.uid == facts.study_uid)).first()
        if found is not None:
            return found
    study = Study(
        uid=facts.study_uid,
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

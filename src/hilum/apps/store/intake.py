"""Intake: a film that lies in the folder becomes a row, a study and a place in the queue, or none.

Same film twice is one film: by its content, or by its SOP Instance UID. UIDs are unique by the
standard and not always in life: what two patients share by mistake joins nothing of theirs, and of
two films under one UID the first is kept, unless only the second can be opened.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from hilum.apps.store import deletion, events, queue, trash, wanted
from hilum.apps.store.folder import FilmFolder, Kept
from hilum.apps.store.log import Log
from hilum.apps.store.resent import Resent, compare
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Film, Job, Received, Study, search_text
from hilum.core.errors import RejectedImageError, StoreBusyError, StoreError
from hilum.core.radiograph import Metadata
from hilum.core.reading import Status


@dataclass(frozen=True, slots=True)
class Sender:
    """An application in the network that sent a film: its name, and its address.

    Attributes:
        results: there are routes by which results may go.
        refusals: so may what is said of a film that was refused.
        urgent: its films are read before others.
    """

    peer: str
    address: str
    results: bool = False
    refusals: bool = False
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """A film that was kept and is to be accepted.

    Attributes:
        kept: its file.
        name: as the sender called it, without folders.
        format: "DICOM DX", "PNG", ...
        metadata: what its header says.
        sender: who sent it over the network; None for people and their scripts.
    """

    kept: Kept
    name: str
    format: str
    metadata: Metadata = field(default_factory=Metadata)
    sender: Sender | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a film.

    Attributes:
        film_id, study_id: of the film that is kept now.
        duplicate: it was there before; ``differs`` where the file that came differs from the one
            that is kept: ``Resent.HEADER`` or ``Resent.PIXELS``; None where it does not, or where
            neither can be opened.
        replaced: what was there before could not be opened, and is this file now.
    """

    film_id: str
    study_id: str
    duplicate: bool
    differs: Resent | None = None
    replaced: bool = False


def accept(store: Store, folder: FilmFolder, log: Log, arrival: Arrival, who: str) -> Accepted:
    """Write film, study, job, event and log line in one transaction.

    Raises:
        RejectedImageError: a film of another patient is known under its UID, or by its content.
        StoreError: nothing was written.
    """
    weighed = _weigh(store, folder, arrival)
    with store.write() as session:
        taking = _Taking(session, folder, log, arrival, who)
        film = _known(session, arrival)
        before = film.sha256 if film is not None else None
        accepted = taking.new() if film is None else taking.again(film, weighed)
        if (sender := arrival.sender) is not None:
            session.add(
                Received(
                    film_id=accepted.film_id,
                    peer=sender.peer,
                    address=sender.address,
                    duplicate=accepted.duplicate,
                )
            )
            if sender.results:
                session.flush()
                # it came by hand before
                wanted.want_once(session, accepted.film_id, refusals=sender.refusals)
    if before is None:
        return accepted
    if accepted.replaced:
        deletion.remove(store, folder, [before])
    elif before == arrival.kept.sha256 and weighed == (before, Resent.REPAIR):
        queue.ask_again(
            store, log, accepted.film_id, who, force=False
        )  # it was an error, and opens now
    return accepted


def _weigh(store: Store, folder: FilmFolder, arrival: Arrival) -> tuple[str, Resent] | None:
    """Compare a film with the one that is kept under its UID, before anything is locked.

    Returns:
        Checksum of the one that is kept, and what was found; None with nothing to compare.
    """
    sent = arrival.kept.sha256
    with store.read() as session:
        film = _known(session, arrival)
        if film is None or (film.sha256 == sent and film.status != Status.ERROR):
            return None
        risky = queue.is_dangerous(session, film)
    if risky and film.sha256 == sent:  # it ended its reader, and would again
        return sent, Resent.BROKEN
    kept = None if risky or film.sha256 == sent else folder.path(film.sha256)
    return film.sha256, compare(kept, folder.path(sent))


@dataclass(frozen=True, slots=True)
class _Taking:
    """One film in the transaction that takes it."""

    session: Session
    folder: FilmFolder
    log: Log
    arrival: Arrival
    who: str

    def new(self) -> Accepted:
        """Take a film that nobody knows."""
        self._check_file()
        session, arrival = self.session, self.arrival
        study = _study(session, arrival)
        film = _film(arrival, study)
        session.add(film)
        session.flush()
        study.films += 1
        study.status = "queued"
        study.film_id = study.film_id or film.id
        session.add(Job(film_id=film.id, urgent=self._urgent))
        ids = {"film_id": film.id, "study_id": study.id}
        events.tell(session, "accepted", **ids, status="queued")
        self.log.add(session, self.who, "accepted", **ids, sha256=film.sha256)
        return Accepted(film.id, study.id, duplicate=False)

    def again(self, film: Film, weighed: tuple[str, Resent] | None) -> Accepted:
        """Answer for a film that is known: keep the first file, or take this one in its place."""
        ids = {"film_id": film.id, "study_id": film.study_id}
        if film.sha256 == self.arrival.kept.sha256:
            self._check_patient(film)
            return Accepted(film.id, film.study_id, duplicate=True)
        what = weighed[1] if weighed and weighed[0] == film.sha256 else None
        if what is Resent.REPAIR:
            return self._replace(film)
        # no film's, and none's while this has the lock
        if not trash.held(self.session, [self.arrival.kept.sha256]):
            self.folder.remove([self.arrival.kept.sha256])
        self._check_patient(film)
        if what is None:
            raise StoreBusyError("another film came under its UID meanwhile", hint="send it again")
        if what is Resent.BROKEN:
            return Accepted(film.id, film.study_id, duplicate=True)
        more = {"sha256": film.sha256, "left_out": self.arrival.kept.sha256, "differs": what.value}
        self.log.add(self.session, self.who, "kept-first", **ids, **more)
        return Accepted(film.id, film.study_id, duplicate=True, differs=what)

    def _replace(self, film: Film) -> Accepted:
        """Put this file in the place of one that cannot be opened; it is read as if it were new."""
        self._check_patient(film)
        self._check_file()
        session, kept, before = self.session, self.arrival.kept, film.sha256
        film.sha256, film.size, film.name = kept.sha256, kept.size, self.arrival.name
        film.format, film.view = self.arrival.format, self.arrival.metadata.view
        queue.begin_anew(session, film, urgent=self._urgent)
        ids = {"film_id": film.id, "study_id": film.study_id}
        events.tell(session, "accepted", **ids, status="queued", replaced="broken")
        self.log.add(
            session, self.who, deletion.REPLACED, **ids, sha256=kept.sha256, films=[before]
        )
        return Accepted(film.id, film.study_id, duplicate=False, replaced=True)

    @property
    def _urgent(self) -> bool:
        return self.arrival.sender is not None and self.arrival.sender.urgent

    def _check_file(self) -> None:
        if not self.folder.path(self.arrival.kept.sha256).exists():
            raise StoreBusyError("the film was being deleted meanwhile", hint="send it again")

    def _check_patient(self, film: Film) -> None:
        """Refuse another patient's film; who had no id so far has the one that came now."""
        study, named = self.session.get_one(Study, film.study_id), self.arrival.metadata.patient_id
        if study.patient_id is None and named is not None:
            study.patient_id, study.search = named, search_text(named, study.search)
            self.log.add(self.session, self.who, "patient-named", study_id=study.id)
        if _differ(study.patient_id, named):
            raise RejectedImageError(
                f"{self.arrival.name}: this film, or its SOP Instance UID, is known as another "
                "patient's",
                hint="if that is the mistake, delete the other study first; "
                "else give it its own UID",
            )


def take(store: Store, folder: FilmFolder, log: Log, arrival: Arrival, who: str) -> Accepted:
    """Accept a film; where none was written its file goes again, whatever happened.

    Raises:
        RejectedImageError, StoreError: as ``accept``.
    """
    try:
        return accept(store, folder, log, arrival, who)
    except Exception:
        _drop(store, folder, arrival.kept)
        raise


def shortened(metadata: Metadata) -> Metadata:
    """Cut texts of a header to what the store holds; drop what no text may contain."""

    def cut(text: str | None, most: int) -> str | None:
        if text is None:
            return None
        plain = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
        return plain[:most] or None

    return replace(
        metadata,
        patient_id=cut(metadata.patient_id, 128),
        study_uid=cut(metadata.study_uid, 128),
        instance_uid=cut(metadata.instance_uid, 128),
        sex=cut(metadata.sex, 1),
    )


def _drop(store: Store, folder: FilmFolder, kept: Kept) -> None:
    """Remove the file of a film that was not accepted, unless a film that was is the same."""
    with (
        contextlib.suppress(StoreError),  # then it lies there until it is sent again
        store.write() as session,  # no film is accepted while this holds the lock
    ):
        known = session.scalars(select(Film.id).where(Film.sha256 == kept.sha256)).first()
        if known is None and not trash.held(session, [kept.sha256]):
            folder.remove([kept.sha256])


def _known(session: Session, arrival: Arrival) -> Film | None:
    same = select(Film).where(Film.sha256 == arrival.kept.sha256)
    found = session.scalars(same).first()
    if found is None and (uid := arrival.metadata.instance_uid):
        found = session.scalars(select(Film).where(Film.instance_uid == uid)).first()
    return found


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

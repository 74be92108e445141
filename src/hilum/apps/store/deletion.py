"""Deletion: a study leaves the store, then its films leave the disk; the log keeps its lines.

What a person deletes can go into the trash instead (``trash.py``), where its files stay.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, false, or_, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from hilum.apps.store import events, lists, outbox, resultfiles, trash
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store, parts
from hilum.apps.store.tables import (
    Desk,
    Film,
    Job,
    Line,
    ListedFilm,
    Read,
    Received,
    Reference,
    Report,
    Round,
    Ruler,
    Study,
    Trashed,
    Verdict,
    now_ms,
)

_DELETED = "deleted"
REPLACED = "replaced"
"""The file of a film gave way to one that can be opened; the log line names both."""
_MOST = 500
"""Studies that retention deletes in one transaction."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Studies that are to go: by their ids, of a patient, or that came before a moment.

    Attributes:
        study_ids: or their UIDs; those that are not there are passed over.
        patient_id: of whom every study goes.
        before_ms: in milliseconds since 1970; no film of them came later, either.
        most: of them, the oldest first; None for all.
        settled: only those of which no results wait to be made or sent.
        copies: only those whose every film came over the network, so that an archive has it, was
            read, and that nobody has worked on or is asked to read: no verdict, reference standard,
            report, mark, ruler or reading list; and whose results are where they belong.
        confirming, deleting: peers that say so only by a confirmation, and that are told to delete
            what is taken back.
    """

    study_ids: tuple[str, ...] = ()
    patient_id: str | None = None
    before_ms: int | None = None
    most: int | None = None
    settled: bool = False
    copies: bool = False
    confirming: tuple[str, ...] = ()
    deleting: tuple[str, ...] = ()

    def query(self) -> Select[str]:
        """Return the query for the ids of the studies, the oldest first."""
        query = select(Study.id).order_by(Study.created_ms, Study.id)
        if self.patient_id is not None:
            return query.where(Study.patient_id == self.patient_id)
        if self.before_ms is not None:
            query = query.where(Study.created_ms < self.before_ms, Study.id.not_in(self._staying()))
            late = select(Film.study_id).where(Film.created_ms >= self.before_ms)
            query = query.where(Study.id.not_in(late))
            return query.limit(self.most)
        return query.where(Study.id.in_(self.study_ids) | Study.uid.in_(self.study_ids))

    def _staying(self) -> Select[str]:
        """Return the query for studies that stay, however old they are."""
        stays: list[Any] = [false()]
        if self.settled:
            stays.append(Film.id.in_(outbox.unsettled()))
        if self.copies:
            stays.append(Film.id.in_(select(Job.film_id).where(Job.state != "done")))
            stays.append(Film.id.not_in(select(Received.film_id)))
            stays.append(Film.id.in_(outbox.undelivered(self.confirming, self.deleting)))
            worked = (Verdict, Reference, Report, Desk, Ruler, ListedFilm)
            stays += [Film.id.in_(select(kind.film_id)) for kind in worked]
        return select(Film.study_id).where(or_(*stays))


@dataclass(frozen=True, slots=True)
class Going:
    """What goes with some studies: how many of each, when the first and the last came.

    Attributes:
        desks: films on which somebody has begun something that is no verdict yet.
        kept: verdicts, given in reading lists, of which the figures stay without the patient,
            those of studies in the trash among them; where a patient is erased.
        trashed: studies of an erased patient in the trash, which go, too.
        mark: changes with anything that is chosen, or comes to it.
    """

    studies: int
    films: int
    readings: int
    verdicts: int
    marks: int
    references: int
    reports: int
    desks: int
    rulers: int
    kept: int
    trashed: int
    first_ms: int | None
    last_ms: int | None
    mark: str


def unknown(session: Session, study_ids: Collection[str]) -> list[str]:
    """Return those of these ids and UIDs that no study has."""
    query = select(Study.id, Study.uid)
    query = query.where(Study.id.in_(study_ids) | Study.uid.in_(study_ids))
    known = {name for row in session.execute(query) for name in row}
    return [each for each in study_ids if each not in known]


def preview(session: Session, chosen: Chosen) -> Going:
    """Say what would go."""
    ids = list(session.scalars(chosen.query()))
    film_ids = _film_ids(session, ids)
    verdicts = _rows(session, film_ids, Verdict)
    kinds = (Read, Reference, Report, Ruler)
    others = {kind: len(_rows(session, film_ids, kind)) for kind in kinds}
    desks = _unfinished(session, film_ids)
    times = _times(session, ids)
    told = (f"{row.id} {len(row.marks)}" for row in verdicts)
    trashed = len(session.scalars(_trashed(chosen)).all())
    kept = trash.in_lists(session, _trashed(chosen)) if trashed else 0
    kept += sum(row.list_id is not None for row in verdicts if chosen.patient_id is not None)
    seen = [*ids, *film_ids, *told, *map(str, others.values()), str(desks), str(trashed), str(kept)]
    return Going(
        studies=len(ids),
        films=len(film_ids),
        readings=others[Read],
        verdicts=len(verdicts),
        marks=sum(len(row.marks) for row in verdicts),
        references=others[Reference],
        reports=others[Report],
        desks=desks,
        rulers=others[Ruler],
        kept=kept,
        trashed=trashed,
        first_ms=min(times, default=None),
        last_ms=max(times, default=None),
        mark=hashlib.sha256("\n".join(seen).encode()).hexdigest()[:16],
    )


def delete(
    store: Store,
    folder: FilmFolder,
    log: Log,
    chosen: Chosen,
    who: str,
    *,
    agreed: Callable[[Going], None] = lambda _: None,
    restorable: bool = False,
    **why: Any,
) -> Going:
    """Delete studies with their films, readings, verdicts and reports: all, or none.

    Of verdicts in reading lists the figures stay, without patient, film, words and marks, where a
    patient is erased: a study would lose its readers' work. Studies that are chosen go with all.

    Args:
        store, folder, log: where they are.
        chosen: which.
        who: a person, or "hilum".
        agreed: is told what goes before it does, and raises if that is not what was agreed to.
        restorable: into the trash. A patient is erased at once, from the trash, too.
        why: stands in each line of the log; nothing that names a patient.

    Raises:
        StoreError: nothing was deleted.
    """
    with store.write() as session:
        going = preview(session, chosen)
        agreed(going)
        ids = list(session.scalars(chosen.query()))
        films = _film_ids(session, ids)
        if chosen.patient_id is not None:
            lists.bequeath(session, [*films, *trash.lay_out(session, _trashed(chosen))])
            session.execute(sql_delete(Study).where(Study.id.in_(_trashed(chosen))))
        results = resultfiles.checksums(session, films)
        if restorable and chosen.patient_id is None:
            checksums, results = _trash(session, log, ids, who, why), []
        else:
            checksums = _delete(session, log, ids, who, why)
        if going.trashed:
            left = trash.forget(session, log, _trashed(chosen), who, **why)
            checksums, results = [*checksums, *left], [*results, *left]
        if chosen.patient_id is not None and going.studies + going.trashed:
            pseudonym = log.pseudonym(chosen.patient_id)
            log.add(
                session,
                who,
                "patient-erased",
                patient=pseudonym,
                studies=going.studies + going.trashed,
                kept=going.kept,
                **why,
            )
            for each in session.scalars(select(Round)):
                if each.query.get("q"):  # it may be the patient's id
                    session.delete(each)
    for part in parts(checksums):
        remove(store, folder, part)
    resultfiles.remove(store, folder, results)
    if going.studies + going.trashed:
        store.forget()
    return going


def delete_study(
    store: Store, folder: FilmFolder, log: Log, study_id: str, who: str, *, restorable: bool = False
) -> bool:
    """Delete a study; False if there is no such study.

    Raises:
        StoreError: nothing was deleted.
    """
    chosen = Chosen((study_id,))
    return delete(store, folder, log, chosen, who, restorable=restorable).studies == 1


def empty(store: Store, folder: FilmFolder, log: Log, which: Select[str], who: str) -> int:
    """Delete studies from the trash for good; count them."""
    with store.read() as session:
        if session.scalars(which).first() is None:
            return 0
    with store.write() as session:
        count = len(session.scalars(which).all())
        files = trash.forget(session, log, which, who, why="trash")
    for part in parts(files):
        remove(store, folder, part)
    resultfiles.remove(store, folder, files)
    store.forget()
    return count


def retain(store: Store, folder: FilmFolder, log: Log, days: float, which: Chosen) -> int:
    """Delete of ``which`` what came more than ``days`` ago, some at a time; count the studies."""
    before_ms = now_ms() - round(days * 86_400_000)
    chosen = replace(which, before_ms=before_ms, most=_MOST)
    with store.read() as session:
        if session.scalars(chosen.query()).first() is None:
            return 0
    return delete(store, folder, log, chosen, "hilum", why="retention", days=days).studies


def finish(store: Store, folder: FilmFolder) -> int:
    """Remove films of deleted studies, and replaced films, that a kill left on disk; count them.

    Only what the log says was deleted or replaced: files that the store does not know may be all
    that is left of one that was lost.
    """
    with store.read() as session:
        said = session.scalars(select(Line.data).where(Line.action.in_((_DELETED, REPLACED))))
        deleted = {each for data in said for each in json.loads(data)["films"]}
    left = [each for each in deleted if folder.path(each).exists()]
    return sum(remove(store, folder, part) for part in parts(left))


def remove(store: Store, folder: FilmFolder, checksums: list[str]) -> int:
    """Remove those of some films from disk that the store has not accepted anew; count them."""
    with store.write() as session:  # no film is accepted while this holds the lock
        kept = set(session.scalars(select(Film.sha256).where(Film.sha256.in_(checksums))))
        kept |= trash.held(session, checksums)
        folder.remove(set(checksums) - kept)
    return len(set(checksums) - kept)


def _delete(session: Session, log: Log, ids: list[str], who: str, why: dict[str, Any]) -> list[str]:
    """Delete studies in a transaction, tell and log each; return the checksums of their films."""
    return _go(session, log, ids, who, _DELETED, why)


def _trash(session: Session, log: Log, ids: list[str], who: str, why: dict[str, Any]) -> list[str]:
    """Move studies into the trash; return no checksum: the files stay."""
    for study_id in ids:
        films = session.execute(_films_of([study_id])).all()
        files = [each.sha256 for each in films]
        files += resultfiles.checksums(session, [each.id for each in films])
        trash.put(session, study_id, who, why.get("reason", ""), files)
    _go(session, log, ids, who, "trashed", why)
    return []


def _trashed(chosen: Chosen) -> Select[str]:
    """Return the query for the studies of an erased patient that are in the trash."""
    query = select(Trashed.study_id)
    if chosen.patient_id is None:
        return query.where(false())
    return query.where(Trashed.patient_id == chosen.patient_id)


def _go(
    session: Session, log: Log, ids: list[str], who: str, action: str, why: dict[str, Any]
) -> list[str]:
    of_study: dict[str, list[str]] = {study_id: [] for study_id in ids}
    for part in parts(ids):
        for row in session.execute(_films_of(part)):
            of_study[row.study_id].append(row.sha256)
        session.execute(sql_delete(Study).where(Study.id.in_(part)))
    for study_id, films in of_study.items():
        events.tell(session, _DELETED, None, study_id)
        log.add(session, who, action, study_id=study_id, films=films, **why)
    return [each for films in of_study.values() for each in films]


def _films_of(study_ids: list[str]) -> Select[str, str, str]:
    query = select(Film.id, Film.study_id, Film.sha256).where(Film.study_id.in_(study_ids))
    return query.order_by(Film.created_ms, Film.id)


def _film_ids(session: Session, study_ids: list[str]) -> list[str]:
    return [row.id for part in parts(study_ids) for row in session.execute(_films_of(part))]


def _rows(session: Session, film_ids: list[str], kind: Any) -> list[Any]:
    """Return what of a kind belongs to films: its key; of a verdict marks and list, too."""
    columns = (kind.id, kind.marks, kind.list_id) if kind is Verdict else (kind.film_id,)
    return [
        row
        for part in parts(film_ids)
        for row in session.execute(select(*columns).where(kind.film_id.in_(part)))
    ]


def _unfinished(session: Session, film_ids: list[str]) -> int:
    """Count the films with work on a desk; what was given leaves an empty one there."""
    query = select(Desk.film_id, Desk.body)
    found = (
        row
        for part in parts(film_ids)
        for row in session.execute(query.where(Desk.film_id.in_(part)))
    )
    made = ("choices", "text", "corrected_label", "marks")
    return len({row.film_id for row in found if any(row.body.get(each) for each in made)})


def _times(session: Session, ids: list[str]) -> list[int]:
    return [
        moment
        for part in parts(ids)
        for moment in session.scalars(select(Study.created_ms).where(Study.id.in_(part)))
    ]

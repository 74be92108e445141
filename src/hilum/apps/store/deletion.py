"""Deletion: a study leaves the store, then its films leave the disk; the log keeps its lines."""

from __future__ import annotations

import json

from sqlalchemy import select

from hilum.apps.store import events
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Film, Line, Study

_DELETED = "deleted"
REPLACED = "replaced"
"""The file of a film gave way to one that can be opened; the log line names both."""
_AT_ONCE = 500
"""SQLite takes a limited number of parameters."""


def delete_study(store: Store, folder: FilmFolder, log: Log, study_id: str, who: str) -> bool:
    """Delete a study with its films, readings, verdicts and reports.

    Returns:
        False if there is no such study.

    Raises:
        StoreError: nothing was deleted.
    """
    with store.write() as session:
        found = session.get(Study, study_id)
        if found is None:
            return False
        checksums = list(session.scalars(select(Film.sha256).where(Film.study_id == study_id)))
        session.delete(found)
        events.tell(session, _DELETED, None, study_id)
        log.add(session, who, _DELETED, study_id=study_id, films=checksums)
    remove(store, folder, checksums)
    return True


def finish(store: Store, folder: FilmFolder) -> int:
    """Remove films of deleted studies, and replaced films, that a kill left on disk; count them.

    Only what the log says was deleted or replaced: files that the store does not know may be all
    that is left of one that was lost.
    """
    with store.read() as session:
        said = session.scalars(select(Line.data).where(Line.action.in_((_DELETED, REPLACED))))
        deleted = {each for data in said for each in json.loads(data)["films"]}
    left = [each for each in deleted if folder.path(each).exists()]
    return sum(
        remove(store, folder, left[start : start + _AT_ONCE])
        for start in range(0, len(left), _AT_ONCE)
    )


def remove(store: Store, folder: FilmFolder, checksums: list[str]) -> int:
    """Remove those of some films from disk that the store has not accepted anew; count them."""
    with store.write() as session:  # no film is accepted while this holds the lock
        kept = set(session.scalars(select(Film.sha256).where(Film.sha256.in_(checksums))))
        folder.remove(set(checksums) - kept)
    return len(set(checksums) - kept)

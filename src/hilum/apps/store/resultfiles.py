"""Files of results: which are needed, and the removal of those that no row names any more."""

from __future__ import annotations

import time
from collections.abc import Collection

from sqlalchemy import CompoundSelect, func, select, update
from sqlalchemy.orm import Session

from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import Log
from hilum.apps.store.outbox import HOUR_MS
from hilum.apps.store.store import Store, parts
from hilum.apps.store.tables import Delivery, Result, TrashedFile, now_ms


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
    before = now_ms() - round(days * 24 * HOUR_MS)
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
    before = time.time() - HOUR_MS / 1000  # what is being made now has no row yet
    old = [each.name for each in folder.results.glob("*/*") if each.stat().st_mtime < before]
    with store.read() as session:
        known = {found for part in parts(old) for found in session.scalars(_needed(part))}
    remove(store, folder, set(old) - known)


def _needed(files: Collection[str]) -> CompoundSelect[str]:
    named = select(Result.sha256).where(Result.sha256.in_(files), Result.forgotten.is_(False))
    return named.union(select(TrashedFile.sha256).where(TrashedFile.sha256.in_(files)))

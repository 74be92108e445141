"""Trash: studies that a person deleted, whole, until they are put back or go for good.

A study in the trash is in no other table, so that nothing that lists, searches, counts, exports or
sends films has to know of the trash. Its files stay where they are.

An upgrade leaves the packed rows as they are. Put back, a column that came since gets its default,
and one that went is left out; what the worklist shows is made anew. A migration that changes what
another column holds has to be told here, for rows whose ``revision`` is older.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection
from typing import Any

from sqlalchemy import Column, ForeignKey, LargeBinary, Select, delete, insert, or_, select, text
from sqlalchemy import Table as Rows
from sqlalchemy.orm import Session

from hilum.apps.store import events, queue
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Film, ReadingList, Study, Table, Trashed, TrashedFile, now_ms

_TABLES = Table.metadata.tables
_BYTES = "base64"
_FIGURES = (
    "studies", "films", "readings", "reference_standards", "listed_films", "seen", "verdicts",
)  # fmt: skip


def put(session: Session, study_id: str, who: str, reason: str, files: Collection[str]) -> None:
    """Keep everything of a study that is about to be deleted; in the same transaction.

    Args:
        session: of ``Store.write``.
        study_id: which.
        who: deletes it; ``reason`` why.
        files: checksums of its films and of their results, which stay on disk.
    """
    study = session.get_one(Study, study_id)
    rows = _rows(session, study_id)
    packed = zlib.compress(json.dumps(rows, default=_plain).encode())
    session.add(
        Trashed(
            study_id=study_id,
            uid=study.uid,
            patient_id=study.patient_id,
            study_date=study.study_date,
            created_ms=study.created_ms,
            counts={name: len(rows.get(name, ())) for name in ("films", "verdicts", "reports")},
            person=who,
            reason=reason,
            rows=packed,
            revision=session.scalar(text("SELECT version_num FROM alembic_version")),
        )
    )
    session.flush()
    session.add_all(TrashedFile(study_id=study_id, sha256=each) for each in set(files))


def restore(store: Store, log: Log, study_id: str, who: str) -> bool | None:
    """Put a study back with all that belonged to it.

    What belonged to a reading list that was deleted meanwhile stays out.

    Returns:
        None where it is not in the trash; False where a film of it came again since.

    Raises:
        StoreError: nothing was put back.
    """
    with store.write() as session:
        found = session.get(Trashed, study_id)
        if found is None:
            return None
        rows = _unpacked(found)
        films = [(each["sha256"], each["instance_uid"]) for each in rows.get("films", ())]
        came = or_(
            Film.sha256.in_([sha256 for sha256, _ in films]),
            Film.instance_uid.in_([uid for _, uid in films if uid]),
        )
        again = session.scalar(select(Film.id).where(came).limit(1))
        again = again or session.scalar(select(Study.id).where(Study.uid == (found.uid or "")))
        if again is not None:
            return False
        for row in rows.get("deliveries", ()):
            if row["state"] == "claimed":  # whoever sent it then does so no more
                row |= {"state": "waiting", "next_ms": now_ms()}
        _put_back(session, rows, [table.name for table in Table.metadata.sorted_tables])
        queue.show(session, study_id)  # an older Hilum may have shown it otherwise
        session.delete(found)
        events.tell(session, "accepted", None, study_id)
        log.add(session, who, "restored", study_id=study_id)
        return True


def forget(session: Session, log: Log, which: Select[str], who: str, **why: Any) -> list[str]:
    """Delete studies from the trash in a transaction; return the checksums of their files."""
    gone: list[str] = []
    for study_id in session.scalars(which).all():
        mine = select(TrashedFile.sha256).where(TrashedFile.study_id == study_id)
        files = list(session.scalars(mine.order_by(TrashedFile.sha256)))
        session.execute(delete(Trashed).where(Trashed.study_id == study_id))
        log.add(session, who, "deleted", study_id=study_id, films=files, **why)
        gone += files
    return gone


def in_lists(session: Session, which: Select[str]) -> int:
    """Count the verdicts of studies in the trash that were given in reading lists still there."""
    kept = select(Trashed).where(Trashed.study_id.in_(which))
    given = [
        row["list_id"]
        for study in session.scalars(kept)
        for row in _unpacked(study).get("verdicts", ())
    ]
    there = set(session.scalars(select(ReadingList.id).where(ReadingList.id.in_(given))))
    return sum(each in there for each in given)


def lay_out(session: Session, which: Select[str]) -> list[str]:
    """Put back of studies what figures of reading lists are made of; return the ids of the films.

    The transaction must delete these studies again. They have no checksums and UIDs, because a film
    of them may have come again.
    """
    laid: list[str] = []
    for study in session.scalars(select(Trashed).where(Trashed.study_id.in_(which))).all():
        rows = _unpacked(study)
        for row in rows["studies"]:
            row["uid"] = None
        for row in rows.get("films", ()):
            row |= {"sha256": row["id"], "instance_uid": None}
            laid.append(row["id"])
        _put_back(session, rows, _FIGURES)
    return laid


def old(days: float) -> Select[str]:
    """Return the query for what lay in the trash so many days, however old the study is."""
    return select(Trashed.study_id).where(Trashed.at_ms < now_ms() - round(days * 86_400_000))


def held(session: Session, files: Collection[str]) -> set[str]:
    """Return those of some files that a study in the trash needs."""
    query = select(TrashedFile.sha256).where(TrashedFile.sha256.in_(list(files)))
    return set(session.scalars(query))


def _owner(column: Column[Any], names: Collection[str]) -> ForeignKey | None:
    """Return by what rows of a table go with rows of others; None if they do not."""
    return next(
        (
            each
            for each in column.foreign_keys
            if each.ondelete == "CASCADE" and each.column.table.name in names
        ),
        None,
    )


def _rows(session: Session, study_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows that a deletion of the study takes along, table by table."""
    found = {"studies": _select(session, _TABLES["studies"], "id", {study_id})}
    for table in Table.metadata.sorted_tables:
        for column in table.columns:
            key = _owner(column, found)
            if key is not None:
                owners = {row[key.column.name] for row in found[key.column.table.name]}
                found[table.name] = _select(session, table, column.name, owners)
                break
    return found


def _unpacked(study: Trashed) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a study in the trash, table by table."""
    rows: dict[str, list[dict[str, Any]]] = json.loads(zlib.decompress(study.rows))
    return rows


def _put_back(
    session: Session, rows: dict[str, list[dict[str, Any]]], tables: Collection[str]
) -> None:
    renumbered: dict[tuple[str, Any], Any] = {}
    for table in Table.metadata.sorted_tables:
        for row in rows.get(table.name, ()) if table.name in tables else ():
            _insert(session, table, row, rows, renumbered)


def _select(session: Session, table: Rows, name: str, values: set[Any]) -> list[dict[str, Any]]:
    rows = session.execute(select(table).where(table.c[name].in_(values)))
    return [dict(row) for row in rows.mappings()]


def _insert(
    session: Session,
    table: Rows,
    row: dict[str, Any],
    rows: dict[str, Any],
    renumbered: dict[tuple[str, Any], Any],
) -> None:
    """Insert a row as it was, under a number of its own if it had one; or not, without its list."""
    values = {
        name: _whole(value) if isinstance(table.c[name].type, LargeBinary) else value
        for name, value in row.items()
        if name in table.c
    }
    for column in table.columns:
        for key in column.foreign_keys:
            parent, value = key.column.table.name, values.get(column.name)
            if (parent, value) in renumbered:
                values[column.name] = renumbered[parent, value]
            elif value is not None and parent not in rows:
                known = session.execute(select(key.column).where(key.column == value)).first()
                if known is None:
                    return
    counted = table.autoincrement_column
    number: Any = values.pop(counted.name) if counted is not None else None
    adding = insert(table).values(values)
    if counted is None:
        session.execute(adding)
    else:
        renumbered[table.name, number] = session.scalar(adding.returning(counted))


def _plain(value: Any) -> dict[str, str]:
    return {_BYTES: base64.b64encode(value).decode()}


def _whole(value: dict[str, str] | None) -> bytes | None:
    return None if value is None else base64.b64decode(value[_BYTES])

"""Status: how the node is, as its processes and its tables say; it needs no DICOM network."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hilum.apps.store.tables import Job, Received, Setting, iso

RECEIVER = "receiver"
"""The setting in which the receiver says how it is; see ``receiver``."""


def receiver(session: Session) -> dict[str, Any]:
    """Return what the receiver last said of itself.

    Returns:
        {"listen": "HOST:PORT" or None, "pid", "at_ms", "counts": {peer: {outcome: n}}}; counts
        since it was started.
    """
    found = session.get(Setting, RECEIVER)
    return found.value if found else {"listen": None, "pid": None, "at_ms": None, "counts": {}}


def summary(session: Session) -> dict[str, Any]:
    """Return what came from whom, and how much waits to be read."""
    state = receiver(session)
    last = func.max(Received.at_ms)
    first = func.count().filter(Received.duplicate.is_(False))
    by_peer = select(Received.peer, first, func.count(), last).group_by(Received.peer)
    return {
        "listen": state["listen"],
        "counts": state["counts"],
        "received": {
            row[0]: {"films": row[1], "duplicates": row[2] - row[1], "last": iso(row[3])}
            for row in session.execute(by_peer.order_by(Received.peer))
        },
        "to_read": session.scalar(select(func.count()).where(Job.state != "done")),
    }

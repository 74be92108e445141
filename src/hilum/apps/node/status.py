"""Status: how the node is, as its processes and its tables say; it needs no DICOM network."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hilum.apps.store.tables import Delivery, Job, Made, Received, Setting, iso, now_ms

RECEIVER = "receiver"
"""The setting in which the receiver says how it is; see ``receiver``."""
SAID_MS = 30_000
"""How often the receiver says so anew, if nothing has changed."""
SENDER = "peer:"
"""With the name of a peer: {"error": why it cannot be sent to, or None, "since_ms"}."""

_MOST = 100
"""Failures that are listed, the latest first; all are counted."""


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
    heard = state["at_ms"] or 0
    listens = now_ms() - heard < 3 * SAID_MS  # else it was killed, or has no store
    last = func.max(Received.at_ms)
    first = func.count().filter(Received.duplicate.is_(False))
    by_peer = select(Received.peer, first, func.count(), last).group_by(Received.peer)
    deliveries = select(
        Delivery.peer, Delivery.state, func.count(), func.min(Delivery.created_ms),
        func.max(Delivery.sent_ms),
    ).group_by(Delivery.peer, Delivery.state)  # fmt: skip
    peers: dict[str, dict[str, Any]] = {}
    for name, word, count, oldest, sent in session.execute(deliveries):
        peer = peers.setdefault(name, dict.fromkeys(("oldest_waiting_s", "last_sent")))
        peer.setdefault("states", {})
        peer["states"][word] = count
        if word == "waiting":
            peer["oldest_waiting_s"] = round((now_ms() - oldest) / 1000)
        if sent is not None:
            peer["last_sent"] = max(peer["last_sent"] or "", iso(sent) or "")
    for name, peer in peers.items():
        found = session.get(Setting, SENDER + name)
        peer["error"] = found.value["error"] if found else None
        peer["since"] = iso(found.value["since_ms"]) if found else None
    failed = select(Made.film_id, Made.error).where(Made.state == "failed")
    failed = failed.order_by(Made.at_ms.desc()).limit(_MOST)
    return {
        "listen": state["listen"] if listens else None,
        "last_heard": iso(state["at_ms"]),
        "counts": state["counts"],
        "received": {
            row[0]: {"films": row[1], "duplicates": row[2] - row[1], "last": iso(row[3])}
            for row in session.execute(by_peer.order_by(Received.peer))
        },
        "to_make": session.scalar(select(func.count()).where(Made.state == "to-make")),
        "not_made": session.scalar(select(func.count()).where(Made.state == "failed")),
        "failed": [
            {"film_id": film_id, "error": error} for film_id, error in session.execute(failed)
        ],
        "peers": peers,
        "to_read": session.scalar(select(func.count()).where(Job.state != "done")),
    }

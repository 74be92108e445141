"""Status: how the node is, as its processes and its tables say; it needs no DICOM network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hilum.apps.node.settings import Node
from hilum.apps.store.tables import Delivery, Job, Made, Received, Setting, iso, now_ms

RECEIVER = "receiver"
"""The setting in which the receiver says how it is; see ``receiver``."""
SAID_MS = 30_000
"""How often the receiver says so anew, if nothing has changed."""
SENDER = "peer:"
"""With the name of a peer: {"error": why it cannot be sent to, or None, "since_ms", "permanent":
it says that trying again is in vain}."""
WAITS_S, AWAY_S = 900, 300
"""An alarm: a result that waits so long, a peer that cannot be sent to for so long."""
EXPIRES_DAYS = 14

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
        peer["permanent"] = bool(found and found.value.get("permanent"))
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


def alarms(found: dict[str, Any], node: Node, data: Path) -> list[dict[str, Any]]:
    """Return what a person must look after: {"code", "peer" or None, "value"} each.

    Args:
        found: what ``summary`` found.
        node: its settings.
        data: folder of data.

    Codes, with what the value is: ``receiver``: it does not listen; ``space``: less is left than
    ``reserve_gb``, in 10^9 bytes; ``certificate``: ends within days; ``not-made``: readings without
    results; and of a peer ``dead``: results that it did not take; ``waits``: minutes that a result
    waits; ``refuses``: minutes since when it does not let this node in; ``away``: minutes since
    when it cannot be sent to; ``silent``: hours without a film of one that used to send.
    """
    rows = [("receiver", None, 0.0)] if found["listen"] is None else []
    free = shutil.disk_usage(data).free / 1e9
    rows += [("space", None, free)] if free < node.reserve_gb else []
    days = _certificate_days(node, data)
    rows += [("certificate", None, days)] if days is not None and days < EXPIRES_DAYS else []
    rows += [("not-made", None, float(found["not_made"]))] if found["not_made"] else []
    for name, peer in found["peers"].items():
        rows += [(code, name, value) for code, value in _of_peer(peer)]
    for name, films in found["received"].items():
        known = node.peer(name)
        hours = _seconds_since(films["last"]) / 3600
        if known is not None and known.silence_h and hours > known.silence_h:
            rows.append(("silent", name, hours))
    return [{"code": code, "peer": peer, "value": round(value, 1)} for code, peer, value in rows]


def _of_peer(peer: dict[str, Any]) -> Iterator[tuple[str, float]]:
    if dead := peer["states"].get("dead"):
        yield "dead", float(dead)
    if (peer["oldest_waiting_s"] or 0) > WAITS_S:
        yield "waits", peer["oldest_waiting_s"] / 60
    if peer["error"]:
        down = _seconds_since(peer["since"])
        if peer["permanent"]:
            yield "refuses", down / 60
        elif down > AWAY_S:
            yield "away", down / 60


def _certificate_days(node: Node, data: Path) -> float | None:
    """Return in how many days this node's certificate ends; None without one that can be read."""
    if node.tls is None:
        return None
    try:
        loaded = x509.load_pem_x509_certificate((data / node.tls.certificate).read_bytes())
    except (OSError, ValueError):
        return None  # the receiver does not listen then, and says why
    return loaded.not_valid_after_utc.timestamp() / 86_400 - now_ms() / 86_400_000


def _seconds_since(moment: str) -> float:
    return now_ms() / 1000 - datetime.fromisoformat(moment).timestamp()

"""Operation: health, readiness, metrics, the log, the schema of a Reading."""

from __future__ import annotations

import json
import shutil
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import func, select

from hilum.apps.node.settings import Node
from hilum.apps.node.status import alarms, receiver, summary
from hilum.apps.store import lists, queue
from hilum.apps.store.people import Role
from hilum.apps.store.tables import Film, Job, Line, Setting, now_ms
from hilum.apps.store.worklist import STATUSES
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs, public
from hilum.apps.web.answers.operation import (
    Health,
    LogAnswer,
    LogLine,
    LogVerified,
    NodeAnswer,
    NodeFacts,
    PeerAnswer,
    Ready,
)
from hilum.apps.web.answers.watch import AlarmAnswer
from hilum.apps.web.schemas import API, gives
from hilum.apps.web.service import Served, Service
from hilum.apps.web.supervisor import RECEIVER, SENDER
from hilum.core.errors import HilumError, StoreError
from hilum.core.reading import Reading

router = APIRouter(prefix=API, tags=["operation"])
LEAST_DISK_BYTES = 200_000_000
_TELLING = ("read", "verdict", "reference")
"""Actions whose lines say what is on a film, by the machine or by people."""
_SAID = ("verdict", "verdict-undone", "reference", "results-retracted", "results-restored")
"""Actions whose lines tell what a person says of a film, or that it contradicts the machine."""
_Metrics = Annotated[Visitor, needs(Role.METRICS)]
_Reader = Annotated[Visitor, needs(Role.READER)]
_Administrator = Annotated[Visitor, needs(Role.ADMINISTRATOR)]


@router.get("/health", summary="Does the process answer?", dependencies=[public])
async def health() -> Health:
    """Answer."""
    return Health()


@router.get(
    "/ready",
    summary="Can films be read?",
    dependencies=[public],
    responses={503: {"model": Ready, "description": "Not ready"}},
    response_model_exclude_none=True,
)
def ready(service: Served, response: Response) -> Ready:
    """Say of the store, the worker, the bundle and the disk whether they are ready."""
    parts = {
        "store": _store(service),
        "worker": _worker(service),
        "bundle": _bundle(service),
        "disk": _disk(service),
    }
    if (node := service.settings.node) is not None:
        parts["receiver"] = _receiver(service, node)
        running = any(each.pid is not None for each in service.beside if each.module == SENDER)
        parts["sender"] = "ok" if running else "it is being started"
    sound = all(each == "ok" for each in parts.values())
    response.status_code = 200 if sound else 503
    return Ready(ready=sound, **parts)


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses=gives("text/plain", "Prometheus' text format", 'hilum_films{status="read"} 36.0\n'),
)
def metrics(_: _Metrics, service: Served) -> Response:
    """Give counters, durations and the length of the queue."""
    meter = service.meter
    with service.store.read() as session:
        grouped = select(Film.status, func.count()).group_by(Film.status)
        counts = {row[0]: row[1] for row in session.execute(grouped)}
        oldest = session.scalar(select(func.min(Job.created_ms)).where(Job.state != "done"))
        node = service.settings.node
        found = summary(session) if node is not None else None
    if node is not None and found is not None:
        found["alarms"] = alarms(found, node, service.data)
        meter.node(found)
    for status in STATUSES:
        meter.films.labels(status).set(counts.get(status, 0))
    meter.queue.set(queue.waiting(service.store))
    meter.oldest.set((now_ms() - oldest) / 1000 if oldest is not None else 0)
    meter.restarts.set(service.supervisor.restarts if service.supervisor else 0)
    return Response(meter.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/node", summary="The state of the node")
def node_state(_: _Reader, service: Served) -> NodeAnswer:
    """Say how films come and results go by DICOM: alarms, queues, each peer."""
    node = service.settings.node
    if node is None:
        return NodeAnswer(node=None)
    with service.store.read() as session:
        found = summary(session)
    names = dict.fromkeys(
        [*(each.name for each in node.peers), *found["received"], *found["peers"]]
    )
    facts = NodeFacts(
        listen=found["listen"],
        to_read=found["to_read"],
        to_make=found["to_make"],
        not_made=found["not_made"],
        alarms=[AlarmAnswer(**each) for each in alarms(found, node, service.data)],
        peers=[_peer(name, found) for name in names],
    )
    return NodeAnswer(node=facts)


def _peer(name: str, found: dict[str, Any]) -> PeerAnswer:
    came, sent = found["received"].get(name), found["peers"].get(name)
    states = sent["states"] if sent else {}
    return PeerAnswer(
        name=name,
        films=came["films"] if came else 0,
        last_film=came["last"] if came else None,
        sent=states.get("sent", 0) + states.get("committed", 0),
        waiting=states.get("waiting", 0) + states.get("claimed", 0),
        dead=states.get("dead", 0),
        oldest_waiting_s=sent["oldest_waiting_s"] if sent else None,
        last_sent=sent["last_sent"] if sent else None,
        error=sent["error"] if sent else None,
        since=sent["since"] if sent else None,
    )


@router.get("/log", summary="The log")
def log(
    visitor: _Administrator,
    service: Served,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> LogAnswer:
    """Give lines, newest first; ``next`` goes into ``before`` for the ones before them.

    What others say of films in one's open reading lists comes when these have ended.
    """
    blind.check_off(service, visitor)
    with service.store.read() as session:
        listed = lists.listed_for(session, visitor.person_id)
    mine = Line.film_id.not_in(listed) | (Line.who == visitor.name)
    heard = Line.film_id.is_(None) | Line.action.not_in(_SAID) | mine
    lines = service.log.lines(limit=limit, before=before, only=heard)
    blind.show(service, visitor, [line.film_id for line in lines if line.action in _TELLING])
    more = lines[-1].seq if len(lines) == limit and lines[-1].seq > 1 else None
    return LogAnswer(items=[_show(line) for line in lines], next=more)


@router.get("/log/verify", summary="Is the log whole?")
def verify_log(_: _Administrator, service: Served) -> LogVerified:
    """Look for a line that was changed, inserted or removed."""
    found = service.log.verify()
    return LogVerified(ok=found.ok, lines=found.lines, problem=found.problem)


@router.get("/schema/reading.json", summary="JSON schema of a Reading")
def reading_schema(_: _Reader) -> dict[str, Any]:
    """Give the schema that every ``reading`` follows."""
    return Reading.model_json_schema()


def _show(line: Line) -> LogLine:
    return LogLine(
        seq=line.seq,
        at=line.at,
        who=line.who,
        action=line.action,
        film_id=line.film_id,
        study_id=line.study_id,
        bundle=line.bundle,
        data=json.loads(line.data),
        hash=line.hash,
    )


def _store(service: Service) -> str:
    try:
        with service.store.read() as session:
            session.execute(select(Setting.key).limit(1))
    except StoreError:
        return "the store does not answer"
    return "ok"


def _worker(service: Service) -> str:
    if service.supervisor is None:
        return "none was started"
    return "ok" if service.supervisor.pid is not None else "it is being started again"


def _receiver(service: Service, node: Node) -> str:
    if shutil.disk_usage(service.data).free < node.reserve_gb * 1e9:
        return "too little space is left: nobody may begin to send"
    try:
        with service.store.read() as session:
            state = receiver(session)
    except StoreError:
        return "not known while the store does not answer"
    pids = [each.pid for each in service.beside if each.module == RECEIVER]
    return "ok" if state["listen"] and state["pid"] in pids else "it is being started"


def _bundle(service: Service) -> str:
    try:
        service.bundles.open()
    except StoreError:
        return "not known while the store does not answer"
    except HilumError:
        return "the bundle is damaged or not there; the server's log says more"
    return "ok"


def _disk(service: Service) -> str:
    free = shutil.disk_usage(service.data).free
    return "ok" if free >= LEAST_DISK_BYTES else f"only {free / 1e6:.0f} MB are left"

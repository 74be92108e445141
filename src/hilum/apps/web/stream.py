"""Stream: events for the page as they happen (server-sent events)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.concurrency import run_in_threadpool
from sse_starlette.sse import EventSourceResponse

from hilum.apps.store import events
from hilum.apps.store.people import Role
from hilum.apps.store.tables import Event
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.schemas import API, gives
from hilum.apps.web.service import Served, Service

router = APIRouter(prefix=API, tags=["events"])
PING_S = 15
_Reader = Annotated[Visitor, needs(Role.READER)]


@router.get(
    "/events",
    summary="What happens, as it happens",
    response_class=EventSourceResponse,
    responses=gives("text/event-stream", "server-sent events"),
)
async def stream(
    _: _Reader,
    service: Served,
    last_event_id: Annotated[str | None, Header(max_length=20, pattern=r"^\d*$")] = None,
) -> EventSourceResponse:
    """Stream events; with ``Last-Event-ID`` those that were missed come first."""
    last = await run_in_threadpool(events.newest, service.store)
    if last_event_id:  # an id beyond the newest is of another store: nothing here was heard
        last = min(int(last_event_id), last)
    return EventSourceResponse(_after(service, last), ping=PING_S)


async def _after(service: Service, last: int) -> AsyncIterator[dict[str, Any]]:
    while not service.stopping.is_set():
        found: list[Event] = await run_in_threadpool(events.after, service.store, last)
        for each in found:
            last = each.id
            yield {"id": str(each.id), "event": each.kind, "data": json.dumps(each.data)}
        if not found:
            await service.ticker.wait(last, 1.0)

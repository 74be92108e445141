"""Stream: events for the page as they happen (server-sent events)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from sse_starlette.sse import EventSourceResponse

from hilum.apps.store import events
from hilum.apps.store.people import Role
from hilum.apps.store.tables import Event, Film
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, identify, needs
from hilum.apps.web.schemas import API, gives
from hilum.apps.web.service import Served, Service
from hilum.core.errors import StoreError

router = APIRouter(prefix=API, tags=["events"])
PING_S = 15
CHECK_S = 15.0
"""A page that stays open is asked that often whether its person may still listen."""
_TELLING = ("verdict", "report")
"""Kinds of events that tell of what a person said of a film."""
_AGAIN_S = 1.0
_GRACE_S = 2.0
"""Streams end by themselves when the server does, in half that time; cut off, they are an error."""
_Reader = Annotated[Visitor, needs(Role.READER, uses=False)]


@router.get(
    "/events",
    summary="What happens, as it happens",
    response_class=EventSourceResponse,
    responses=gives(
        "text/event-stream",
        "server-sent events",
        'id: 7\nevent: read\ndata: {"film_id": "9f2c4e0d1a3b5c7d", "study_id": '
        '"0a1b2c3d4e5f6071", "status": "read", "at": "2026-11-22T12:00:01.000Z"}\n\n',
    ),
)
async def stream(
    request: Request,
    _: _Reader,
    service: Served,
    last_event_id: Annotated[str | None, Header(max_length=20, pattern=r"^\d*$")] = None,
) -> EventSourceResponse:
    """Stream events; with ``Last-Event-ID`` those that were missed come first.

    Of studies in one's open reading lists, and not seen yet by who reads blind, one's own
    verdicts and reports alone are told.
    """
    last = await run_in_threadpool(events.newest, service.store)
    if last_event_id:  # an id beyond the newest is of another store: nothing here was heard
        last = min(int(last_event_id), last)
    who = partial(identify, request, service, uses=False)
    return EventSourceResponse(
        _after(service, last, who), ping=PING_S, shutdown_grace_period=_GRACE_S
    )


async def _after(
    service: Service, last: int, who: Callable[[], Visitor | None]
) -> AsyncIterator[dict[str, Any]]:
    checked = time.monotonic()
    while not service.stopping.is_set():
        try:
            if time.monotonic() - checked > CHECK_S:
                if not await run_in_threadpool(who):
                    return
                checked = time.monotonic()
            found: list[Event] = await run_in_threadpool(events.after, service.store, last)
            untold = await run_in_threadpool(_untold, service, found, who)
        except StoreError:  # it comes back; the page need not know
            await asyncio.sleep(_AGAIN_S)
            continue
        for each in found:
            last = each.id
            if each.id in untold:
                continue
            data = {key: value for key, value in each.data.items() if key != events.BY}
            yield {"id": str(each.id), "event": each.kind, "data": json.dumps(data)}
        if not found:
            await service.ticker.wait(last, 1.0)


def _untold(service: Service, found: list[Event], who: Callable[[], Visitor | None]) -> set[int]:
    """Return the events that would tell a listener that others have judged what they still read."""
    telling = [each for each in found if each.kind in _TELLING]
    if not telling:
        return set()
    visitor = who()
    if visitor is None:
        return {each.id for each in telling}
    others = [each for each in telling if each.data.get(events.BY) != visitor.person_id]
    ids = {each.data["study_id"] for each in others}
    with service.store.read() as session:
        query = blind.unnamed_studies(session, visitor)
        kept = set(session.scalars(query.where(Film.study_id.in_(ids))))
    return {each.id for each in others if each.data["study_id"] in kept}

"""The app: routes, guards and what runs beside them, put together.

app = create_app(service)
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from hilum.apps.store import deletion, events, resultfiles, trash
from hilum.apps.web import (
    agreement,
    analysis,
    calibration,
    deletions,
    desk,
    export,
    films,
    lists,
    monitoring,
    named,
    objects,
    oidc,
    operation,
    persons,
    problems,
    readings,
    reports,
    rulers,
    signin,
    similar,
    static_files,
    stow,
    stream,
    studies,
    verdicts,
)
from hilum.apps.web.access import public, role_of
from hilum.apps.web.described import describe
from hilum.apps.web.guard import Guard, headers_of
from hilum.apps.web.head import Head
from hilum.apps.web.meter import Timed
from hilum.apps.web.pictures import Pictures
from hilum.apps.web.prefix import Prefix
from hilum.apps.web.schemas import API
from hilum.apps.web.service import Service
from hilum.core.errors import StoreError
from hilum.core.reading import RESEARCH_USE

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NOTE_HEAD_S = 5.0
_RETAIN_S = 600.0
_ROUTERS = (
    films,
    stow,
    readings,
    similar,
    studies,
    deletions,
    verdicts,
    desk,
    rulers,
    lists,
    analysis,
    agreement,
    export,
    reports,
    objects,
    stream,
    calibration,
    monitoring,
    signin,
    oidc,
    persons,
    operation,
)


def create_app(service: Service, *, hosts: Iterable[str] = LOOPBACK) -> FastAPI:
    """Return the ASGI app of a workstation.

    Args:
        service: what it works with; the app starts and stops its worker.
        hosts: names by which browsers may address it, without port; "*" for any.

    Raises:
        LookupError: a route that does not say who may call it.
    """
    app = FastAPI(
        title="Hilum",
        version=version("hilum"),
        description=f"The API of the workstation. {RESEARCH_USE}",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        servers=[{"url": service.settings.prefix}] if service.settings.prefix else None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.service = service
    app.state.failures = signin.Failures(service.settings.limits)
    app.state.pictures = Pictures(service.folder, service.settings.limits.megapixels)
    settings = service.settings.oidc
    app.state.provider = oidc.Provider(settings) if settings is not None else None
    problems.install(app, partial(headers_of, https=service.settings.https))
    routers = [each.router for each in _ROUTERS]
    for router in (*routers, _description(app), signin.page, static_files.router):
        app.router.routes.extend(router.routes)  # include_router would hide what it includes
    for route in routes(app):
        role_of(route)
    describe(app, routes(app))
    app.add_middleware(Head)
    app.add_middleware(Timed, meter=service.meter)
    app.add_middleware(
        Guard,
        limits=service.settings.limits,
        hosts=(*hosts, *service.settings.hosts),
        https=service.settings.https,
        uploads=(API + films.UPLOAD, API + stow.STUDIES),
    )
    app.add_middleware(Prefix, prefix=service.settings.prefix)
    if proxies := service.settings.proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(proxies))
    return app


def routes(app: FastAPI) -> list[APIRoute]:
    """Return every route of the app.

    Raises:
        LookupError: something is mounted that says nothing of who may call it.
    """
    found = []
    for route in app.routes:
        if not isinstance(route, APIRoute):
            raise LookupError(f"{route} is no route that says who may call it")
        found.append(route)
    return found


def _description(app: FastAPI) -> APIRouter:
    router = APIRouter(prefix=API, include_in_schema=False)

    @router.get("/openapi.json", dependencies=[public])
    def openapi() -> dict[str, Any]:
        return app.openapi()

    return router


def _lifespan(app: FastAPI) -> AbstractAsyncContextManager[None]:
    return running(app.state.service)


@contextlib.asynccontextmanager
async def running(service: Service) -> AsyncIterator[None]:
    """Run what a workstation runs beside its pages: worker, node, ticker, housekeeping."""
    watched = [each for each in (service.supervisor, *service.beside) if each is not None]
    for each in watched:
        each.start()
    beside = [asyncio.create_task(service.ticker.run()), asyncio.create_task(_keep_house(service))]
    try:
        yield
    finally:
        service.stopping.set()
        for task in beside:
            task.cancel()
        for task in beside:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await asyncio.gather(*(run_in_threadpool(each.stop) for each in watched))
        with contextlib.suppress(StoreError):
            service.log.note_head()


async def _keep_house(service: Service) -> None:
    """Finish deletions that a kill cut short; note the log's last line; forget what is old."""
    with contextlib.suppress(StoreError, OSError):
        await run_in_threadpool(deletion.finish, service.store, service.folder)
    retained = -_RETAIN_S
    while True:
        with contextlib.suppress(StoreError, OSError):
            await run_in_threadpool(service.log.note_head)
            await run_in_threadpool(events.forget_old, service.store)
            due = time.monotonic() - retained >= _RETAIN_S
            if due and await run_in_threadpool(_retain, service):
                retained = time.monotonic()
        await asyncio.sleep(_NOTE_HEAD_S)


def _retain(service: Service) -> bool:
    """Delete what was kept long enough; False if there may be more of it."""
    keep = service.settings.retention
    past = trash.old(keep.trash_days)
    deletion.empty(service.store, service.folder, service.log, past, "hilum")
    if (node := service.settings.node) is not None:
        resultfiles.retain(service.store, service.folder, service.log, node.keep_results_days)
        resultfiles.sweep(service.store, service.folder)
    # without a node nothing is sent any more, and what waits would be kept for good
    kept = [(keep.days, deletion.Chosen(settled=node is not None))]
    if node is not None:
        confirming = tuple(each.name for each in node.peers if each.commit)
        deleting = tuple(each.name for each in node.peers if each.delete)
        copies = deletion.Chosen(copies=True, confirming=confirming, deleting=deleting)
        kept.append((node.keep_films_days, copies))
    gone = [
        deletion.retain(service.store, service.folder, service.log, days, which)
        for days, which in kept
        if days is not None
    ]
    named.forget()
    return not any(gone)

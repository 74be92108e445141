"""Service: what every route works with, made once and kept in ``app.state.service``."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.web.bundles import Bundles
from hilum.apps.web.collection import Collection
from hilum.apps.web.looks import Looks
from hilum.apps.web.meter import Meter
from hilum.apps.web.settings import Settings
from hilum.apps.web.supervisor import Supervisor
from hilum.apps.web.ticker import Ticker


@dataclass
class Service:
    """A running workstation.

    Attributes:
        store, folder, log: what is kept.
        data: folder of data.
        settings: from ``hilum.toml``.
        bundles: which bundle reads.
        meter: counts and durations for Prometheus.
        looks: which films are open with whom.
        ticker: tells event streams that there is something new.
        link: a one-time link may open the page: none but who sits at this machine can reach it.
        supervisor: of the worker; None where none was asked for.
        beside: supervisors of the processes of the node.
        collection: pictures of training films; None where none was named.
        cookie: name of the session's cookie; ports share cookies, so it names the port.
        stopping: set when the server ends, so that event streams end.
    """

    store: Store
    folder: FilmFolder
    log: Log
    data: Path
    settings: Settings
    bundles: Bundles
    meter: Meter
    looks: Looks
    ticker: Ticker
    link: bool = False
    supervisor: Supervisor | None = None
    beside: tuple[Supervisor, ...] = ()
    collection: Collection | None = None
    cookie: str = "hilum_session"
    stopping: threading.Event = field(default_factory=threading.Event)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service)]
"""A route's parameter of this type is the running service."""

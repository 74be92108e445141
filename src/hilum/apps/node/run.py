"""Run: the node without pages; ``hilum serve`` runs it with them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

from hilum.apps.node import status
from hilum.apps.store import queue
from hilum.apps.web.app import running
from hilum.apps.web.serve import Place, alone, make_service
from hilum.apps.web.service import Service
from hilum.core.errors import ConfigError, StoreError

_TICK_S = 0.2


def run(place: Place, *, bundle: Path | None = None, say: Callable[[str], None]) -> None:
    """Receive and read until interrupted.

    Raises:
        ConfigError: ``hilum.toml`` has no ``[node]``, or another server has the folder.
        StoreError, BundleError: they cannot be opened.
    """
    with alone(place.data):
        service = make_service(place, bundle=bundle)
        with contextlib.closing(service.store):
            if service.settings.node is None:
                raise ConfigError(f"{place.data}: hilum.toml has no [node]", hint="hilum node init")
            service.bundles.open()
            queue.release_all(service.store)
            asyncio.run(_until_told(service, say))


async def _until_told(service: Service, say: Callable[[str], None]) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends it all the same
            loop.add_signal_handler(number, told.set)
    async with running(service):
        said = None
        while not told.is_set():
            if (listen := _listens(service)) and listen != said:
                say(f"Hilum listens for DICOM at {listen} (stop it with Ctrl-C)")
                said = listen
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), _TICK_S if said is None else 5)


def _listens(service: Service) -> str | None:
    """Return where the receiver of this server listens; None while it does not."""
    with contextlib.suppress(StoreError), service.store.read() as session:
        state = status.receiver(session)
        if state["listen"] and state["pid"] in [each.pid for each in service.beside]:
            return str(state["listen"])
    return None

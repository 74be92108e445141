"""Ticker: one look into the store for all event streams together.

A hundred open pages cost no more than one.
"""

from __future__ import annotations

import asyncio
import contextlib

from fastapi.concurrency import run_in_threadpool

from hilum.apps.store import events
from hilum.apps.store.store import Store
from hilum.core.errors import StoreError

POLL_S = 0.25


class Ticker:
    """Looks for new events while anybody listens.

    Args:
        store: that holds them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest = 0
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                newest = await run_in_threadpool(events.newest, self._store)
            except StoreError:
                newest = self._newest
            if newest != self._newest:
                self._newest = newest
                self._changed.set()  # for all who wait now; who comes later waits for the next
                self._changed = asyncio.Event()
            await asyncio.sleep(POLL_S)

    async def wait(self, last: int, seconds: float) -> None:
        """Wait until there may be an event after ``last``, but not for long."""
        if self._newest > last:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

"""Who listens for events may go at any moment, also at that of an event."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hilum.apps.store import events
from hilum.apps.store.store import open_store
from hilum.apps.web.ticker import Ticker


def test_listeners_that_go_while_something_happens_end_by_their_cancellation(tmp_path, monkeypatch):
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    newest = iter(range(1, 10_000))
    monkeypatch.setattr(events, "newest", lambda _: next(newest))
    monkeypatch.setattr("hilum.apps.web.ticker.POLL_S", 0.0)

    async def run():
        ticker = Ticker(store)
        running = asyncio.create_task(ticker.run())
        ends = []
        for number in range(200):
            listening = [asyncio.create_task(ticker.wait(10**9, 5.0)) for _ in range(5)]
            for _ in range(number % 7):
                await asyncio.sleep(0)
            for _ in range(4):  # as a task group does, until they have ended
                for task in listening:
                    task.cancel()
                await asyncio.sleep(0)
            ends += await asyncio.gather(*listening, return_exceptions=True)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return ends

    ends = asyncio.run(run())
    store.close()
    assert {type(each) for each in ends} <= {asyncio.CancelledError, type(None)}


def test_an_event_wakes_all_who_wait_for_it(tmp_path, monkeypatch):
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    newest = [0]
    monkeypatch.setattr(events, "newest", lambda _: newest[0])

    async def run():
        ticker = Ticker(store)
        running = asyncio.create_task(ticker.run())
        waiting = [asyncio.create_task(ticker.wait(0, 600.0)) for _ in range(3)]
        await asyncio.sleep(0)
        newest[0] = 1
        await asyncio.gather(*waiting)
        running.cancel()

    asyncio.run(asyncio.wait_for(run(), 60))
    store.close()

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.exceptions import HTTPException

from hilum.apps.web.guard import _Body
from hilum.apps.web.settings import Limits

FIRST = {"type": "http.request", "body": b"12345", "more_body": True}
LAST = {"type": "http.request", "body": b"6", "more_body": False}


def read(messages, *, largest=100, **limits):
    """Read a whole body in a thread of its own: Playwright keeps a loop running in the tests'."""

    async def reading():
        given = iter(messages)

        async def receive():
            message = next(given)
            if message is None:
                await asyncio.sleep(30)
            return message

        body, found = _Body(receive, largest, Limits(**limits)), b""
        while True:
            message = await body.receive()
            found += message["body"]
            if not message["more_body"]:
                return found

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(reading())).result()


def test_a_body_that_comes_in_time_comes_whole():
    assert read([FIRST, FIRST, LAST]) == b"12345123456"


def test_a_body_that_stands_still_is_408():
    with pytest.raises(HTTPException) as caught:
        read([FIRST, None], idle_s=0.05)
    assert caught.value.status_code == 408


def test_a_body_that_takes_too_long_in_all_is_408():
    with pytest.raises(HTTPException) as caught:
        read([FIRST, None], idle_s=30, request_s=0.05)
    assert caught.value.status_code == 408


def test_a_body_larger_than_it_said_is_413():
    with pytest.raises(HTTPException) as caught:
        read([FIRST, FIRST, LAST], largest=8)
    assert caught.value.status_code == 413

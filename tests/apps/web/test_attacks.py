"""What somebody who means ill, or a film that does, may try."""

from __future__ import annotations

import asyncio
import io
import struct
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from hilum.apps.store import queue
from hilum.apps.web import stream
from hilum.apps.web.guard import HEADERS
from hilum.apps.web.settings import Limits, Settings

API = "/api/v1"
PASSWORD = "a long enough password"


def test_a_mistake_of_the_server_has_the_safe_headers(station, monkeypatch):
    def broken(*_):
        raise RuntimeError("inside")

    monkeypatch.setattr("hilum.apps.web.studies.page", broken)
    answer = station.client("reader").get(f"{API}/studies")
    assert answer.status_code == 500
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_of_another_method_is_refused(station, method):
    """Their decoders take memory by what the file says of itself."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("a.png", b"x" * 1000)
    broken = bytearray(packed.getvalue())
    broken[45:60] = b"\xff" * 15
    for body in (packed.getvalue(), bytes(broken)):
        answer = station.send(("x.zip", body))
        assert (answer.status_code, answer.json()["code"]) == (422, "unreadable"), answer.text


def test_a_table_of_contents_that_is_huge_is_not_read(station, monkeypatch):
    """Three million empty members are 150 MB to send and gigabytes to list."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    table = (entry + b"a") * 200_000
    first = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(table), len(first), 0)
    listed = []
    real = zipfile.ZipFile.infolist
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda z: listed.append(z) or real(z))
    answer = station.send(("x.zip", first + table + end))
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert listed == []


def test_events_end_for_who_was_shut_out(station, monkeypatch):
    monkeypatch.setattr(stream, "CHECK_S", 0.05)
    allowed = [True]
    found = []

    async def listen():
        found.extend([each async for each in stream._after(station.service, 0, lambda: allowed[0])])

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: asyncio.run(asyncio.wait_for(listen(), 30)))
        time.sleep(0.3)
        assert not running.done()
        allowed[0] = False
        running.result(20)


def test_events_outlive_a_store_that_does_not_answer(station, make_film, monkeypatch):
    from hilum.apps.store import events
    from hilum.core.errors import StoreBusyError

    station.send(make_film(1))
    real, calls = events.after, []

    def after(*arguments):
        calls.append(1)
        if len(calls) < 3:
            raise StoreBusyError("gone for a moment")
        return real(*arguments)

    monkeypatch.setattr(events, "after", after)

    async def first():
        return await anext(stream._after(station.service, 0, lambda: True))

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(lambda: asyncio.run(asyncio.wait_for(first(), 30))).result()
    assert found["event"] == "accepted"


def _login(station, name, password="wrong password", **headers):
    body = {"name": name, "password": password}
    return station.client().post(f"{API}/login", json=body, headers=headers)


def test_passwords_tried_at_the_same_time_are_counted_too(station, monkeypatch):
    """Else forty guesses pass while the first is being checked, each with 64 MB of argon2."""
    tried, at_once, most = [], [0], [0]

    def check(session, name, password):
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        tried.append(name)
        time.sleep(0.05)
        at_once[0] -= 1

    monkeypatch.setattr("hilum.apps.web.signin.check_password", check)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda i: _login(station, f"name{i}").status_code, range(20)))
    assert len(tried) == 5
    assert sorted(set(answers)) == [401, 429]
    assert most[0] <= 2


def _from(station, peer, forwarded):
    client = TestClient(
        station.app, base_url="http://127.0.0.1:8337", client=(peer, 1234),
        headers={"X-Forwarded-For": forwarded} if forwarded else {},
    )  # fmt: skip
    body = {"name": f"name-{forwarded}", "password": "wrong password"}
    return [client.post(f"{API}/login", json=body).status_code for _ in range(3)][-1]


def test_behind_a_proxy_one_persons_mistakes_keep_nobody_else_out(make_station):
    limits = Limits(login_failures=2)
    station = make_station(Settings(proxies=("10.0.0.1",), limits=limits))
    assert _from(station, "10.0.0.1", "192.0.2.1") == 429
    assert _login_status(station, "10.0.0.1", "192.0.2.2") == 401
    # what the browser itself says of its address is not believed, nor is another machine
    assert _login_status(station, "10.0.0.1", "192.0.2.9, 192.0.2.1") == 429
    assert _from(station, "192.0.2.3", "192.0.2.4") == 429
    assert _login_status(station, "192.0.2.3", "192.0.2.5") == 429


def _login_status(station, peer, forwarded):
    headers = {"X-Forwarded-For": forwarded}
    client = TestClient(
        station.app, base_url="http://127.0.0.1:8337", client=(peer, 1), headers=headers
    )
    body = {"name": f"once-{forwarded[-3:]}-{peer}", "password": "wrong password"}
    return client.post(f"{API}/login", json=body).status_code


def test_a_film_that_ends_processes_is_not_opened_by_the_server(station, make_film):
    """The worker may die of a film; the server that everybody looks at must not."""
    film_id = station.send(make_film(1)).json()["accepted"][0]["film_id"]
    client = station.client("reader")
    paths = [f"{API}/films/{film_id}/{each}" for each in ("image", "pixels", "thumbnail.jpg")]
    for attempt in range(queue.MAX_ATTEMPTS):
        assert client.get(paths[0]).status_code == (200 if attempt < 2 else 409)
        queue.claim(station.service.store, f"dead{attempt}")
        queue.release(station.service.store, f"dead{attempt}")
    station.read()
    for path in paths:
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (409, "not-read"), path
    station.client("reviewer").post(f"{API}/films/{film_id}/read", json={})
    station.read()  # it was not the film after all
    assert client.get(paths[0]).status_code == 200


def test_bytes_of_a_film_that_look_like_the_end_of_a_zip_are_no_table(station, make_film):
    """Four bytes stand by chance in one of some 65,000 small ZIPs."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", make_film(1).read_bytes() + b"PK\5\6" + b"\xff" * 18)
    assert station.send(("x.zip", packed.getvalue())).status_code == 201

"""Requests that are made to hurt: broken multipart bodies, slow heads, many sign-ins at once."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from hilum.apps.store.people import Role, add_person
from hilum.apps.web import signin
from hilum.apps.web.serve import _Server
from hilum.apps.web.settings import Limits, Settings

API = "/api/v1"
PASSWORD = "a long enough password"
B = b"--B\r\n"
FILE = b'Content-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
END = b"\r\n--B--\r\n"

BODIES = {
    "nothing": b"",
    "no boundary inside": b"only words",
    "another boundary": b"--C\r\n" + FILE + b"x\r\n--C--\r\n",
    "no end": B + FILE + b"x" * 1000,
    "no empty line": B + b"Content-Disposition: form-data",
    "no disposition": B + b"X: y\r\n\r\nx" + END,
    "no name": B + b"Content-Disposition: form-data\r\n\r\nx" + END,
    "a long head": B + b"X: " + b"y" * 3_000_000 + b"\r\n\r\nx" + END,
    "a long name of a head": B + b"y" * 3_000_000 + END,
    "many heads": B + b"X: y\r\n" * 100_000 + FILE + b"x" + END,
    "many fields": (B + b'Content-Disposition: form-data; name="f"\r\n\r\nx\r\n') * 5000 + END[2:],
    "many files": (B + FILE + b"x\r\n") * 5000 + END[2:],
    "a nested body": B + b"Content-Type: multipart/mixed; boundary=C\r\n" + FILE + b"--C--" + END,
    "bytes no text has": B + FILE.replace(b"a.png", b"\xff\xfe\0.png") + b"x" + END,
    "a large field": B + b'Content-Disposition: form-data; name="patient_id"\r\n\r\n'
    + b"9" * 2_000_000 + END,
    "only line ends": b"\r\n" * 200_000,
    "only dashes": b"-" * 1_000_000,
}  # fmt: skip


def _post(station, body, kind="multipart/form-data; boundary=B"):
    return station.client("reviewer", **{"Content-Type": kind}).post(f"{API}/films", content=body)


@pytest.mark.filterwarnings(  # starlette leaves a part without an end to the garbage collector
    "ignore:Exception ignored in.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning",
    "ignore:Unclosed file:ResourceWarning",
)
@pytest.mark.parametrize("what", list(BODIES))
def test_a_broken_body_is_refused_and_the_next_one_is_taken(station, make_film, what):
    tracemalloc.start()
    began = time.process_time()
    answer = _post(station, BODIES[what])
    seconds, (_, most) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 100_000
    assert most < 20 * len(BODIES[what]) + 30_000_000
    assert seconds < 60  # linear in its length: one that is not takes minutes
    assert station.send(make_film(1)).status_code == 201


@pytest.mark.parametrize(
    "kind",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\xe9",
     "multipart/form-data; boundary=" + "B" * 5000, "multipart/mixed; boundary=B",
     "application/json", "", "text/plain; charset=nothing"],
)  # fmt: skip
def test_a_type_without_a_boundary_is_refused(station, kind):
    answer = _post(station, B + FILE + b"x" + END, kind.encode("latin-1"))
    assert 400 <= answer.status_code < 500, answer.text[:300]


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "C:\\x.png", "a\0b.png", "x" * 100_000,
     "\u202egnp.exe", "CON", "", "%2e%2e%2f", "a\r\nb", "<script>alert(1)</script>.png", "\ud800"],
)  # fmt: skip
def test_a_name_of_a_file_is_a_name_and_no_path(station, make_film, name):
    film = make_film(1).read_bytes()
    head = B + FILE.replace(
        b"a.png", name.encode("utf-8", "surrogatepass").replace(b"\r\n", b"%0D")
    )
    answer = _post(station, head + film + END)
    assert answer.status_code in (201, 400, 422), answer.text[:300]
    kept = [each.name for each in station.service.folder.root.rglob("*") if each.is_file()]
    assert all(len(each) == 64 for each in kept)  # a checksum, whatever it was called
    for row in answer.json().get("accepted", []):
        assert "/" not in row["name"].replace("</script>", "")
        assert len(row["name"]) <= 255
        assert row["name"].isprintable()


@pytest.fixture
def listening(make_station):
    """The server itself on loopback, which waits half a second for a head."""
    station = make_station(Settings(limits=Limits(head_s=0.5, idle_s=0.5)))
    listener = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()
    server = _Server(station.app, station.service, ready.set)
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
    thread.start()
    assert ready.wait(60)
    yield station, listener.getsockname()
    server.should_exit = True
    thread.join(30)
    listener.close()


def _answer(address, *sent, pause=0.0):
    """What the server says before it closes, to bytes sent one after the other."""
    with socket.create_connection(address, 60) as connection:
        for each in sent:
            try:
                connection.sendall(each)
            except OSError:
                return b""
            time.sleep(pause)
        said = b""
        try:
            while got := connection.recv(65_536):
                said += got
        except ConnectionError:
            pass
        return said


GET = b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SLOW = {
    "nothing": [],
    "half a head": [b"GET /api/v1/health HTTP/1.1\r\nHost: "],
    "a byte at a time": [
        bytes([each]) for each in b"GET /api/v1/health HTTP/1.1\r\nX: " + b"y" * 30
    ],
    "half a head after a whole one": [GET, b"GET /api/v1/hea"],
}


@pytest.mark.parametrize("what", list(SLOW))
def test_a_head_that_does_not_come_is_not_waited_for(listening, what):
    _, address = listening
    pause = 0.1 if what == "a byte at a time" else 0
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(_answer, address, *SLOW[what], pause=pause) for _ in range(20)]
        assert b'{"status":"ok"}' in _answer(
            address, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        said = [each.result(60) for each in waiting]  # each was closed by the server
    assert all((b"200 OK" in each) == ("after" in what) for each in said)


def test_a_body_that_stands_still_is_answered_and_closed(listening):
    station, address = listening
    head = (
        f"POST {API}/films HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"
        f"Authorization: Bearer {station.tokens['reviewer']}\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\n\r\n"
    ).encode()
    assert b"408" in _answer(address, head, B + FILE + b"x").split(b"\r\n")[0]


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: -1", b"Content-Length: x", b"Content-Length: 5\r\nContent-Length: 6",
     b"Transfer-Encoding: nothing", b"Transfer-Encoding: chunked\r\nContent-Length: 5",
     b"X: " + b"y" * 200_000, b"Host: a\r\nHost: b"],
)  # fmt: skip
def test_a_head_that_contradicts_itself_is_refused(listening, head):
    _, address = listening
    request = b"POST /api/v1/login HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head + b"\r\n\r\nhello"
    said = _answer(address, request)
    assert (
        said.split(b" ")[1:2] in ([b"400"], [b"408"], [b"413"], [b"422"], [b"431"]) or said == b""
    )


def test_two_hundred_sign_ins_leave_the_page_to_others(station, monkeypatch):
    """Each takes 64 MB for a while, and a thread: one is checked at a time, and few wait."""
    with station.service.store.write() as session:
        add_person(session, "anna", Role.READER, PASSWORD)
    go_on, at_once, most = threading.Event(), [0], [0]
    real = signin.check_password

    def check(session, name, password):
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        assert go_on.wait(60)
        at_once[0] -= 1
        return real(session, name, password) if name == "anna" else None

    monkeypatch.setattr(signin, "check_password", check)
    monkeypatch.setattr(signin.Failures, "check", lambda *_: None)
    token = {"Authorization": f"Bearer {station.tokens['reader']}"}

    async def all_at_once():
        transport = httpx.ASGITransport(app=station.app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8337"
        ) as client:
            bodies = [{"name": f"n{i}", "password": PASSWORD} for i in range(200)]
            asked = [asyncio.create_task(client.post(f"{API}/login", json=each)) for each in bodies]
            await asyncio.sleep(0.5)
            other = await asyncio.wait_for(client.get(f"{API}/me", headers=token), 30)
            go_on.set()
            return other, await asyncio.gather(*asked)

    with ThreadPoolExecutor(1) as pool:
        other, answers = pool.submit(lambda: asyncio.run(all_at_once())).result(120)
    assert other.status_code == 200
    assert {each.status_code for each in answers} == {401}
    assert most[0] == 1

"""The worker when the store fails under it."""

from __future__ import annotations

import threading
import time

import pytest

from hilum.apps.store import queue
from hilum.core.errors import StoreBusyError, StoreError

API = "/api/v1"
WAIT_S = 60


def _failing(times, error):
    """Return ``queue.finish`` that fails some times first, and the list of its calls."""
    real, calls = queue.finish, []

    def finish(*arguments):
        calls.append(arguments)
        if len(calls) <= times:
            raise error
        return real(*arguments)

    return finish, calls


def _status(station, film_id):
    return station.client("reader").get(f"{API}/films/{film_id}").json()["status"]


def _step_when_free(worker):
    """Let a worker read as soon as the lease of the film has ended, which it must."""
    until = time.monotonic() + WAIT_S
    while not worker.step():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def queued(station, make_film):
    """A film that waits, at a workstation whose worker was made ready by another one."""
    station.film(make_film(0))
    return station.send(make_film(1)).json()["accepted"][0]["film_id"]


def test_a_reading_outlives_a_store_that_does_not_answer(station, queued, monkeypatch):
    finish, calls = _failing(2, StoreBusyError("the store is busy"))
    monkeypatch.setattr(queue, "finish", finish)
    monkeypatch.setattr("hilum.apps.web.worker.RETRY_S", 0.01, raising=False)
    assert station.worker.step()
    assert len(calls) == 3
    assert calls[0][4] is calls[2][4]  # read once, written when the store was back
    assert _status(station, queued) == "read"


def test_a_film_whose_reading_is_refused_by_the_store_is_tried_again_and_given_up(
    station, queued, monkeypatch
):
    """A worker that goes on must not hold it for ever."""
    monkeypatch.setattr(queue, "LEASE_MS", 500)
    monkeypatch.setattr("hilum.apps.web.worker.RENEW_S", 0.01)
    holding = threading.Thread(target=station.worker._hold, daemon=True)
    holding.start()
    finish, _ = _failing(queue.MAX_ATTEMPTS, StoreError("the store refused"))
    monkeypatch.setattr(queue, "finish", finish)
    for _ in range(queue.MAX_ATTEMPTS):
        with pytest.raises(StoreError, match="refused"):
            _step_when_free(station.worker)
    _step_when_free(station.worker)
    station.worker._stop.set()
    holding.join()
    assert _status(station, queued) == "error"


def test_a_worker_that_is_told_to_stop_does_not_wait_for_the_store(station, queued, monkeypatch):
    finish, calls = _failing(1000, StoreBusyError("the store is busy"))
    monkeypatch.setattr(queue, "finish", finish)
    station.worker._stop.set()
    assert station.worker.step()
    assert len(calls) == 1
    assert _status(station, queued) == "reading"
    queue.release_all(station.service.store)  # as the next server does
    assert queue.claim(station.service.store, "next").film_id == queued


def test_a_worker_that_cannot_be_started_now_is_started_later(station, monkeypatch):
    from hilum.apps.web import supervisor

    started = []

    class Process:
        stdin = None

        def __init__(self, *_, **__):
            started.append(self)
            if len(started) == 1:
                raise OSError(12, "Cannot allocate memory")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def wait(self):
            watched._stop.wait(60)
            return 0

        def poll(self):
            return 0

    monkeypatch.setattr(supervisor.subprocess, "Popen", Process)
    watched = supervisor.Supervisor(station.service.store, url="", data="", bundle=None)
    watched.start()
    until = time.monotonic() + 30
    while len(started) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    watched.stop()
    assert len(started) == 2


def test_a_bundle_that_could_not_be_noted_is_noted_later(station, make_film, monkeypatch):
    """A store that was away when a worker began had every reading refused from then on."""
    film_id = station.send(make_film(1)).json()["accepted"][0]["film_id"]
    real, calls = queue.know_model, []

    def know_model(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise StoreBusyError("the store does not answer")
        real(*arguments)

    monkeypatch.setattr(queue, "know_model", know_model)
    with pytest.raises(StoreBusyError):
        station.read()
    station.read()
    assert _status(station, film_id) == "read"


def test_the_limit_of_the_workstation_is_that_of_its_worker(station, make_film):
    """The door took 200 megapixels where the settings said so, and the worker refused 100."""
    (station.service.data / "hilum.toml").write_text("[limits]\nmegapixels = 0.01\n")
    film = station.film(make_film(1))
    reading = station.client("reader").get(f"/api/v1/films/{film}/reading").json()["reading"]
    assert "the limit is 0.01" in reading["reason"]

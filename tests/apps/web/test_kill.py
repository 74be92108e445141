"""kill -9 of server and worker while films arrive: every accepted film is read exactly once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from sqlalchemy import func, select

from hilum.apps.cli.main import run
from hilum.apps.store.log import Log
from hilum.apps.store.store import open_store
from hilum.apps.store.tables import Film, Job, Line, Read, Study

FILMS = int(os.environ.get("HILUM_KILL_FILMS", "20"))
LIMIT_S = 900


def _film(number):
    noise = np.random.default_rng(number).integers(0, 60, (120, 100))
    ramp = np.linspace(0, 180, 100)[None, :]
    return cv2.imencode(".png", (ramp + noise).astype(np.uint8))[1].tobytes()


def _send_all(served, token, films, accepted, stop):
    """Send every film until it is accepted, whatever happens to the server meanwhile."""
    for number in range(films):
        body = _film(number)
        while not stop.is_set():
            try:
                with served.client(token) as client:
                    answer = client.post("/films", files={"files": (f"{number}.png", body)})
                if answer.status_code == 201:
                    accepted[number] = answer.json()["accepted"][0]["film_id"]
                    break
            except (httpx.HTTPError, httpx.InvalidURL):
                pass
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("kind", "films"),
    [
        ("sqlite", FILMS),
        ("postgresql", FILMS // 2),
        pytest.param("sqlite", 200, marks=pytest.mark.slow),
        pytest.param("postgresql", 200, marks=pytest.mark.slow),
    ],
)
def test_every_accepted_film_is_read_exactly_once(
    make_store_url, tmp_path, small_bundle, kind, films, serving
):
    kills = max(2, films // 10)
    url = make_store_url(kind)
    data = tmp_path / "data"
    token = serving.make_token(data, url)
    served = serving.Served(data, small_bundle, url)
    accepted, stop, chance = {}, threading.Event(), random.Random(7)
    served.start()
    sender = threading.Thread(
        target=_send_all, args=(served, token, films, accepted, stop), daemon=True
    )
    sender.start()
    until = time.monotonic() + LIMIT_S
    try:
        for kill in range(1, kills + 1):
            while len(accepted) < kill * films // (kills + 1) and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(chance.random() * 0.3)
            if kill % 2:
                served.kill_worker()
            else:
                served.kill()
                served.start()
        sender.join(LIMIT_S)
        with served.client(token) as client:
            while time.monotonic() < until:
                counts = client.get("/studies?limit=1").json()["counts"]
                if not counts["queued"] and not counts["reading"]:
                    break
                time.sleep(0.2)
    finally:
        stop.set()
        served.stop()
    store = open_store(url)
    with store.read() as session:
        found = set(session.scalars(select(Film.id)))
        readings = Counter(session.scalars(select(Read.film_id)))
        lines = Counter(session.scalars(select(Line.film_id).where(Line.action == "read")))
        states = Counter(session.scalars(select(Job.state)))
        studies = session.scalar(select(func.count()).select_from(Study))
    assert sorted(accepted) == list(range(films))
    assert found == set(accepted.values())
    assert studies == films
    assert readings == dict.fromkeys(found, 1)
    assert lines == dict.fromkeys(found, 1)
    assert states == {"done": films}
    assert Log(store, data).verify().ok
    store.close()


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_server_starts_serves_the_demo_and_ends(tmp_path, serving, capfd, told):
    served = serving.Served(tmp_path / "data", None, None, "--demo")
    served.start()
    try:
        with httpx.Client() as browser:
            opened = browser.get(served.link)
            assert (opened.status_code, opened.headers["location"]) == (303, "./")
            assert browser.get(f"{served.base}/").status_code == 200
            with browser.stream("GET", f"{served.base}/api/v1/events") as events:
                assert events.headers["content-type"].startswith("text/event-stream")
                assert served.stop(told) == 0  # an open stream does not hold it up
    finally:
        served.stop()
    assert "ERROR" not in capfd.readouterr().err
    assert not (tmp_path / "data" / "store.db-wal").exists()  # all of it is in the store
    store = open_store(f"sqlite:///{tmp_path / 'data' / 'store.db'}")
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(Film)) == 5
    store.close()


def test_a_store_that_was_lost_is_not_begun_anew(tmp_path, small_bundle, serving, capfd):
    served = serving.Served(tmp_path / "data", small_bundle)
    token = serving.make_token(served.data)
    served.start()
    with served.client(token) as client:
        assert client.post("/films", files={"files": ("1.png", _film(1))}).status_code == 201
    served.stop()
    for lose in (Path.unlink, lambda path: path.write_bytes(b"")):
        lose(served.data / "store.db")
        with pytest.raises(RuntimeError, match="ended with 11"):
            served.start()
        assert "the store is empty, but its log had " in capfd.readouterr().err
    assert run(["store", "verify", "--home", str(served.data)]) == 11


def test_a_second_server_on_the_same_folder_is_refused(tmp_path, small_bundle, serving):
    from hilum.apps.web.serve import alone
    from hilum.core.errors import ConfigError

    with alone(tmp_path), pytest.raises(ConfigError, match="another"), alone(tmp_path):
        pass

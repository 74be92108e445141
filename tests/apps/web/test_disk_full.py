"""A disk that is full, for real: nothing is half-written, and all goes on once there is space.

Two ways to have one: a tiny file system (root may mount it), and RLIMIT_FSIZE set upon the running
processes, which everybody may do on Linux.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

resource = pytest.importorskip("resource")
if not hasattr(resource, "prlimit"):
    pytest.skip("RLIMIT_FSIZE of another process is Linux's", allow_module_level=True)

WAIT_S = 120
PLACES = ("data", "store", "spool")
SIDE = 1000
"""Of films that are spooled in memory, and are larger than ``LEFT``; twice it, on disk."""
LEFT = 500_000


class Disk:
    """Tiny file systems for the films, the store, and what is being uploaded."""

    def __init__(self, root):
        self.root, self.served, self._mounted = root, None, []
        for place in PLACES:
            (root / place).mkdir(parents=True)
            command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(root / place)]
            if subprocess.run(command, capture_output=True).returncode != 0:
                self.close()
                pytest.skip("mounting a file system needs root")
            self._mounted.append(root / place)

    @contextlib.contextmanager
    def full(self, place, leave=0):
        """Fill a place up to so many bytes, for a while."""
        ballast = self.root / place / "ballast"
        with ballast.open("wb", buffering=0) as stream:
            with contextlib.suppress(OSError):
                while stream.write(b"x" * 4096):
                    pass
            stream.truncate(max(0, ballast.stat().st_size - leave))
        try:
            yield
        finally:
            ballast.unlink()

    def close(self):
        for place in self._mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


class Limit:
    """Processes that may write no file beyond a size."""

    def __init__(self, root):
        self.root, self.served = root, None
        for place in PLACES:
            (root / place).mkdir(parents=True)

    @contextlib.contextmanager
    def full(self, place, leave=0):
        """Let no file grow beyond ``leave``, or beyond what the store's journal has."""
        store = self.root / "store"
        if place != "store":  # its journal begins anew, so that it stays below
            with contextlib.closing(sqlite3.connect(store / "store.db", timeout=30)) as opened:
                opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = leave if place != "store" else (store / "store.db-wal").stat().st_size
        self._limit(size)
        try:
            yield
        finally:
            self._limit(resource.RLIM_INFINITY)

    def _limit(self, size):
        for pid in (self.served.process.pid, self.served.worker):
            if pid is not None:
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    def close(self):
        pass


@pytest.fixture(scope="module", params=[Disk, Limit], ids=["tmpfs", "rlimit"])
def disk(request, tmp_path_factory, serving, calibrated_bundle):
    """A server whose films and store lie where space can run out."""
    made = request.param(tmp_path_factory.mktemp("tiny"))
    made.url = f"sqlite:///{made.root / 'store' / 'store.db'}"
    try:
        made.served = serving.Served(made.root / "data", calibrated_bundle, made.url)
        made.token = serving.make_token(made.root / "data", made.url, role="reviewer")
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TMPDIR", str(made.root / "spool"))
            made.served.start()
        with made.served.client(made.token) as client:
            _read(client, _send(client, _film(0)))
        yield made
    finally:
        try:
            if made.served is not None:
                made.served.stop()
        finally:  # a server that does not end must leave no file system mounted
            made.close()


@pytest.fixture
def client(disk):
    with disk.served.client(disk.token) as client:
        yield client


def _film(number, side=200):
    """A film of its own, as PNG; about ``side * side`` bytes."""
    ramp = np.linspace(0, 120, side)[None, :] * np.ones((side, 1))
    noise = np.random.default_rng(number).integers(0, 120, (side, side))
    return cv2.imencode(".png", (ramp + noise).astype(np.uint8))[1].tobytes()


def _post(client, *films):
    files = [("files", (f"film{number}.png", film)) for number, film in enumerate(films)]
    return client.post("/films", files=files)


def _send(client, film):
    answer = _post(client, film)
    assert answer.status_code == 201, answer.text
    (accepted,) = answer.json()["accepted"]
    assert not accepted["duplicate"]
    return accepted["film_id"]


def _read(client, film_id):
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        found = client.get(f"/films/{film_id}").json()
        if found["status"] not in ("queued", "reading"):
            return found
        time.sleep(0.2)
    raise AssertionError(f"not read in {WAIT_S} s")


def _kept(disk):
    """Everything that was kept: films and what is being written; rows of each table."""
    files = {
        str(path.relative_to(disk.root))
        for folder in ("films", "incoming")
        for path in (disk.root / "data" / folder).rglob("*")
        if path.is_file()
    }
    with contextlib.closing(sqlite3.connect(disk.root / "store" / "store.db")) as store:
        tables = ("films", "studies", "jobs", "readings", "events", "log", "reports")
        return files, {t: store.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}


def _is_full(answer):
    assert answer.status_code == 507, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "disk-full"
    assert answer.json()["hint"]
    return True


def test_a_film_that_does_not_fit_leaves_nothing_and_fits_later(disk, client):
    film, before = _film(1, SIDE), _kept(disk)
    assert LEFT < len(film) < 1 << 20
    with disk.full("data", leave=LEFT):
        assert _is_full(_post(client, film))
        assert _kept(disk) == before
        assert client.get("/studies").json()["total"] == before[1]["studies"]
    assert _read(client, _send(client, film))["status"] == "read"


def test_a_film_that_does_not_even_fit_on_its_way_in(disk, client):
    film, before = _film(7, 2 * SIDE), _kept(disk)
    assert len(film) > 1 << 20
    with disk.full("spool", leave=LEFT):
        assert _is_full(_post(client, film))
        assert _kept(disk) == before
    assert _read(client, _send(client, film))["status"] == "read"


def test_films_that_fit_are_kept_and_the_others_named(disk, client):
    with disk.full("data", leave=LEFT):
        answer = _post(client, _film(2), _film(3, SIDE), _film(4, SIDE))
        assert answer.status_code == 201, answer.text
        lists = answer.json()
        assert [each["name"] for each in lists["accepted"]] == ["film0.png"]
        assert [(e["name"], e["code"]) for e in lists["rejected"]] == [
            ("film1.png", "disk-full"),
            ("film2.png", "disk-full"),
        ]
    _read(client, lists["accepted"][0]["film_id"])


def test_a_store_that_cannot_grow_keeps_no_film(disk, client):
    film, before = _film(5), _kept(disk)
    with disk.full("store"):
        assert _is_full(_post(client, film))
        assert client.get("/studies").status_code == 200
        assert _kept(disk) == before
    assert _read(client, _send(client, film))["status"] == "read"


def test_a_reading_waits_until_there_is_space(disk, client):
    worker = disk.served.worker
    os.kill(worker, signal.SIGSTOP)
    try:
        film_id = _send(client, _film(6))
        with disk.full("store"):
            os.kill(worker, signal.SIGCONT)
            time.sleep(4)
            found = client.get(f"/films/{film_id}").json()
            assert found["status"] in ("queued", "reading"), found
            assert client.get("/health").status_code == 200
    finally:
        os.kill(worker, signal.SIGCONT)
    assert _read(client, film_id)["status"] == "read"
    with contextlib.closing(sqlite3.connect(disk.root / "store" / "store.db")) as store:
        query = "SELECT count(*) FROM readings WHERE film_id = ?"
        assert store.execute(query, (film_id,)).fetchone() == (1,)


def test_a_report_is_not_given_unless_the_log_can_say_so(disk, client):
    film_id = client.get("/studies").json()["items"][0]["film_id"]
    written = {"findings": "none", "impression": "none"}
    report = client.post(f"/films/{film_id}/reports", json=written).json()
    before = _kept(disk)
    with disk.full("store"):
        assert _is_full(client.get(f"/reports/{report['report_id']}.pdf"))
        assert _is_full(client.post(f"/films/{film_id}/reports", json=written))
        assert _kept(disk) == before
    given = client.get(f"/reports/{report['report_id']}.pdf")
    assert given.content.startswith(b"%PDF")


def test_a_person_is_added_whole_or_not_at_all(disk):
    command = [sys.executable, "-m", "hilum.apps.cli.main", "user", "add", "anna", "--token"]
    command += ["--home", str(disk.root / "data"), "--store", disk.url]
    limit = None
    if isinstance(disk, Limit):
        size = (disk.root / "store" / "store.db-wal").stat().st_size

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    with disk.full("store"):
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 11, done.stdout + done.stderr
    assert "make space" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hilum_")


def test_the_log_is_whole_after_all_that(disk, serving):
    from hilum.apps.store.log import Log
    from hilum.apps.store.store import open_store

    store = open_store(disk.url)
    found = Log(store, disk.root / "data").verify()
    store.close()
    assert found.ok, found.problem


def test_a_calibration_that_does_not_fit_leaves_nothing(station, make_film, monkeypatch):
    from hilum.judge import site

    monkeypatch.setattr(site, "LEAST_PATIENTS", 4)
    admin = station.client("administrator")
    for i in range(10):
        film_id = station.film(make_film(i, level=20 * i), patient_id=f"P{i}")
        body = {"finding": "covid-19", "value": int(i >= 5) if i not in (4, 5) else int(i == 4)}
        admin.put(f"/api/v1/films/{film_id}/reference", json=body)
    journal = station.service.data / "store.db-wal"
    for size in (1000, journal.stat().st_size):  # the copy does not fit; the log's line does not
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            assert _is_full(admin.post("/api/v1/calibration/preview", json={"site": "St. Anna"}))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert admin.get("/api/v1/calibration").json()["candidates"] == []
        assert list(station.service.bundles.calibrated.glob("*")) == []
    made = admin.post("/api/v1/calibration/preview", json={"site": "St. Anna"})
    assert made.status_code == 201, made.text

"""A workstation in the test's own process: app, client for each role, and a worker on demand."""

from __future__ import annotations

import importlib.util
import threading
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from hilum.apps.store import outbox, queue, wanted
from hilum.apps.store.people import Role, add_person, add_token
from hilum.apps.store.tables import Received
from hilum.apps.web.app import create_app
from hilum.apps.web.link import make_link, note_address
from hilum.apps.web.orders import Orders
from hilum.apps.web.serve import Place, make_service
from hilum.apps.web.settings import Settings
from hilum.apps.web.worker import Worker

API = "/api/v1"
BASE = "http://127.0.0.1:8337"


@pytest.fixture(scope="session")
def serving():
    """The module ``serving.py`` beside this file; tests are not a package."""
    path = Path(__file__).with_name("serving.py")
    spec = importlib.util.spec_from_file_location("hilum_tests_serving", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Workstation:
    """A server without a network, and a worker that reads when it is told to."""

    service: object
    app: object
    bundle: Path
    tokens: dict = field(default_factory=dict)
    worker: Worker = None

    def client(self, role=None, **headers):
        """Return a client with the token of a role, or with none."""
        if role is not None:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        return TestClient(
            self.app, base_url=BASE, headers=headers,
            raise_server_exceptions=False, follow_redirects=False, client=("127.0.0.1", 50_000),
        )  # fmt: skip

    def link(self):
        """Return the path of a new one-time link."""
        return make_link(self.service.store).removeprefix(BASE)

    def send(self, *files, role="reviewer", **fields):
        """Send films: paths, or (name, bytes)."""
        parts = [("files", (f.name, f.read_bytes()) if isinstance(f, Path) else f) for f in files]
        return self.client(role).post(f"{API}/films", files=parts, data=fields)

    def read(self):
        """Let the worker read everything that waits."""
        if self.worker is None:
            data = self.service.data
            url = self.service.store.engine.url.render_as_string(hide_password=False)
            orders = Orders("worker-test", url, str(data), str(self.bundle))
            self.worker = Worker(orders, self.service.store, threading.Event())
        while queue.waiting(self.service.store):
            assert self.worker.step()

    def sent(self, film_id, *peers):
        """Let results of a film be sent to the first of some peers, and wait for the others."""
        store = self.service.store
        with store.write() as session:
            session.add(Received(film_id=film_id, peer="ct", address="127.0.0.1"))
            session.flush()
            wanted.want_once(session, film_id)
        making = wanted.claim_making(store)
        objects = [
            wanted.Object(kind, "1.2", f"1.2.{film_id}.{kind}", "1.2", "1.2", kind * 32, 1)
            for kind in ("sc", "sr")
        ]
        wanted.put(store, self.service.log, making, objects, peers)
        for parcel in outbox.claim(store, peers[0], 10):
            outbox.close(store, parcel, state="sent", status=0)

    def film(self, path, **fields):
        """Send one film, read it, return its id."""
        answer = self.send(path, **fields)
        assert answer.status_code == 201, answer.text
        self.read()
        return answer.json()["accepted"][0]["film_id"]


@pytest.fixture
def make_station(tmp_path, calibrated_bundle, put_store):
    """Make a workstation: ``make_station(settings=..., url=..., bundle=...)``."""
    made = []

    def make(settings=None, url=None, bundle=calibrated_bundle):
        data = tmp_path / f"data{len(made)}"
        service = make_service(
            Place.of(data, url or put_store(data)),
            bundle=bundle,
            settings=settings or Settings(),
            link=True,
            worker=False,
        )
        note_address(service.store, BASE)
        station = Workstation(service, create_app(service), bundle)
        with service.store.write() as session:
            for role in Role:
                person = add_person(session, f"{role}-1", role)
                station.tokens[role.value] = add_token(session, person, "tests")[1]
        made.append(station)
        return station

    yield make
    for station in made:
        station.service.store.close()


@pytest.fixture
def station(make_station):
    """A workstation as it comes."""
    return make_station()


@pytest.fixture
def make_film(tmp_path):
    """Write a film of its own: ``make_film(3)``; brighter with a higher level."""

    def make(number, level=120, size=(200, 160)):
        ramp = np.linspace(0, level, size[1])[None, :] * np.ones((size[0], 1))
        noise = np.random.default_rng(number).integers(0, 40, size)
        path = tmp_path / f"film{number}.png"
        cv2.imwrite(str(path), (ramp + noise).astype(np.uint8))
        return path

    return make

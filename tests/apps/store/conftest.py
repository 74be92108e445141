"""A store with a folder and a log, as the tests of this folder use it."""

from __future__ import annotations

import io

import pytest
from sqlalchemy import select

from hilum.apps.store import queue
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.intake import Arrival, accept
from hilum.apps.store.log import Log
from hilum.apps.store.store import open_store
from hilum.core.radiograph import Metadata
from hilum.core.reading import Finding, Reading, Status

SIDES = {"sides": "assumed"}


class Place:
    """A store with a folder and a log, and short ways to use them."""

    def __init__(self, url, data):
        self.store = open_store(url)
        self.folder, self.log = FilmFolder(data), Log(self.store, data)
        queue.know_model(self.store, "c" * 64, "blocks 0.0.1", {"adaptations": []})

    def add(self, content, **metadata):
        kept = self.folder.keep(io.BytesIO(content))
        arrival = Arrival(kept, "film.png", "PNG", Metadata(**metadata))
        return accept(self.store, self.folder, self.log, arrival, "anna")

    def answer(self, status=Status.READ, probability=0.7, film=SIDES, results=True):
        finding = Finding(
            label="covid-19", logit=0.5, score=0.6, probability=probability, calibration="platt",
            present=probability > 0.5, operating_point="balanced", threshold=0.5,
        )  # fmt: skip
        reading = Reading(
            path="film.png", status=status, bundle="blocks 0.0.1", elapsed_ms=1.0,
            film=film,
            reason=None if status is Status.READ else "why",
            findings=(finding,) if status is Status.READ else (),
        )  # fmt: skip
        return queue.WorkerAnswer(reading, "c" * 64, results=results)

    def read_all(self, worker="w1", **answer):
        while claimed := queue.claim(self.store, worker):
            assert queue.finish(self.store, self.log, claimed, worker, self.answer(**answer))

    def all(self, table):
        with self.store.read() as session:
            return list(session.scalars(select(table)))


@pytest.fixture
def place(store_url, tmp_path):
    made = Place(store_url, tmp_path / "data")
    yield made
    made.store.close()

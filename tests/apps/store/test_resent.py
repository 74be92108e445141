"""A film that is sent again under its SOP Instance UID: whole after torn, other, or the same."""

from __future__ import annotations

import io
import json

import pydicom
import pytest
from pydicom.uid import RLELossless
from sqlalchemy import select

from hilum.apps.store import deletion, queue
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.intake import Arrival, take
from hilum.apps.store.log import Log
from hilum.apps.store.resent import Resent, compare
from hilum.apps.store.store import open_store
from hilum.apps.store.tables import Event, Film, Job, Line, Read, Seen
from hilum.core.errors import RejectedImageError
from hilum.core.radiograph import Metadata
from hilum.core.reading import Reading, Status
from hilum.serve.samples import ROOT

UID = "1.2.826.0.1.7"


def _bytes(dataset):
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def whole():
    """A DICOM film whose pixels are stored plainly."""
    path = next(each for each in sorted(ROOT.rglob("*.dcm")))
    dataset = pydicom.dcmread(path)
    dataset.decompress()
    return _bytes(dataset)


def _changed(whole, **attributes):
    dataset = pydicom.dcmread(io.BytesIO(whole))
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return _bytes(dataset)


def _other(whole):
    pixels = bytearray(pydicom.dcmread(io.BytesIO(whole)).PixelData)
    pixels[len(pixels) // 2] ^= 1
    return _changed(whole, PixelData=bytes(pixels))


def _torn(whole):
    return whole[: len(whole) // 2]


class Place:
    def __init__(self, url, data):
        self.store, self.folder = open_store(url), FilmFolder(data)
        self.log = Log(self.store, data)
        queue.know_model(self.store, "c" * 64, "blocks 0.0.1", {"adaptations": []})

    def add(self, content, name="film.dcm", **metadata):
        kept = self.folder.keep(io.BytesIO(content))
        metadata = {"instance_uid": UID, "patient_id": "P7", "study_uid": "1.2"} | metadata
        arrival = Arrival(kept, name, "DICOM DX", Metadata(**metadata))
        return take(self.store, self.folder, self.log, arrival, "anna")

    def read(self, status):
        reason = None if status is Status.READ else "truncated"
        reading = Reading(
            path="film", status=status, bundle="blocks 0.0.1", elapsed_ms=1.0, reason=reason
        )
        while claimed := queue.claim(self.store, "w"):
            answer = queue.WorkerAnswer(reading, "c" * 64)
            assert queue.finish(self.store, self.log, claimed, "w", answer)

    def all(self, table):
        with self.store.read() as session:
            return list(session.scalars(select(table)))

    def files(self):
        return [each.read_bytes() for each in self.folder.root.rglob("*") if each.is_file()]

    def lines(self, action):
        return [json.loads(each.data) for each in self.all(Line) if each.action == action]


@pytest.fixture
def place(store_url, tmp_path):
    made = Place(store_url, tmp_path / "data")
    yield made
    made.store.close()


def test_what_a_film_is_to_the_one_that_is_kept(whole, tmp_path):
    def at(name, content):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    dataset = pydicom.dcmread(io.BytesIO(whole))
    dataset.compress(RLELossless, generate_instance_uid=False)
    kept, torn = at("whole", whole), at("torn", _torn(whole))
    assert compare(kept, at("header", _changed(whole, PatientComments="x"))) is Resent.HEADER
    assert compare(kept, at("rle", _bytes(dataset))) is Resent.HEADER
    assert compare(kept, at("other", _other(whole))) is Resent.PIXELS
    assert compare(kept, torn) is Resent.PIXELS
    assert compare(torn, kept) is compare(None, kept) is Resent.REPAIR
    assert compare(tmp_path / "gone", kept) is Resent.REPAIR
    assert compare(torn, at("torn-2", _torn(_torn(whole)))) is Resent.BROKEN


@pytest.mark.parametrize("seen", [True, False], ids=["read", "waits"])
def test_the_whole_film_replaces_the_torn_one_and_is_read(place, whole, seen):
    first = place.add(_torn(whole), "torn.dcm")
    if seen:
        place.read(Status.ERROR)
    again = place.add(whole, "whole.dcm")
    assert (again.film_id, again.study_id) == (first.film_id, first.study_id)
    assert (again.duplicate, again.replaced, again.differs) == (False, True, None)
    assert place.files() == [whole]
    (film,) = place.all(Film)
    assert (film.status, film.name, film.size) == ("queued", "whole.dcm", len(whole))
    assert place.all(Event)[-1].data["replaced"] == "broken"
    (line,) = place.lines("replaced")
    assert (line["sha256"], len(line["films"])) == (film.sha256, 1)
    place.read(Status.READ)
    (film,) = place.all(Film)
    (read,) = place.all(Read)
    assert (film.status, film.reading_id, read.status) == ("read", read.id, "read")
    assert place.add(whole).duplicate
    assert place.log.verify().ok


def test_a_worker_that_still_reads_the_torn_file_writes_nothing(place, whole):
    place.add(_torn(whole))
    claimed = queue.claim(place.store, "w")
    place.add(whole)
    reading = Reading(
        path="f", status=Status.ERROR, bundle="blocks 0.0.1", elapsed_ms=1.0, reason="torn"
    )
    answer = queue.WorkerAnswer(reading, "c" * 64)
    assert not queue.finish(place.store, place.log, claimed, "w", answer)
    assert place.all(Read) == []
    assert [job.state for job in place.all(Job)] == ["queued"]


def test_a_reading_of_the_old_content_is_not_taken_for_the_new(place, whole):
    """One bundle read the broken file once, another could not: both are of the past."""
    first = place.add(_torn(whole))
    place.read(Status.REFUSED)
    with place.store.write() as session:
        session.get_one(Film, first.film_id).status = "error"
    assert place.add(whole).replaced
    assert place.all(Read) == place.all(Seen) == []


@pytest.mark.parametrize("status", [Status.READ, Status.REFUSED, None])
def test_other_pixels_under_a_known_uid_leave_the_first_and_are_said(place, whole, status):
    first = place.add(whole)
    if status is not None:
        place.read(status)
    for other in (_other(whole), _torn(whole)):
        again = place.add(other)
        assert (again.film_id, again.duplicate, again.differs) == (first.film_id, True, "pixels")
    assert place.files() == [whole]
    assert [line["differs"] for line in place.lines("kept-first")] == ["pixels", "pixels"]
    assert place.add(_changed(whole, PatientComments="x")).differs == "header"
    assert len(place.all(Job)) == 1


def test_a_film_that_was_lost_from_the_disk_comes_back_and_is_read(place, whole):
    first = place.add(whole)
    place.folder.path(place.all(Film)[0].sha256).unlink()
    place.read(Status.ERROR)
    assert place.add(whole).duplicate
    (film,) = place.all(Film)
    assert (film.id, film.status) == (first.film_id, "queued")


def test_a_torn_film_that_is_sent_again_as_it_was_is_not_read_again(place, whole):
    place.add(_torn(whole))
    place.read(Status.ERROR)
    assert place.add(_torn(whole)).duplicate
    assert [job.state for job in place.all(Job)] == ["done"]


def test_a_film_of_another_patient_replaces_nothing(place, whole):
    place.add(_torn(whole))
    place.read(Status.ERROR)
    with pytest.raises(RejectedImageError, match="another patient"):
        place.add(whole, patient_id="Q")
    assert place.all(Film)[0].status == "error"
    assert place.files() == [_torn(whole)]


def test_a_file_that_ended_its_reader_is_not_opened_to_compare(place, whole, monkeypatch):
    place.add(_torn(whole))
    for _ in range(2):
        queue.claim(place.store, "w")
        queue.release(place.store, "w")
    asked = []
    monkeypatch.setattr(
        "hilum.apps.store.intake.compare",
        lambda kept, sent: asked.append(kept) or compare(kept, sent),
    )
    assert place.add(whole).replaced
    assert asked == [None]


def test_a_replaced_file_that_a_kill_left_is_removed_at_the_next_start(place, whole, monkeypatch):
    place.add(_torn(whole))
    place.read(Status.ERROR)
    monkeypatch.setattr(place.folder, "remove", lambda _: None)
    place.add(whole)
    monkeypatch.undo()
    assert len(place.files()) == 2
    assert deletion.finish(place.store, place.folder) == 1
    assert place.files() == [whole]

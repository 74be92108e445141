from __future__ import annotations

import io
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text

from hilum.apps.store import deletion, queue
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.intake import Arrival, accept
from hilum.apps.store.log import Log
from hilum.apps.store.store import open_store
from hilum.apps.store.tables import Event, Film, Job, Line, Model, Read, Setting, Study, Table
from hilum.apps.store.worklist import Asked, page, prior
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle
from hilum.bundle.manifest import Manifest
from hilum.core.errors import (
    ConfigError,
    RejectedImageError,
    StoreBusyError,
    StoreError,
    StoreFullError,
)
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

    def answer(self, status=Status.READ, probability=0.7, film=SIDES):
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
        return queue.Answer(reading, "c" * 64)

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


def test_the_migrations_make_the_tables_of_the_code(place):
    with place.store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_a_store_of_a_newer_hilum_is_refused(place, store_url):
    with place.store.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer Hilum"):
        open_store(store_url)


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "mysql://x/y", "oracle://x"])
def test_other_addresses_are_refused(url):
    with pytest.raises(ConfigError) as caught:
        open_store(url)
    assert caught.value.hint


def test_a_database_that_is_not_there_is_one_error():
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://hilum@127.0.0.1:9/none?connect_timeout=2")
    assert "127.0.0.1" in caught.value.message


def test_the_same_film_twice_is_one(place):
    first, again = place.add(b"one"), place.add(b"one")
    assert (again.film_id, again.study_id) == (first.film_id, first.study_id)
    assert again.duplicate
    assert not first.duplicate
    assert len(place.all(Film)) == len(place.all(Study)) == len(place.all(Job)) == 1


def test_the_same_instance_is_one_film_and_one_study_holds_several(place):
    a = place.add(b"a", study_uid="1.2", instance_uid="1.2.3", patient_id="P")
    b = place.add(b"other bytes", study_uid="1.2", instance_uid="1.2.3")
    c = place.add(b"c", study_uid="1.2", instance_uid="1.2.4")
    assert b.duplicate
    assert b.film_id == a.film_id
    assert c.study_id == a.study_id
    assert c.film_id != a.film_id
    assert [study.films for study in place.all(Study)] == [2]


def test_a_uid_that_two_patients_share_mixes_up_neither(place):
    """Devices that repeat UIDs exist; a film must never stand under another patient's name."""
    a = place.add(b"a", study_uid="1.2", instance_uid="1.2.3", patient_id="P")
    b = place.add(b"b", study_uid="1.2", instance_uid="1.2.4", patient_id="Q")
    assert b.study_id != a.study_id
    assert {study.patient_id for study in place.all(Study)} == {"P", "Q"}
    c = place.add(b"c", study_uid="1.2", instance_uid="1.2.5", patient_id="P")
    assert c.study_id == a.study_id
    with pytest.raises(RejectedImageError, match="another patient"):
        place.add(b"d", study_uid="1.3", instance_uid="1.2.3", patient_id="Q")
    with pytest.raises(RejectedImageError, match="another patient"):
        place.add(b"a", patient_id="Q")
    assert len(place.all(Film)) == 3


def test_no_file_stays_of_what_was_not_accepted(place):
    place.add(b"a", instance_uid="1.2.3", patient_id="P")
    assert place.add(b"sent again with another header", instance_uid="1.2.3").duplicate
    with pytest.raises(RejectedImageError):
        place.add(b"of another patient", instance_uid="1.2.3", patient_id="Q")
    files = [each for each in place.folder.root.rglob("*") if each.is_file()]
    assert [each.read_bytes() for each in files] == [b"a"]


def test_a_deletion_that_was_cut_short_is_finished_at_the_next_start(place, monkeypatch):
    gone, kept = place.add(b"gone"), place.add(b"kept")
    unknown = place.folder.keep(io.BytesIO(b"of a store that was lost"))
    monkeypatch.setattr(place.folder, "remove", lambda _: None)  # killed between the two
    deletion.delete_study(place.store, place.folder, place.log, gone.study_id, "anna")
    monkeypatch.undo()
    assert len([each for each in place.folder.root.rglob("*") if each.is_file()]) == 3
    assert deletion.finish(place.store, place.folder) == 1
    left = {each.read_bytes() for each in place.folder.root.rglob("*") if each.is_file()}
    assert left == {b"kept", b"of a store that was lost"}
    again = place.add(b"gone")
    assert deletion.finish(place.store, place.folder) == 0
    assert place.folder.path(unknown.sha256).exists()
    assert {each.id for each in place.all(Film)} == {kept.film_id, again.film_id}


def test_many_senders_of_the_same_film_make_one(place):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(place.add(b"same"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.film_id for each in results}) == 1
    assert sum(not each.duplicate for each in results) == 1


def test_two_workers_share_a_queue_without_overlap(place):
    wanted = {place.add(bytes([i])).film_id for i in range(12)}
    done = []

    def work(name):
        while claimed := queue.claim(place.store, name):
            assert queue.finish(place.store, place.log, claimed, name, place.answer())
            done.append(claimed.film_id)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(wanted)
    assert len(place.all(Read)) == 12


def test_numbers_that_are_none_are_null_in_every_store(place):
    """PostgreSQL takes no NaN in JSON; the bundle of the package has such a number."""
    bundle = open_bundle(DEFAULT_BUNDLE)
    manifest = bundle.manifest.model_dump(mode="json")
    queue.know_model(place.store, bundle.checksum, bundle.identity, manifest)
    queue.know_model(place.store, "d" * 64, "x 1", {"a": [float("nan"), {"b": float("inf")}, 1.5]})
    with place.store.read() as session:
        kept = session.get(Model, bundle.checksum).manifest
        assert session.get(Model, "d" * 64).manifest == {"a": [None, {"b": None}, 1.5]}
    known = Manifest.model_validate(kept)
    assert known.model_dump_json() == bundle.manifest.model_dump_json()


def test_a_lost_claim_is_taken_over_and_its_first_worker_writes_nothing(place):
    place.add(b"x")
    first = queue.claim(place.store, "dead")
    assert queue.claim(place.store, "other") is None
    queue.release(place.store, "dead")
    second = queue.claim(place.store, "other")
    assert second.film_id == first.film_id
    assert second.attempts == 2
    assert not queue.finish(place.store, place.log, first, "dead", place.answer())
    assert queue.finish(place.store, place.log, second, "other", place.answer())
    assert not queue.finish(place.store, place.log, second, "other", place.answer())
    assert len(place.all(Read)) == 1
    assert [line.action for line in place.all(Line)] == ["accepted", "read"]


def test_a_lease_ends_by_itself_unless_renewed(place, monkeypatch):
    place.add(b"x")
    monkeypatch.setattr(queue, "LEASE_MS", -1)
    queue.claim(place.store, "slow")
    claimed = queue.claim(place.store, "other")
    assert claimed is not None
    monkeypatch.setattr(queue, "LEASE_MS", 60_000)
    queue.renew(place.store, "slow", claimed.job_id)  # lost: renews nothing
    assert queue.claim(place.store, "other") is not None
    monkeypatch.setattr(queue, "LEASE_MS", -1)
    queue.renew(place.store, "other", claimed.job_id)
    assert queue.claim(place.store, "other") is not None
    monkeypatch.setattr(queue, "LEASE_MS", 60_000)
    queue.renew(place.store, "other", claimed.job_id)
    assert queue.claim(place.store, "third") is None


def test_reading_again_with_the_same_bundle_changes_nothing_but_errors(place):
    film = place.add(b"x").film_id
    place.read_all(status=Status.ERROR)
    queue.ask_again(place.store, place.log, film, "anna", force=False)
    queue.ask_again(place.store, place.log, film, "anna", force=False)
    assert queue.waiting(place.store) == 1
    place.read_all()
    (read,) = place.all(Read)
    assert read.status == "read"
    queue.ask_again(place.store, place.log, film, "anna", force=False)
    place.read_all(probability=0.1)
    assert place.all(Read)[0].reading["findings"][0]["probability"] == 0.7


def test_a_reading_from_before_sides_were_looked_at_is_replaced(place):
    film = place.add(b"x").film_id
    place.read_all(film={"width": 160, "height": 200})
    queue.ask_again(place.store, place.log, film, "anna", force=False)
    place.read_all(probability=0.1)
    (read,) = place.all(Read)
    assert read.reading["findings"][0]["probability"] == 0.1


def test_the_study_shows_its_most_urgent_film_and_what_waits(place):
    place.add(b"a", study_uid="1", instance_uid="1.1")
    place.read_all(probability=0.2)
    place.add(b"b", study_uid="1", instance_uid="1.2")
    assert place.all(Study)[0].status == "queued"
    place.read_all(probability=0.9)
    (study,) = place.all(Study)
    assert study.status == "read"
    assert study.priority == pytest.approx(0.9)
    assert study.findings[0]["present"]


def test_a_disk_without_space_keeps_nothing(place, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hilum.apps.store.folder._copy", full)
    with pytest.raises(StoreFullError, match="No space left"):
        place.add(b"x")
    assert place.all(Film) == []
    assert list((tmp_path / "data" / "incoming").iterdir()) == []


def test_a_transaction_that_fails_leaves_no_row(place, monkeypatch):
    def broken(*_, **__):
        raise StoreBusyError("locked")

    monkeypatch.setattr(place.log, "add", broken)
    with pytest.raises(StoreBusyError):
        place.add(b"x")
    for table in (Film, Study, Job, Event):
        assert place.all(table) == []


def test_a_store_that_stays_locked_says_so(store_url, monkeypatch):
    """A writer that stands still, because its machine does, must not stop all others for ever."""
    monkeypatch.setattr("hilum.apps.store.store.BUSY_MS", 100)
    store, other = open_store(store_url), open_store(store_url)
    with other.write() as session:
        session.add(Setting(key="x", value=1))
        session.flush()
        with pytest.raises(StoreBusyError, match=r"locked|timeout"), store.write():
            pass
    store.close()
    other.close()


def test_a_damaged_sqlite_store_says_so(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="damaged") as caught:
        open_store(f"sqlite:///{path}")
    assert "backup" in caught.value.hint


def test_a_full_sqlite_store_says_so(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")

    def write():
        with store.write() as session:
            session.execute(text("PRAGMA max_page_count = 1"))
            session.add(Setting(key="x", value="y" * 10_000_000))

    with pytest.raises(StoreFullError, match="cannot grow"):
        write()
    store.close()


def test_pages_hold_every_study_once_in_order(place):
    for i in range(25):
        place.add(bytes([i]), patient_id=f"P{i % 3}")
    place.read_all()
    for by_priority in (False, True):
        seen, cursor = [], None
        with place.store.read() as session:
            while True:
                found = page(session, Asked(limit=10, cursor=cursor, by_priority=by_priority))
                seen += found.items
                cursor = found.next
                if cursor is None:
                    break
        assert len({each.id for each in seen}) == 25
        keys = [(each.created_ms, each.id) for each in seen]
        assert keys == sorted(keys, reverse=True)
        assert found.total == 25
        assert found.counts["read"] == 25


def test_filters(place):
    a = place.add(b"a", patient_id="50%_A")
    place.add(b"b", patient_id="50xxA")
    place.read_all(probability=0.2)
    place.add(b"c", patient_id="other")
    with place.store.read() as session:
        found = [each.id for each in page(session, Asked(text="0%_a")).items]
        assert found == [a.study_id]
        assert [each.id for each in page(session, Asked(text=a.study_id)).items] == [a.study_id]
        assert page(session, Asked(label="covid-19")).items == []
        assert page(session, Asked(statuses=("queued",))).total == 1
        assert page(session, Asked(reviewed=True)).items == []
        assert page(session, Asked(from_ms=2**42)).total == 0
        with pytest.raises(ConfigError, match="cursor"):
            page(session, Asked(cursor="bm9uc2Vuc2U"))


def test_earlier_studies_are_of_the_same_patient(place):
    a = place.add(b"a", patient_id="P", study_uid="1", study_date="2020-01-01")
    b = place.add(b"b", patient_id="P", study_uid="2", study_date="2020-02-01")
    place.add(b"c", study_uid="3")
    with place.store.read() as session:
        assert [s.id for s in prior(session, session.get(Study, b.study_id))] == [a.study_id]


def test_the_log_is_whole_and_cannot_be_changed_by_mistake(place):
    for i in range(3):
        place.add(bytes([i]))
    assert place.log.verify().ok
    assert place.log.verify().lines == 3
    for statement in ("UPDATE log SET who = 'eve'", "DELETE FROM log"):
        with pytest.raises(StoreError, match="append-only"), place.store.write() as session:
            session.execute(text(statement))


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE log SET who = 'eve' WHERE seq = 2", "line 2 is not"),
        ("UPDATE log SET data = '{}' WHERE seq = 3", "line 3 is not"),
        ("DELETE FROM log WHERE seq = 2", "line 2 is missing"),
        ("DELETE FROM log WHERE seq = 4", "lines 4 to 4 are missing at the end"),
        ("DELETE FROM log", "lines 1 to 4 are missing"),
    ],
)
def test_tampering_with_the_log_is_found(place, tampering, found):
    for i in range(4):
        place.add(bytes([i]))
    place.log.note_head()
    drop = (
        ["DROP TRIGGER log_never_update", "DROP TRIGGER log_never_delete"]
        if place.store.sqlite
        else ["DROP TRIGGER log_only_appends ON log"]
    )
    with place.store.write() as session:
        for statement in (*drop, tampering):
            session.execute(text(statement))
    verified = place.log.verify()
    assert not verified.ok
    assert found in verified.problem


def test_a_line_put_in_with_another_key_is_found(place, tmp_path):
    place.add(b"a")
    with place.store.write() as session:
        Log(place.store, tmp_path / "elsewhere").add(session, "eve", "accepted")
    assert "line 2 is not" in place.log.verify().problem

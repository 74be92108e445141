"""The queue: who reads what, once, whatever ends meanwhile."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from hilum.apps.store import queue
from hilum.apps.store.store import open_store
from hilum.apps.store.tables import Line, Read, Study
from hilum.core.reading import Status


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


def test_a_worker_that_is_ended_again_and_again_gives_up_no_film_while_others_wait(place):
    ids = [place.add(bytes([number])).film_id for number in range(4)]
    claims = []
    for _ in range(4):
        claims.append(queue.claim(place.store, "killed"))
        queue.release(place.store, "killed")
    assert [(each.film_id, each.attempts) for each in claims] == [(each, 1) for each in ids]
    assert queue.claim(place.store, "w").film_id == ids[0]
    with place.store.read() as session:
        assert [queue.ahead_of(session, each) for each in ids] == [0, 1, 2, 3]
    queue.release(place.store, "w")
    with place.store.read() as session:  # begun twice, it is last
        assert [queue.ahead_of(session, each) for each in ids] == [3, 0, 1, 2]


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


def _of_two(place):
    """A study of a film that was read and one that was refused."""
    place.add(b"a", study_uid="1", instance_uid="1.1")
    place.read_all(probability=0.9)
    place.add(b"b", study_uid="1", instance_uid="1.2")
    place.read_all(status=Status.REFUSED)
    place.add(b"c", study_uid="2", instance_uid="2.1")
    place.read_all(status=Status.REFUSED)


def test_a_study_of_which_a_film_was_read_is_shown_as_read(place):
    _of_two(place)
    first, second = sorted(place.all(Study), key=lambda each: each.uid)
    assert (first.status, first.refusal, second.status) == ("read", None, "refused")
    assert first.findings[0]["present"]


def test_a_study_that_an_older_hilum_showed_as_refused_is_shown_as_read(place, store_url):
    _of_two(place)
    with place.store.write() as session:
        session.execute(text("UPDATE studies SET status = 'refused'"))
        session.execute(text("UPDATE alembic_version SET version_num = '0016'"))
    later = open_store(store_url)
    with later.read() as session:
        found = session.execute(text("SELECT uid, status FROM studies ORDER BY uid")).all()
    later.close()
    assert [tuple(each) for each in found] == [("1", "read"), ("2", "refused")]

"""Intake: one film is one, whoever sends it how often; and nothing stays of what was not taken."""

from __future__ import annotations

import io
import threading

import pytest

from hilum.apps.store import deletion
from hilum.apps.store.tables import Film, Job, Study
from hilum.core.errors import (
    RejectedImageError,
)


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

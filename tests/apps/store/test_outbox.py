"""The outbox: what is to be made, and what of it is on its way, in both kinds of store."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace

import pytest

from hilum.apps.store import deletion, outbox, queue
from hilum.apps.store.intake import Arrival, Sender, accept
from hilum.apps.store.outbox import Object
from hilum.apps.store.tables import Delivery, Line, Made, Result, now_ms
from hilum.core.radiograph import Metadata
from hilum.core.reading import Status
from hilum.serve.dicom import KINDS


def _arrive(place, number, peer="pacs"):
    kept = place.folder.keep(io.BytesIO(b"film %d" % number))
    about = Metadata(study_uid=f"1.2.{number}", instance_uid=f"1.2.{number}.3", patient_id="P")
    sender = Sender(peer, "127.0.0.1", results=True) if peer else None
    arrival = Arrival(kept, "DX", "DICOM DX", about, sender)
    return accept(place.store, place.folder, place.log, arrival, "AE:pacs")


def _object(place, number, kind):
    kept = place.folder.keep(io.BytesIO(f"{kind} {number}".encode()), result=True)
    uid = f"1.2.{number}.9.{list(KINDS).index(kind)}"
    return Object(kind, "1.2.840", uid, f"1.2.{number}", kept.sha256, kept.size)


def _put(place, number, kinds=("sr", "seg"), to=("pacs",)):
    making = outbox.claim_making(place.store)
    objects = [_object(place, number, kind) for kind in kinds]
    outbox.put(place.store, place.log, making, objects, to)
    return objects


def _ready(place, *numbers, **how):
    for number in numbers:
        _arrive(place, number)
    place.read_all()
    return [each for number in numbers for each in _put(place, number, **how)]


def test_results_are_to_be_made_of_films_that_were_read_and_came_by_the_network(place):
    _arrive(place, 1)
    _arrive(place, 2, peer=None)
    place.read_all()
    _arrive(place, 3)
    place.read_all(status=Status.REFUSED)
    (made,) = place.all(Made)
    making = outbox.claim_making(place.store)
    assert (making.reading_id, making.sources, making.attempts) == (made.reading_id, ("pacs",), 1)
    assert making.reading["findings"][0]["label"] == "covid-19"
    assert outbox.claim_making(place.store).attempts == 2  # what ended its maker is begun again
    outbox.fail(place.store, place.log, making, "why")
    assert outbox.claim_making(place.store) is None
    assert place.all(Made)[0].error == "why"


def test_a_film_that_was_sent_by_hand_before_gets_its_results(place):
    _arrive(place, 1, peer=None)
    place.read_all()
    assert place.all(Made) == []
    assert _arrive(place, 1).duplicate
    assert len(place.all(Made)) == 1
    _put(place, 1)
    assert _arrive(place, 1, peer="other").duplicate
    assert [each.state for each in place.all(Made)] == ["made"]


def test_without_routes_nothing_is_kept_to_be_made_one_day(place):
    _arrive(place, 1)
    place.read_all(results=False)
    assert place.all(Made) == []
    assert outbox.claim_making(place.store) is None


def test_one_study_at_a_time_in_the_order_of_sending(place):
    _ready(place, 1, 2, kinds=("sr", "pdf", "seg"), to=("pacs", "second"))
    first = outbox.claim(place.store, "pacs", 10)
    assert [each.object.kind for each in first] == ["seg", "pdf", "sr"]
    assert {each.object.study_uid for each in first} == {"1.2.1"}
    assert [each.object.kind for each in outbox.claim(place.store, "pacs", 2)] == ["seg", "pdf"]
    assert len(outbox.claim(place.store, "pacs", 10)) == 1
    assert outbox.claim(place.store, "pacs", 10) == []
    outbox.release(place.store, "second")
    assert outbox.claim(place.store, "pacs", 10) == []
    outbox.release(place.store, "pacs")
    assert len(outbox.claim(place.store, "pacs", 10)) == 3
    assert len(outbox.claim(place.store, "second", 10)) == 3
    for each in first:
        outbox.close(place.store, each, state="sent", status=0)
    sent = [each for each in place.all(Delivery) if each.state == "sent"]
    assert [each.sent_ms is not None for each in sent] == [True] * 3


def test_what_waits_is_not_due_before_its_time(place):
    _ready(place, 1, kinds=("sr",))
    (parcel,) = outbox.claim(place.store, "pacs", 10)
    outbox.close(place.store, parcel, state="waiting", next_ms=now_ms() + 3_600_000, attempts=2)
    assert outbox.claim(place.store, "pacs", 10) == []
    since = now_ms()
    with place.store.read() as session:
        assert not outbox.hurried(session, "pacs", since)
    assert outbox.retry(place.store, place.log, "anna", peer="pacs") == 1
    with place.store.read() as session:
        assert outbox.hurried(session, "pacs", since)
        assert not outbox.hurried(session, "pacs", now_ms() + 1)
    (parcel,) = outbox.claim(place.store, "pacs", 10)
    assert parcel.attempts == 0


def test_what_people_do_is_logged_and_changes_what_it_names(place):
    _ready(place, 1, 2, kinds=("sr",), to=("pacs", "second"))
    ids = {(each.peer, each.result_id): each.id for each in place.all(Delivery)}
    assert outbox.drop(place.store, place.log, "anna", [ids["pacs", 1]], "no SR there") == 1
    assert outbox.resend(place.store, place.log, "anna", peer="second", since_ms=0) == 0
    film = place.all(Result)[0].film_id
    assert outbox.resend(place.store, place.log, "anna", film_id=film) == 1
    assert outbox.drop(place.store, place.log, "anna", [999], "none") == 0
    actions = [line.action for line in place.all(Line) if line.who == "anna"]
    assert actions[-2:] == ["deliveries-dropped", "deliveries-resent"]
    assert place.log.verify().ok


@pytest.mark.parametrize("hours", [1, 1000])
def test_what_waits_too_long_is_given_up(place, hours):
    _ready(place, 1, kinds=("sr",))
    with place.store.write() as session:
        session.get_one(Delivery, 1).created_ms -= 2 * 3_600_000
    assert outbox.give_up(place.store, "pacs", hours) == (1 if hours == 1 else 0)
    (delivery,) = place.all(Delivery)
    assert delivery.state == ("dead" if hours == 1 else "waiting")


def test_the_same_results_made_again_are_delivered_once(place):
    objects = _ready(place, 1)
    with place.store.write() as session:
        session.query(Made).one().state = "to-make"
    assert _put(place, 1) == objects
    assert len(place.all(Result)) == len(place.all(Delivery)) == 2
    making = outbox.claim_making(place.store)
    assert making is None


def test_another_bundle_supersedes(place):
    old = _ready(place, 1)
    queue.know_model(place.store, "d" * 64, "other 1", {"adaptations": []})
    film = place.all(Result)[0].film_id
    queue.ask_again(place.store, place.log, film, "anna", force=False)
    claimed = queue.claim(place.store, "w")
    answer = replace(place.answer(probability=0.9), checksum="d" * 64)
    assert queue.finish(place.store, place.log, claimed, "w", answer)
    making = outbox.claim_making(place.store)
    new = _object(place, 7, "sr")
    outbox.put(place.store, place.log, making, [new], ("pacs",))
    states = {each.sop_uid: each.superseded for each in place.all(Result)}
    assert states == {each.sop_uid: True for each in old} | {new.sop_uid: False}


def test_a_deleted_study_leaves_no_result_and_nothing_to_send(place):
    objects = _ready(place, 1, 2)
    study = place.all(Result)[0].film_id
    with place.store.read() as session:
        from hilum.apps.store.tables import Film

        study = session.get_one(Film, study).study_id
    parcel = outbox.claim(place.store, "pacs", 1)[0]
    assert deletion.delete_study(place.store, place.folder, place.log, study, "anna")
    assert {each.study_uid for each in place.all(Result)} == {"1.2.2"}
    assert len(place.all(Delivery)) == 2
    lying = [place.folder.result(each.sha256).exists() for each in objects]
    assert lying == [False, False, True, True]
    outbox.close(place.store, parcel, state="sent", status=0)  # sent meanwhile: nothing to note
    assert len(place.all(Delivery)) == 2


def test_what_a_kill_left_of_results_is_swept(place):
    (known,) = _ready(place, 1, kinds=("sr",))
    left = [place.folder.keep(io.BytesIO(b"%d" % each), result=True).sha256 for each in range(2)]
    for each in (known.sha256, left[0]):
        os.utime(place.folder.result(each), (0, 0))
    outbox.sweep(place.store, place.folder)
    assert place.folder.result(known.sha256).exists()
    assert not place.folder.result(left[0]).exists()
    assert place.folder.result(left[1]).exists()  # it is being made: its row comes yet


def test_results_are_forgotten_when_all_their_deliveries_are_closed(place):
    objects = _ready(place, 1, 2, kinds=("sr",))
    (parcel,) = outbox.claim(place.store, "pacs", 1)
    outbox.close(place.store, parcel, state="dead")
    assert outbox.retain(place.store, place.folder, place.log, 1) == 0
    assert outbox.retain(place.store, place.folder, place.log, -1) == 1
    (line,) = [each for each in place.all(Line) if each.action == "results-forgotten"]
    said = json.loads(line.data)
    assert (said["count"], said["unsent"]) == (1, 1)
    assert not place.folder.result(objects[0].sha256).exists()
    assert place.folder.result(objects[1].sha256).exists()


def test_results_that_were_forgotten_are_made_again_when_the_film_is_read_again(place):
    _ready(place, 1, kinds=("sr",))
    film = place.all(Result)[0].film_id
    (parcel,) = outbox.claim(place.store, "pacs", 1)
    outbox.close(place.store, parcel, state="sent", status=0)
    queue.ask_again(place.store, place.log, film, "anna", force=False)
    place.read_all()
    assert outbox.claim_making(place.store) is None  # they are there
    assert outbox.retain(place.store, place.folder, place.log, -1) == 1
    queue.ask_again(place.store, place.log, film, "anna", force=False)
    place.read_all()
    assert outbox.claim_making(place.store).film_id == film

"""The outbox: what is to be made, and what of it is on its way, in both kinds of store."""

from __future__ import annotations

import io
import json
import os
import time
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import update

from hilum.apps.store import deletion, outbox, queue, resultfiles, takeback, wanted
from hilum.apps.store.intake import Arrival, Sender, accept
from hilum.apps.store.people import Role, add_person
from hilum.apps.store.tables import (
    Delivery,
    Film,
    Job,
    Line,
    Made,
    Reference,
    Result,
    Ruler,
    Study,
    Verdict,
    now_ms,
)
from hilum.apps.store.wanted import Object
from hilum.core.radiograph import Metadata
from hilum.core.reading import Status
from hilum.serve.dicom import KINDS, NOTE


def _arrive(place, number, peer="pacs", **about_sender):
    kept = place.folder.keep(io.BytesIO(b"film %d" % number))
    about = Metadata(study_uid=f"1.2.{number}", instance_uid=f"1.2.{number}.3", patient_id="P")
    sender = Sender(peer, "127.0.0.1", results=True, **about_sender) if peer else None
    arrival = Arrival(kept, "DX", "DICOM DX", about, sender)
    return accept(place.store, place.folder, place.log, arrival, "AE:pacs")


def _object(place, number, kind):
    kept = place.folder.keep(io.BytesIO(f"{kind} {number}".encode()), result=True)
    uid = f"1.2.{number}.9.{list(KINDS).index(kind)}"
    return Object(kind, "1.2.840", uid, f"{uid}.1", f"1.2.{number}", kept.sha256, kept.size)


def _put(place, number, kinds=("sr", "seg"), to=("pacs",)):
    making = wanted.claim_making(place.store)
    objects = [_object(place, number, kind) for kind in kinds]
    wanted.put(place.store, place.log, making, objects, to)
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
    making = wanted.claim_making(place.store)
    assert (making.reading_id, making.sources, making.attempts) == (made.reading_id, ("pacs",), 1)
    assert making.reading["findings"][0]["label"] == "covid-19"
    assert wanted.claim_making(place.store).attempts == 2  # what ended its maker is begun again
    wanted.fail(place.store, place.log, making, "why")
    assert wanted.claim_making(place.store) is None
    assert place.all(Made)[0].error == "why"


def test_what_ended_its_maker_lets_the_others_go_first(place):
    _arrive(place, 1)
    _arrive(place, 2)
    place.read_all()
    first, second = wanted.claim_making(place.store), wanted.claim_making(place.store)
    assert (first.attempts, second.attempts) == (1, 1)
    assert first.reading_id != second.reading_id
    assert wanted.claim_making(place.store).reading_id == first.reading_id


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
    assert wanted.claim_making(place.store) is None


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


def test_what_is_urgent_is_read_made_and_sent_first(place):
    ids = {number: _arrive(place, number, urgent=number == 3).film_id for number in (1, 2, 3)}
    with place.store.read() as session:
        assert [queue.ahead_of(session, ids[number]) for number in (1, 2, 3)] == [1, 2, 0]
    first = queue.claim(place.store, "w1")
    assert first.film_id == ids[3]
    queue.release(place.store, "w1")
    place.read_all()
    with place.store.read() as session:
        assert wanted.to_make(session) == (3, 1)
    orders = []
    for number in (3, 1, 2):
        making = wanted.claim_making(place.store)
        orders.append(making.film_id)
        urgent = number == 2
        objects = [_object(place, number, "sr")]
        wanted.put(place.store, place.log, making, objects, ("pacs",), urgent=urgent)
    assert orders == [ids[3], ids[1], ids[2]]
    sent = [outbox.claim(place.store, "pacs", 10)[0].object.study_uid for _ in range(3)]
    assert sent == ["1.2.2", "1.2.3", "1.2.1"]


def test_of_a_refused_film_results_are_wanted_where_a_site_sends_them(place):
    _arrive(place, 1)
    while claimed := queue.claim(place.store, "w1"):
        answer = replace(place.answer(status=Status.REFUSED), refusals=True)
        queue.finish(place.store, place.log, claimed, "w1", answer)
    assert [each.state for each in place.all(Made)] == ["to-make"]


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
    making = wanted.claim_making(place.store)
    assert making is None


def test_another_bundle_supersedes(place):
    old = _ready(place, 1)
    queue.know_model(place.store, "d" * 64, "other 1", {"adaptations": []})
    film = place.all(Result)[0].film_id
    queue.ask_again(place.store, place.log, film, "anna", force=False)
    claimed = queue.claim(place.store, "w")
    answer = replace(place.answer(probability=0.9), checksum="d" * 64)
    assert queue.finish(place.store, place.log, claimed, "w", answer)
    making = wanted.claim_making(place.store)
    new = _object(place, 7, "sr")
    wanted.put(place.store, place.log, making, [new], ("pacs",))
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
    resultfiles.sweep(place.store, place.folder)
    assert place.folder.result(known.sha256).exists()
    assert not place.folder.result(left[0]).exists()
    assert place.folder.result(left[1]).exists()  # it is being made: its row comes yet


def test_results_are_forgotten_when_all_their_deliveries_are_closed(place):
    objects = _ready(place, 1, 2, kinds=("sr",))
    (parcel,) = outbox.claim(place.store, "pacs", 1)
    outbox.close(place.store, parcel, state="dead")
    assert resultfiles.retain(place.store, place.folder, place.log, 1) == 0
    assert resultfiles.retain(place.store, place.folder, place.log, -1) == 1
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
    assert wanted.claim_making(place.store) is None  # they are there
    assert resultfiles.retain(place.store, place.folder, place.log, -1) == 1
    queue.ask_again(place.store, place.log, film, "anna", force=False)
    place.read_all()
    assert wanted.claim_making(place.store).film_id == film


def _reads_again(place, checksum, status=Status.READ):
    """Let another bundle read the one film."""
    queue.know_model(place.store, checksum, f"other {checksum[0]}", {"adaptations": []})
    queue.ask_again(place.store, place.log, place.all(Film)[0].id, "anna", force=False)
    claimed = queue.claim(place.store, "w")
    answer = replace(place.answer(status=status), checksum=checksum)
    assert queue.finish(place.store, place.log, claimed, "w", answer)


def _send_all(place, peer="pacs"):
    for parcel in outbox.claim(place.store, peer, 10):
        outbox.close(place.store, parcel, state="sent", status=0)


def _retract(place, reason="quality", peer=None, by_verdict=False):
    films = [each.id for each in place.all(Film)]
    how = {"reason": reason, "peer": peer, "by_verdict": by_verdict}
    with place.store.write() as session:
        return takeback.retract(session, place.log, "anna", films, **how)


def _restore(place):
    with place.store.write() as session:
        return takeback.restore(session, place.log, "anna", place.all(Film)[0].id)


def _note(place, number):
    return replace(_object(place, 50 + number, "sr"), kind=NOTE, study_uid="1.2.2")


def _reject(place):
    """Make the notes that are due, as the worker does; return what each names, and who gets it."""
    making = wanted.claim_making(place.store)
    due = wanted.to_reject(place.store, making)
    notes = [(_note(place, at), each) for at, each in enumerate(due)]
    wanted.put(place.store, place.log, making, [], (), notes=notes)
    return [({sent.sop_uid for sent in each.sent}, each.peers) for each in due]


def _states(place, peer="pacs"):
    rows = sorted(place.all(Delivery), key=lambda each: each.id)
    return [each.state for each in rows if each.peer == peer]


def test_what_another_reading_replaces_is_named_and_no_more_sent(place):
    old = {each.kind: each for each in _ready(place, 1)}
    _send_all(place)
    assert outbox.resend(place.store, place.log, "anna", since_ms=0) == 2
    (first,) = outbox.claim(place.store, "pacs", 1)  # the seg is on its way, the sr waits
    _reads_again(place, "d" * 64)
    outbox.close(place.store, first, state="waiting", next_ms=0)  # it failed meanwhile
    assert _states(place) == ["dropped", "dropped"]
    making = wanted.claim_making(place.store)
    assert (making.former.kind, making.former.sop_uid) == ("sr", old["sr"].sop_uid)
    assert wanted.claim_making(place.store).former == making.former  # whatever came meanwhile
    wanted.put(place.store, place.log, making, [_object(place, 2, "sr")], ("pacs",))
    _send_all(place)
    _reads_again(place, "c" * 64)  # the first bundle is in force again: its results are made anew
    making = wanted.claim_making(place.store)
    assert making.checksum == "c" * 64
    assert making.former.sop_uid == _object(place, 2, "sr").sop_uid
    assert all(each.superseded for each in place.all(Result))


def test_a_rejection_note_names_to_each_peer_what_it_has_and_goes_first(place):
    old = _ready(place, 1, to=("pacs", "second", "third"))
    _send_all(place)
    _send_all(place, "second")
    (parcel, _) = outbox.claim(place.store, "third", 10)
    outbox.close(place.store, parcel, state="sent", status=0)  # the other one is on its way
    outbox.release(place.store, "third")
    _reads_again(place, "d" * 64)
    making = wanted.claim_making(place.store)
    due = wanted.to_reject(place.store, making)
    uids = {each.sop_uid for each in old}
    assert [({s.sop_uid for s in each.sent}, each.peers) for each in due] == [
        (uids, ("pacs", "second")),
        ({parcel.object.sop_uid}, ("third",)),
    ]
    notes = [(_note(place, number), each) for number, each in enumerate(due)]
    wanted.put(place.store, place.log, making, [_object(place, 2, "seg")], ("pacs",), {}, notes)
    assert _states(place)[:2] == ["retracted", "retracted"]
    assert _states(place, "third")[:2] == ["dropped", "retracted"]
    assert [each.object.kind for each in outbox.claim(place.store, "pacs", 10)] == [NOTE, "seg"]
    assert wanted.to_reject(place.store, making) == []  # once


def test_a_film_that_is_refused_now_takes_its_results_back(place):
    _ready(place, 1)
    _send_all(place)
    _reads_again(place, "d" * 64, status=Status.REFUSED)
    making = wanted.claim_making(place.store)
    assert making.reading["status"] == "refused"
    assert len(wanted.to_reject(place.store, making)[0].sent) == 2
    _arrive(place, 2)
    place.read_all(status=Status.REFUSED)
    assert len(place.all(Made)) == 2  # of a film that was never read nothing is to be made


def test_what_a_person_takes_back(place):
    old = _ready(place, 1, to=("pacs", "away"))
    _send_all(place)
    assert _retract(place) == 1
    assert _states(place, "away") == ["retracted"] * 2  # it was never sent there
    assert _reject(place) == [({each.sop_uid for each in old}, ("pacs",))]
    assert _states(place) == ["retracted", "retracted", "waiting"]
    assert [each.object.kind for each in outbox.claim(place.store, "pacs", 9)] == [NOTE]
    assert _retract(place) == 0
    (line,) = [each for each in place.all(Line) if each.action == "results-retracted"]
    assert (line.who, json.loads(line.data)["reason"]) == ("anna", "quality")
    _arrive(place, 1)
    assert wanted.claim_making(place.store) is None  # it stays taken back
    assert outbox.resend(place.store, place.log, "anna", since_ms=0, peer="away") == 0
    film = place.all(Film)[0].id
    assert outbox.resend(place.store, place.log, "anna", film_id=film) == 1
    assert wanted.claim_making(place.store).former.kind == "sr"  # so that the UIDs are others


def test_what_is_not_made_yet_is_not_made_once_it_is_taken_back(place):
    _arrive(place, 1)
    place.read_all()
    assert _retract(place) == 1
    assert wanted.claim_making(place.store) is None
    assert _retract(place, peer="pacs") == 0


@pytest.mark.parametrize(("reason", "again"), [("quality", True), ("wrong-patient", False)])
def test_of_a_film_of_the_wrong_patient_nothing_is_sent_any_more(place, reason, again):
    _ready(place, 1)
    _send_all(place)
    _retract(place, reason)
    _reject(place)
    _reads_again(place, "d" * 64)
    assert (wanted.claim_making(place.store) is not None) == again


def test_what_was_sent_can_be_taken_back_when_its_files_are_gone(place):
    old = _ready(place, 1)
    _send_all(place)
    assert resultfiles.retain(place.store, place.folder, place.log, -1) == 2
    assert resultfiles.retain(place.store, place.folder, place.log, -1) == 0
    assert not place.folder.result(old[0].sha256).exists()
    assert _retract(place) == 1
    assert _reject(place) == [({each.sop_uid for each in old}, ("pacs",))]


@pytest.mark.parametrize("noted", [True, False])
def test_what_a_person_takes_back_after_a_verdict_no_undo_sends(place, noted):
    """Nothing may be left to take back; that it is of another patient is written all the same."""
    _ready(place, 1)
    _send_all(place)
    assert _retract(place, by_verdict=True) == 1
    if noted:
        _reject(place)
    assert _retract(place, "wrong-patient") == 1
    assert _restore(place) is None
    if not noted:
        _reject(place)
    assert _states(place) == ["retracted", "retracted", "waiting"]
    reasons = [
        json.loads(each.data)["reason"]
        for each in place.all(Line)
        if each.action == "results-retracted"
    ]
    assert reasons == ["quality", "wrong-patient"]
    _reads_again(place, "d" * 64)
    assert wanted.claim_making(place.store) is None, "whatever reads it, nothing is sent"


def test_what_was_on_its_way_and_failed_is_not_sent_after_it_was_taken_back(place):
    _ready(place, 1, to=("pacs", "second"))
    sent, failing = outbox.claim(place.store, "pacs", 10)
    _retract(place, "wrong-patient")
    outbox.close(place.store, sent, state="sent", status=0)
    outbox.close(place.store, failing, state="waiting", next_ms=0)
    assert _reject(place) == [({sent.object.sop_uid}, ("pacs",))]
    taken = [outbox.claim(place.store, "pacs", 9) for _ in range(2)]  # a study each time
    assert [[each.object.kind for each in study] for study in taken] == [[NOTE], []]
    assert outbox.claim(place.store, "second", 9) == []


@pytest.mark.parametrize(("reason", "whom"), [("quality", None), ("worklist", "pacs")])
def test_a_note_that_is_made_late_leaves_a_newer_reading_what_is_its_own(place, reason, whom):
    """What is wrong of the film, and not of its reading, is wrong of every reading."""
    old = {each.sop_uid for each in _ready(place, 1)}
    _send_all(place)
    _retract(place, reason, peer=whom)
    wanted.fail(place.store, place.log, wanted.claim_making(place.store), "no space")
    _reads_again(place, "d" * 64)
    new = {each.sop_uid for each in _put(place, 2, kinds=("sr", "seg"))}
    sent, _ = outbox.claim(place.store, "pacs", 10)
    outbox.close(place.store, sent, state="sent", status=0)
    outbox.release(place.store, "pacs")  # the other one waits
    outbox.retry(place.store, place.log, "anna")
    own = reason == "quality"
    named = old if own else old | {sent.object.sop_uid}
    assert _reject(place) == [(named, ("pacs",))]
    left = outbox.claim(place.store, "pacs", 9) + outbox.claim(place.store, "pacs", 9)
    waits = {each.object.sop_uid for each in left if each.object.kind != NOTE}
    assert waits == (new - {sent.object.sop_uid} if own else set())


def test_what_a_person_takes_back_from_one_peer_leaves_the_verdict_with_all(place):
    _ready(place, 1, to=("pacs", "second"))
    _send_all(place)
    _send_all(place, "second")
    _retract(place, by_verdict=True)
    assert _retract(place, "wrong-patient", peer="second") == 1
    assert _restore(place) is None
    ((_, peers),) = _reject(place)
    assert peers == ("pacs", "second")


@pytest.mark.parametrize("noted", [True, False])
def test_undoing_a_verdict_does_not_send_twice_what_was_on_its_way(place, noted):
    _ready(place, 1, kinds=("sr", "seg", "sc"))
    on_its_way, failing, _ = outbox.claim(place.store, "pacs", 10)
    _retract(place, by_verdict=True)
    outbox.close(place.store, on_its_way, state="sent", status=0)
    outbox.close(place.store, failing, state="waiting", next_ms=0)
    if noted:
        _reject(place)
    assert _restore(place)
    states = {each.id: each.state for each in place.all(Delivery)}
    assert states[on_its_way.id] == "sent"
    assert states[failing.id] == "waiting"


@pytest.mark.parametrize("noted", [True, False])
def test_undoing_a_verdict_keeps_what_a_peer_confirmed_meanwhile(place, noted):
    (sent,) = _ready(place, 1, kinds=("sr",))
    _send_all(place)
    _retract(place, by_verdict=True)
    with place.store.write() as session:
        session.execute(update(Delivery).values(transaction="1.9"))
    outbox.reported(place.store, "pacs", "1.9", [sent.sop_uid], {})
    if noted:
        _reject(place)
    assert _restore(place)
    assert _states(place) == ["committed"]


def test_that_an_archive_was_told_is_said_once(place):
    _ready(place, 1)
    _send_all(place)
    _retract(place, by_verdict=True)
    _reject(place)
    _send_all(place)
    assert _restore(place) is False
    assert _restore(place) is None


def test_one_peer_alone_is_told(place):
    _ready(place, 1, to=("pacs", "second"))
    _send_all(place)
    _send_all(place, "second")
    assert _retract(place, peer="second") == 1
    ((_, peers),) = _reject(place)
    assert peers == ("second",)
    assert _states(place) == ["sent", "sent"]


@pytest.mark.parametrize("copies", [False, True])
def test_films_are_not_deleted_before_their_results_are_sent(place, copies):
    _ready(place, 1, kinds=("sr",))
    (parcel,) = outbox.claim(place.store, "pacs", 10)
    time.sleep(0.01)
    which = deletion.Chosen(settled=not copies, copies=copies)
    retain = partial(deletion.retain, place.store, place.folder, place.log, 1e-9)
    assert retain(which) == 0
    outbox.close(place.store, parcel, state="sent", status=0)
    assert retain(which) == 1
    assert place.all(Film) == []


def test_without_a_node_nothing_is_waited_for(place):
    _ready(place, 1)
    time.sleep(0.01)
    assert deletion.retain(place.store, place.folder, place.log, 1e-9, deletion.Chosen()) == 1


@pytest.mark.parametrize(
    ("state", "asked", "stays"),
    [
        ("waiting", 0, True),
        ("dead", 0, True),
        ("dropped", 0, False),
        ("sent", 3, True),
        ("committed", 1, False),
        ("retracted", 2, True),
        ("retracted", 3, False),
        ("deleted", 0, False),
    ],
)
def test_copies_stay_until_their_results_are_where_they_belong(place, state, asked, stays):
    _ready(place, 1, kinds=("sr",))
    with place.store.write() as session:
        session.execute(update(Delivery).values(state=state, asked=asked))
    time.sleep(0.01)
    keep = (place.store, place.folder, place.log, 1e-9)
    pacs = deletion.Chosen(copies=True, confirming=("pacs",), deleting=("pacs",))
    assert deletion.retain(*keep, pacs) == (not stays)
    if state in ("sent", "retracted") and stays:  # to others it is no matter
        assert deletion.retain(*keep, deletion.Chosen(copies=True)) == 1
    elif state == "dead":
        (delivery,) = place.all(Delivery)
        assert outbox.drop(place.store, place.log, "anna", [delivery.id], "by hand") == 1
        assert deletion.retain(*keep, pacs) == 1


def test_copies_stay_whose_results_could_not_be_made(place):
    _arrive(place, 1)
    place.read_all()
    wanted.fail(place.store, place.log, wanted.claim_making(place.store), "no memory")
    time.sleep(0.01)
    keep = (place.store, place.folder, place.log, 1e-9)
    assert deletion.retain(*keep, deletion.Chosen(copies=True)) == 0
    assert deletion.retain(*keep, deletion.Chosen(settled=True)) == 1


def test_a_study_is_as_old_as_its_last_film(place):
    kept = _arrive(place, 1)
    place.read_all(results=False)
    with place.store.write() as session:
        session.execute(update(Study).values(created_ms=0))
    keep = (place.store, place.folder, place.log, 1.0)
    assert deletion.retain(*keep, deletion.Chosen()) == 0
    with place.store.write() as session:
        session.get_one(Film, kept.film_id).created_ms = 0
    assert deletion.retain(*keep, deletion.Chosen()) == 1


def test_copies_are_films_of_the_network_that_nobody_worked_on(place):
    kept = {}
    for number in range(1, 7):
        kept[number] = _arrive(place, number, peer="pacs" if number > 1 else None).film_id
    place.read_all(results=False)
    with place.store.write() as session:
        person = add_person(session, "anna", Role.REVIEWER, "correct horse battery").id
        ids = {"film_id": kept[2], "finding": "covid-19", "person_id": person}
        session.add(Verdict(**ids, verdict="present", call=1))
        ids["film_id"] = kept[3]
        session.add(Reference(**ids, value=1, standard="rt-pcr"))
        session.add(Job(film_id=kept[4]))
        line = {"points": [[0, 0], [9, 9]], "mm": 10, "person_id": person}
        session.add(Ruler(film_id=kept[6], **line))
    time.sleep(0.01)
    keep = (place.store, place.folder, place.log, 1e-9)
    assert deletion.retain(*keep, deletion.Chosen(copies=True)) == 1
    assert {each.id for each in place.all(Film)} == set(kept.values()) - {kept[5]}
    assert deletion.retain(*keep, deletion.Chosen(settled=True)) == 5

from __future__ import annotations

import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from sqlalchemy import select

from hilum.apps.node.settings import Node, Objects
from hilum.apps.store import outbox, wanted
from hilum.apps.store.people import Role, add_person, add_token
from hilum.apps.store.tables import Delivery, Film, Made, Person, Result
from hilum.apps.web.agreement import measure
from hilum.apps.web.settings import Settings
from hilum.judge.reader_study import against_reference, kappa

API = "/api/v1"
FINDING = "covid-19"


def _verdict(client, film_id, verdict, **more):
    body = {"finding": FINDING, "verdict": verdict} | more
    return client.post(f"{API}/films/{film_id}/verdicts", json=body)


def _present(station, film_id):
    reading = station.client("reader").get(f"{API}/films/{film_id}/reading").json()["reading"]
    return reading["findings"][0]["present"]


def test_a_verdict_is_kept_with_what_it_says_of_the_finding(station, make_film):
    film_id = station.film(make_film(1))
    client = station.client("reviewer")
    mark = {"kind": "ellipse", "points": [[1, 2], [3.5, 4]], "text": "here"}
    given = _verdict(client, film_id, "absent", corrected_label="mass", marks=[mark], text="no")
    assert given.status_code == 201
    call = "absent"
    assert given.json()["call"] == call
    assert given.json()["marks"] == [mark]
    _verdict(client, film_id, "unsure")
    (last, first) = client.get(f"{API}/films/{film_id}/verdicts").json()["items"]
    assert (last["call"], first["call"]) == (None, call)
    (study,) = client.get(f"{API}/studies?reviewed=true").json()["items"]
    assert study["verdicts"] == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"finding": "nonsense", "verdict": "agree"}, 422),
        ({"finding": FINDING, "verdict": "maybe"}, 422),
        ({"finding": "mass", "verdict": "agree"}, 422),
        ({"finding": "mass", "verdict": "present"}, 201),
        ({"finding": FINDING, "verdict": "agree", "blind": True}, 422),
        ({"finding": FINDING, "verdict": "unsure", "text": "a\x00b"}, 422),
        ({"finding": FINDING, "verdict": "unsure", "text": "x" * 10_001}, 422),
        ({"finding": FINDING, "verdict": "unsure", "other": 1}, 422),
        ({"finding": FINDING, "verdict": "unsure", "marks": [{"kind": "x", "points": []}]}, 422),
    ],
)
def test_what_a_verdict_may_be(station, make_film, body, status):
    film_id = station.film(make_film(1))
    answer = station.client("reviewer").post(f"{API}/films/{film_id}/verdicts", json=body)
    assert answer.status_code == status, answer.text


def test_blind_first_read(station, make_film):
    film_id = station.film(make_film(1))
    client = station.client("reviewer")
    assert client.put(f"{API}/me/blind", json={"on": True}).json()["blind"]
    hidden = (
        "reading", "overlays", f"heatmaps/{FINDING}.png", "lungs.png", "reports",
        "reports/draft", f"heatmaps/{FINDING}.f32", "opacities/consolidation.png",
    )  # fmt: skip
    for path in hidden:
        answer = client.get(f"{API}/films/{film_id}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "blind-read-pending"), path
    (study,) = client.get(f"{API}/studies?sort=priority").json()["items"]
    assert (study["blind_pending"], study["findings"], study["priority"]) == (True, [], None)
    for path in (f"studies?label={FINDING}", "agreement", "agreement.csv", "monitoring"):
        assert client.get(f"{API}/{path}").status_code == 409, path
    assert _verdict(client, film_id, "agree").status_code == 409
    assert client.get(f"{API}/films/{film_id}/pixels").status_code == 200
    assert _verdict(client, film_id, "present", blind=True).status_code == 201
    assert client.get(f"{API}/films/{film_id}/reading").status_code == 409  # one is still owed
    other = {"finding": "pneumonia", "verdict": "absent", "blind": True}
    assert client.post(f"{API}/films/{film_id}/verdicts", json=other).status_code == 201
    assert client.get(f"{API}/films/{film_id}/reading").status_code == 200
    late = _verdict(client, film_id, "absent", blind=True)
    assert (late.status_code, late.json()["code"]) == (409, "already-seen")
    assert _verdict(client, film_id, "absent").status_code == 201
    verdicts = client.get(f"{API}/films/{film_id}/verdicts").json()["items"]
    assert [each["blind"] for each in verdicts] == [False, True, True]


def test_who_has_seen_the_answer_reads_blind_no_more(station, make_film):
    film_id = station.film(make_film(1))
    client = station.client("reviewer")
    client.get(f"{API}/films/{film_id}/overlays")
    client.put(f"{API}/me/blind", json={"on": True})
    assert client.get(f"{API}/films/{film_id}").json()["blind_pending"] is False
    assert _verdict(client, film_id, "present", blind=True).json()["code"] == "already-seen"


def test_another_persons_verdict_stays_hidden_from_a_blind_reader(station, make_film):
    film_id = station.film(make_film(1))
    _verdict(station.client("administrator"), film_id, "present")
    client = station.client("reviewer")
    client.put(f"{API}/me/blind", json={"on": True})
    assert client.get(f"{API}/films/{film_id}/verdicts").json()["items"] == []
    study_id = client.get(f"{API}/films/{film_id}").json()["study_id"]
    assert client.get(f"{API}/studies/{study_id}").json()["verdicts"] == []


def test_agreeing_is_kept_as_what_it_says_of_the_finding(make_station, small_bundle, make_film):
    station = make_station(bundle=small_bundle)
    film_id = station.film(make_film(1))
    client = station.client("reviewer")
    answer = client.get(f"{API}/films/{film_id}/reading").json()["reading"]["findings"][0]["answer"]
    other = {"present": "absent", "absent": "present"}[answer]
    for verdict, said in (("agree", answer), ("disagree", other)):
        given = _verdict(client, film_id, verdict).json()
        assert (given["verdict"], given["call"]) == (said, said)


def test_where_the_model_cannot_say_nobody_agrees(station, make_film):
    """A person who says "present" there is heard, and no agreement is made of it."""
    film_id = station.film(make_film(1))
    client = station.client("reviewer")
    (finding, *_) = client.get(f"{API}/films/{film_id}/reading").json()["reading"]["findings"]
    assert (finding["prediction_set"], finding["answer"]) == ("indeterminate", "cannot-say")
    (study,) = client.get(f"{API}/studies").json()["items"]
    assert study["findings"][0]["answer"] == "cannot-say"
    for verdict in ("agree", "disagree"):
        refused = _verdict(client, film_id, verdict)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert client.get(f"{API}/films/{film_id}/verdicts").json()["items"] == []
    _verdict(client, film_id, "present")
    _verdict(station.client("administrator"), film_id, "unsure")
    found = client.get(f"{API}/agreement").json()
    assert (found["counts"]["cannot_say"], found["counts"]["unsure"]) == (1, 1)
    assert (found["kappa"]["value"], found["kappa"]["n"]) == (None, 0)
    rows = list(csv.DictReader(io.StringIO(client.get(f"{API}/agreement.csv").text)))
    assert [(row["machine_answer"], row["call"]) for row in rows] == [("", "1"), ("", "")]


def test_agreement_and_the_reader_study(make_station, small_bundle, make_film):
    station = make_station(bundle=small_bundle)
    client = station.client("reviewer")
    films = [station.film(make_film(i, level=40 * i), patient_id=f"P{i}") for i in range(1, 6)]
    machine = [_present(station, each) for each in films]
    said = [True, False, True, False, True]
    for film_id, call in zip(films, said, strict=True):
        _verdict(client, film_id, "present" if call else "absent")
        reference = {"finding": FINDING, "value": 1, "standard": "RT-PCR"}
        client.put(f"{API}/films/{film_id}/reference", json=reference)
    found = client.get(f"{API}/agreement").json()
    assert found["films"] == 5
    expected = np.mean([a == b for a, b in zip(machine, said, strict=True)])
    assert found["agreement"]["value"] == pytest.approx(expected)
    assert found["human"]["sensitivity"]["value"] == pytest.approx(0.6)
    assert found["machine"]["sensitivity"]["value"] == pytest.approx(np.mean(machine))
    assert found["human"]["specificity"]["value"] is None
    rows = list(csv.DictReader(io.StringIO(client.get(f"{API}/agreement.csv").text)))
    assert [row["film_id"] for row in rows] == films
    assert [row["call"] for row in rows] == ["1", "0", "1", "0", "1"]
    assert {row["reference_standard"] for row in rows} == {"RT-PCR"}
    assert len({row["patient"] for row in rows}) == 5
    assert "P1" not in {row["patient"] for row in rows}


def test_the_machine_is_measured_once_a_film_however_many_people_looked():
    """Films that the machine got right drew two reviewers here; its share must not grow by that."""
    machine = [1, 0, 0, 1, 0]
    rows = [
        SimpleNamespace(
            film_id=f"f{i}", patient=f"p{i}", person=person, machine=said, answer=said, reference=1,
            told=True, call=1, blind_call=None, verdict=None,
        )
        for i, said in enumerate(machine)
        for person in (("anna", "bert") if said else ("anna",))
    ]  # fmt: skip
    found = measure(rows, folds=50)
    assert found.films == 5
    assert found.machine.sensitivity.value == pytest.approx(0.4)
    assert found.machine.sensitivity.n == 5
    assert found.human.sensitivity.n == 7


def test_the_reference_standard_can_be_taken_back(station, make_film):
    film_id = station.film(make_film(1))
    client = station.client("reviewer")
    path = f"{API}/films/{film_id}/reference"
    for value in (1, 0):
        items = client.put(path, json={"finding": FINDING, "value": value}).json()["items"]
        assert [each["value"] for each in items] == [value]
    assert client.put(path, json={"finding": FINDING, "value": None}).json()["items"] == []
    assert client.put(path, json={"finding": FINDING, "value": 2}).status_code == 422


def test_kappa_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    one = generator.integers(0, 2, 200).astype(float)
    two = np.where(generator.random(200) < 0.8, one, 1 - one)
    one[3], two[7] = np.nan, np.nan
    known = ~(np.isnan(one) | np.isnan(two))
    found = kappa(one, two, np.arange(200), folds=200)
    assert found["kappa"].value == pytest.approx(cohen_kappa_score(one[known], two[known]))
    assert found["kappa"].low < found["kappa"].value < found["kappa"].high
    assert found["kappa"].n == known.sum()


def test_agreement_without_films_is_undefined_and_says_why():
    assert kappa([], [], [])["kappa"].note == "no films"
    assert "chance" in kappa([1, 1], [1, 1], [1, 2])["kappa"].note
    assert against_reference([1], [1], [1])["specificity"].note == "no negatives"


@pytest.mark.parametrize(("setting", "state"), [("keep", "made"), ("reject", "reject")])
def test_a_verdict_against_the_model_takes_back_what_the_archive_was_sent(
    make_station, small_bundle, make_film, setting, state
):
    node = Node(objects=Objects(contradicted=setting))
    station = make_station(settings=Settings(node=node), bundle=small_bundle)
    film_id = station.film(make_film(1))
    with station.service.store.write() as session:
        reading_id = session.get_one(Film, film_id).reading_id
        session.add(Made(reading_id=reading_id, film_id=film_id, state="made"))
        result = Result(
            film_id=film_id, reading_id=reading_id, kind="sr", sop_class="1", sop_uid="1.2",
            study_uid="1.3", sha256="a", size=1,
        )  # fmt: skip
        session.add(result)
        session.flush()
        session.add(Delivery(result_id=result.id, peer="pacs", state="sent", sent_ms=1))
    client = station.client("reviewer")
    present = _present(station, film_id)

    def made():
        with station.service.store.read() as session:
            return session.get_one(Made, reading_id)

    for word in ("unsure", "present" if present else "absent"):
        assert _verdict(client, film_id, word).status_code == 201
        assert made().state == "made"
    against = "absent" if present else "present"
    with station.service.store.read() as session:
        me = session.scalar(select(Person.id).where(Person.name == "reviewer-1"))
    body = {"name": "study", "film_ids": [film_id], "readers": [me], "findings": ["covid-19"]}
    listed = station.client("administrator").post(f"{API}/lists", json=body).json()["list_id"]
    assert _verdict(client, film_id, against, list_id=listed).status_code == 201
    assert made().state == "made", "what is said in a reader study takes nothing back"
    assert _verdict(client, film_id, against).status_code == 201
    assert made().state == state
    if setting == "reject":
        was = {"making": "made", "deliveries": {"1": "sent"}}
        assert made().reject == {"reason": "quality", "peer": None, "was": was}


@pytest.mark.parametrize("noted", ["not made", "made", "sent"])
def test_undo_withdraws_the_rejection_that_the_verdict_had_made(
    make_station, small_bundle, make_film, noted
):
    """Unless an archive was told already, and as long as nobody else says so; others wait on."""
    node = Node(objects=Objects(contradicted="reject"))
    station = make_station(settings=Settings(node=node), bundle=small_bundle)
    store, log = station.service.store, station.service.log
    film_id = station.film(make_film(1))
    station.sent(film_id, "pacs", "second")
    against = "absent" if _present(station, film_id) else "present"
    undo = f"{API}/films/{film_id}/verdicts/undo"

    def states():
        with store.read() as session:
            rows = session.execute(
                select(Result.kind, Delivery.peer, Delivery.state).join(Delivery)
            )
            return {(kind, peer): state for kind, peer, state in rows}

    before = states()
    assert set(before.values()) == {"sent", "waiting"}
    mine, theirs = station.client("reviewer"), station.client("administrator")
    ids = [_verdict(client, film_id, against).json()["verdict_id"] for client in (mine, theirs)]
    assert set(states().values()) == {"sent", "retracted"}
    first = mine.post(undo, json={"verdict_ids": ids[:1]}).json()
    assert first["rejection"] is None, "another reader still contradicts"
    if noted != "not made":
        making = wanted.claim_making(store)
        (rejected,) = wanted.to_reject(store, making)
        note = wanted.Object("ko", "1.2", "1.2.3", "1.2", "1.2", "k" * 64, 1)
        wanted.put(store, log, making, [], [], notes=[(note, rejected)])
        assert set(states().values()) == {"waiting", "retracted"}
    if noted == "sent":
        (parcel,) = outbox.claim(store, "pacs", 10)
        outbox.close(store, parcel, state="sent", status=0)
    after = states()
    other = _verdict(mine, film_id, "unsure").json()["verdict_id"]
    assert mine.post(undo, json={"verdict_ids": [other]}).json()["rejection"] is None
    assert states() == after, "it had nothing taken back"
    last = theirs.post(undo, json={"verdict_ids": ids[1:]}).json()
    if noted == "sent":
        assert (last["rejection"], states()) == ("sent", after)
        return
    assert (last["rejection"], states()) == ("withdrawn", before)
    assert wanted.claim_making(store) is None
    assert log.verify().ok
    _verdict(mine, film_id, against)  # once more: the note is made anew
    assert set(states().values()) == {"sent", "retracted"}


@pytest.mark.parametrize("by", ["the switch", "a list"])
def test_undo_does_not_tell_a_blind_reader_that_the_verdict_contradicted_the_model(
    make_station, small_bundle, make_film, by
):
    """The rejection goes all the same; who is told of it would know the machine's answer."""
    node = Node(objects=Objects(contradicted="reject"))
    station = make_station(settings=Settings(node=node), bundle=small_bundle)
    film_id = station.film(make_film(1))
    station.sent(film_id, "pacs", "second")
    against = "absent" if _present(station, film_id) else "present"
    client, undo = station.client("reviewer"), f"{API}/films/{film_id}/verdicts/undo"
    early = _verdict(client, film_id, against).json()["verdict_id"]
    with station.service.store.read() as session:
        me = session.scalar(select(Person.id).where(Person.name == "reviewer-1"))

    def rejected():
        with station.service.store.read() as session:
            return "retracted" in set(session.scalars(select(Delivery.state)))

    def undone(verdict_id):
        assert rejected()
        answer = client.post(undo, json={"verdict_ids": [verdict_id]})
        assert answer.status_code == 200, answer.text
        assert not rejected()
        return answer.json()["rejection"]

    if by == "the switch":
        client.put(f"{API}/me/blind", json={"on": True})
        owed = [FINDING, "pneumonia"]
    else:
        body = {"name": "a", "film_ids": [film_id], "readers": [me], "findings": [FINDING]}
        body |= {"blind": True, "reveal": False}
        assert station.client("administrator").post(f"{API}/lists", json=body).status_code == 201
        owed = [FINDING]
    assert client.get(f"{API}/films/{film_id}").json()["blind_owed"] == owed
    assert undone(early) is None, "given before the film was blind"
    blind = _verdict(client, film_id, against, blind=True).json()
    assert undone(blind["verdict_id"]) is None


def _blind_list(station, film_ids, names=("anna",), **more):
    """A blind list of films, and a client of each of its readers."""
    clients = []
    with station.service.store.write() as session:
        people = [add_person(session, name, Role.REVIEWER) for name in names]
        tokens = [add_token(session, each, "tests")[1] for each in people]
        readers = [each.id for each in people]
    for token in tokens:
        clients.append(station.client())
        clients[-1].headers["Authorization"] = f"Bearer {token}"
    body = {"name": "spring", "film_ids": film_ids, "readers": readers, "findings": [FINDING]}
    admin = station.client("administrator")
    made = admin.post(f"{API}/lists", json=body | {"blind": True} | more)
    return made.json()["list_id"], clients


def test_of_several_blind_verdicts_the_last_counts_everywhere(station, make_film):
    """Who changes a mind before the answer is shown is still blind."""
    film_id = station.film(make_film(1), patient_id="P1")
    admin = station.client("administrator")
    admin.put(f"{API}/films/{film_id}/reference", json={"finding": FINDING, "value": 1})
    list_id, (anna,) = _blind_list(station, [film_id], confidence=True)
    for verdict, confidence in (("present", 90), ("absent", 20)):
        more = {"blind": True, "list_id": list_id, "confidence": confidence}
        assert _verdict(anna, film_id, verdict, **more).status_code == 201
    assert anna.get(f"{API}/films/{film_id}/reading").status_code == 200
    more = {"blind": True, "list_id": list_id, "confidence": 95}
    assert _verdict(anna, film_id, "present", **more).json()["code"] == "already-seen"
    (row,) = csv.DictReader(io.StringIO(admin.get(f"{API}/agreement.csv").text))
    (exported,) = csv.DictReader(io.StringIO(admin.post(f"{API}/export", json={}).text))
    table = admin.get(f"{API}/lists/{list_id}/mrmc.csv").text
    rated = {each["modality"]: each for each in csv.DictReader(io.StringIO(table))}
    assert row["blind_verdict"] == exported[f"{FINDING}_blind_verdict"] == "absent"
    assert row["blind_call"] == rated["unaided"]["call"] == rated["aided"]["call"] == "0"
    assert rated["unaided"]["rating"] == "20"
    found = admin.get(f"{API}/agreement").json()
    assert found["blind_human"]["sensitivity"]["value"] == 0


def test_who_never_saw_the_answer_says_nothing_after_it(station, make_film):
    """Anna looks at the answer and holds to her verdict; Boris never does."""
    film_id = station.film(make_film(1), patient_id="P1")
    admin = station.client("administrator")
    admin.put(f"{API}/films/{film_id}/reference", json={"finding": FINDING, "value": 1})
    list_id, clients = _blind_list(station, [film_id], ("anna", "boris"))
    for client, verdict in zip(clients, ("present", "absent"), strict=True):
        _verdict(client, film_id, verdict, blind=True, list_id=list_id)
    assert clients[0].get(f"{API}/films/{film_id}/reading").status_code == 200
    found = admin.get(f"{API}/agreement").json()
    assert (found["reviewers"], found["blind_human"]["sensitivity"]["n"]) == (2, 2)
    assert found["human"]["sensitivity"]["n"] == 1
    assert found["human"]["sensitivity"]["value"] == 1
    changed = found["changed_after_reading"]  # who holds to a verdict has not changed it
    assert (changed["value"], changed["n"]) == (0, 1)
    assert found["counts"]["unsure"] == 0
    rows = csv.DictReader(io.StringIO(admin.get(f"{API}/agreement.csv").text))
    assert {row["reviewer"]: (row["blind_call"], row["call"]) for row in rows} == {
        "anna": ("1", "1"),
        "boris": ("0", ""),
    }
    _verdict(clients[0], film_id, "absent", list_id=list_id)
    changed = admin.get(f"{API}/agreement").json()["changed_after_reading"]
    assert (changed["value"], changed["n"]) == (1, 1)


def test_the_time_of_a_verdict_that_was_taken_back_counts_in_the_next_one(
    station, make_film, monkeypatch
):
    """Whether the film stays open, or is come back to; and once, however many findings it took."""
    now = SimpleNamespace(at=0.0)
    clock = SimpleNamespace(monotonic=lambda: now.at)
    monkeypatch.setattr("hilum.apps.web.looks.time", clock)
    film_id, other = (station.film(make_film(number)) for number in (1, 2))
    client = station.client("reviewer")

    def opened(film, at):
        now.at = at
        assert client.post(f"{API}/films/{film}/opened").status_code == 204

    def given(at, *findings):
        now.at = at
        said = {"verdicts": [{"finding": each, "verdict": "absent"} for each in findings]}
        items = client.post(f"{API}/films/{film_id}/verdicts/all", json=said).json()["items"]
        assert len({each["seconds"] for each in items}) == 1
        return items[0]["seconds"], [each["verdict_id"] for each in items]

    def taken_back(at, ids):
        now.at = at
        answer = client.post(f"{API}/films/{film_id}/verdicts/undo", json={"verdict_ids": ids})
        assert answer.status_code == 200

    opened(film_id, 0.0)
    seconds, ids = given(9.0, FINDING)
    assert seconds == 9.0
    taken_back(11.0, ids)
    seconds, ids = given(12.0, FINDING, "mass")
    assert seconds == 12.0
    opened(other, 20.0)
    taken_back(21.0, ids)
    opened(film_id, 22.0)
    seconds, ids = given(24.5, FINDING, "mass")
    assert seconds == 14.5
    assert given(25.5, FINDING)[0] == 1.0

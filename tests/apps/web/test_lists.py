"""Reading lists: set up, read through blind from the first second, and told to nobody before."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from sqlalchemy import select

from hilum.apps.store import events, lists, queue
from hilum.apps.store.lists import order_of
from hilum.apps.store.people import Role, add_person, add_token
from hilum.apps.store.tables import Film, Person, ReadingList, Study
from hilum.apps.web import stream
from hilum.apps.web.access import identify

API = "/api/v1"
FINDING = "covid-19"


@pytest.fixture
def films(station, make_film):
    """Four films that were read, and one that is still to be."""
    ids = [station.film(make_film(number)) for number in range(4)]
    return [*ids, station.send(make_film(9)).json()["accepted"][0]["film_id"]]


@pytest.fixture
def people(station):
    """Two residents: name -> (id, client)."""
    found = {}
    with station.service.store.write() as session:
        for name in ("anna", "boris"):
            person = add_person(session, name, Role.REVIEWER)
            token = add_token(session, person, "tests")[1]
            found[name] = person.id, TestClient(
                station.app, base_url="http://127.0.0.1:8337", client=("127.0.0.1", 50_000),
                headers={"Authorization": f"Bearer {token}"},
            )  # fmt: skip
    return found


@pytest.fixture
def make_list(station, films, people):
    def make(status=201, **more):
        readers = [each[0] for each in people.values()]
        body = {"name": "spring", "film_ids": films, "readers": readers, "findings": [FINDING]}
        answer = station.client("administrator").post(f"{API}/lists", json=body | more)
        assert answer.status_code == status, answer.text
        return answer.json()

    return make


def _give(client, film_id, verdict="present", *, status=201, **more):
    body = {"finding": FINDING, "verdict": verdict} | more
    answer = client.post(f"{API}/films/{film_id}/verdicts", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def _rows(client, named):
    path = f"{API}/{named}"
    answer = client.post(path, json={}) if named == "export" else client.get(path)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def _code(answer):
    return answer.status_code, answer.json()["code"]


def test_a_blind_list_is_read_through(station, make_list, films, people):
    """Hidden from the first second, film by film; revealed by the verdict; place and order stay."""
    anna = people["anna"][1]
    assert anna.get(f"{API}/lists").json() == {"items": []}
    made = make_list(blind=True, confidence=True, seed=7)
    (item,) = anna.get(f"{API}/lists").json()["items"]
    assert (item["place"], item["films"], item["reads"], item["open"]) == (0, 5, True, True)
    path = f"{API}/lists/{made['list_id']}"
    mine, theirs = (each[1].get(path).json() for each in people.values())
    order = [each["film_id"] for each in mine["order"]]
    other = [each["film_id"] for each in theirs["order"]]
    assert sorted(order) == sorted(other) == sorted(films)
    assert mine["readers"] == []
    first = next(each for each in order if each != films[4])
    assert _code(anna.get(f"{API}/films/{first}/reading")) == (409, "blind-read-pending")
    film = anna.get(f"{API}/films/{first}").json()
    assert (film["blind_pending"], film["blind_owed"]) == (True, [FINDING])
    for answer in (anna.get(f"{API}/studies"), anna.post(f"{API}/studies/search", json={})):
        for study in answer.json()["items"]:
            assert (study["findings"], study["priority"]) == ([], None)
    for what in ("studies?label=covid-19", "agreement", "agreement.csv", "monitoring"):
        assert _code(anna.get(f"{API}/{what}")) == (409, "blind-read-pending"), what
    assert _code(anna.post(f"{API}/films/{first}/verdicts", json={
        "finding": FINDING, "verdict": "present", "list_id": made["list_id"], "confidence": 70,
    })) == (409, "blind-read-pending")  # fmt: skip
    anna.post(f"{API}/films/{first}/opened")
    told = {"list_id": made["list_id"], "confidence": 80, "blind": True}
    given = _give(anna, first, **told)
    assert (given["blind"], given["confidence"], given["list_id"]) == (
        True, 80, made["list_id"],
    )  # fmt: skip
    assert given["seconds"] >= 0
    assert anna.get(f"{API}/films/{first}/reading").status_code == 200
    again = anna.get(path).json()
    assert [each["film_id"] for each in again["order"]] == order
    assert (again["done"], again["seen"]) == (1, 0)
    assert again["place"] == next(i for i, each in enumerate(order) if each != first)
    after = _give(anna, first, "absent", list_id=made["list_id"], confidence=20, seconds=3.5)
    assert (after["blind"], after["seconds"]) == (False, 3.5)
    readers = station.client("administrator").get(path).json()["readers"]
    assert [(each["name"], each["done"]) for each in readers] == [("anna", 1), ("boris", 0)]
    boris = people["boris"][1]
    assert _code(boris.get(f"{API}/films/{first}/reading")) == (409, "blind-read-pending")


def test_each_reader_has_an_order_that_stays():
    """Of one seed and reader; a film that goes moves none of the others."""
    films, one = [f"{number:016x}" for number in range(60)], ReadingList(seed=7)
    anna, boris = (order_of(one, films, each) for each in ("anna", "boris"))
    assert sorted(anna) == sorted(boris) == films
    assert len({tuple(each) for each in (anna, boris, films)}) == 3
    assert order_of(one, films[1:], "anna") == [each for each in anna if each != films[0]]
    assert order_of(ReadingList(seed=None), films, "anna") == films
    assert order_of(ReadingList(seed=8), films, "anna") != anna


def _places(client, path):
    """Where each film stands, asked for one by one, and what the whole list says of it."""
    whole = client.get(path).json()
    order = [each["film_id"] for each in whole["order"]]
    left = [each["film_id"] for each in whole["order"] if not each["done"]]
    told = [client.get(f"{path}/films/{each}").json() for each in order]
    for place, (film_id, one) in enumerate(zip(order, told, strict=True)):
        assert one == {
            "film_id": film_id,
            "place": place + 1,
            "total": len(order),
            "judged": whole["done"],
            "before": order[place - 1] if place else None,
            "after": [*order, None][place + 1],
            "unjudged": [*left, None][0],
            "list_id": whole["list_id"],
            "name": whole["name"],
            "open": whole["open"],
        }
    return order


def test_a_film_says_where_it_stands_in_a_list(store_url, make_station, make_film):
    """As the whole list has it, for a reader at any moment, and for who does not read it."""
    station = make_station(url=store_url)
    films = [station.film(make_film(number)) for number in range(4)]
    admin, client = station.client("administrator"), station.client("reviewer")
    people = {each["name"]: each["user_id"] for each in admin.get(f"{API}/users").json()["items"]}
    body = {
        "name": "spring", "film_ids": films, "readers": [people["reviewer-1"]], "seed": 3,
        "findings": [FINDING, "pneumonia"], "blind": True,
    }  # fmt: skip
    made = admin.post(f"{API}/lists", json=body).json()["list_id"]
    path = f"{API}/lists/{made}"
    order = _places(client, path)
    assert _places(admin, path) == films
    for film_id in (order[0], order[2]):  # the second finding of the latter is owed still
        _give(client, film_id, list_id=made, blind=True)
    _give(client, order[0], list_id=made, blind=True, finding="pneumonia")
    _give(client, order[0], "absent", list_id=made)
    _places(client, path)
    here = client.get(f"{path}/films/{order[3]}").json()
    assert (here["place"], here["judged"], here["unjudged"]) == (4, 1, order[1])
    for film_id in order[1:]:
        for finding in body["findings"]:
            _give(client, film_id, list_id=made, blind=True, finding=finding)
    _places(client, path)
    elsewhere = client.get(f"{path}/films/{'0' * 16}").json()
    assert (elsewhere["place"], elsewhere["before"], elsewhere["after"]) == (None, None, None)
    assert station.client("reader").get(f"{path}/films/{films[0]}").status_code == 404


def test_what_was_seen_before_is_counted_apart(station, make_list, films, people):
    anna = people["anna"][1]
    assert anna.get(f"{API}/films/{films[0]}/reading").status_code == 200
    made = make_list(blind=True)
    path = f"{API}/lists/{made['list_id']}"
    found = anna.get(path).json()
    assert found["seen"] == 1
    assert [each["seen"] for each in found["order"]] == [True] + [False] * 4
    assert _give(anna, films[0], list_id=made["list_id"])["blind"] is False
    answer = _give(anna, films[0], list_id=made["list_id"], blind=True, status=409)
    assert answer["code"] == "already-seen"
    assert anna.get(path).json()["seen"] == 1


def test_what_is_seen_after_the_end_was_not_seen_before(station, make_list, films, people):
    anna = people["anna"][1]
    made = make_list(blind=True)
    path = f"{API}/lists/{made['list_id']}"
    station.client("administrator").patch(path, json={"closed": True})
    assert anna.get(f"{API}/films/{films[0]}/reading").status_code == 200
    found = anna.get(path).json()
    assert (found["seen"], found["order"][0]["seen"]) == (0, False)


def test_a_film_without_an_answer_is_judged_unseen(make_list, films, people):
    """Nothing could be seen of a film that waits or was refused."""
    made = make_list(blind=True)
    assert _give(people["anna"][1], films[4], list_id=made["list_id"])["blind"] is True


def test_answers_stay_hidden_until_the_list_ends(station, make_list, films, people):
    anna, admin = people["anna"][1], station.client("administrator")
    made = make_list(blind=True, reveal=False, film_ids=films[:1])
    _give(anna, films[0], list_id=made["list_id"], blind=True)
    film = anna.get(f"{API}/films/{films[0]}").json()
    assert (film["blind_pending"], film["blind_owed"]) == (True, [])
    assert anna.get(f"{API}/films/{films[0]}/reading").status_code == 409
    corrected = _give(anna, films[0], "absent", list_id=made["list_id"], blind=True)
    assert corrected["blind"] is True
    path = f"{API}/lists/{made['list_id']}"
    assert admin.patch(path, json={"closed": True}).json()["open"] is False
    assert anna.get(f"{API}/films/{films[0]}/reading").status_code == 200
    assert _give(anna, films[0], list_id=made["list_id"], status=409)["code"] == "list-closed"
    assert admin.patch(path, json={"closed": False}).json()["open"] is True
    late = admin.patch(path, json={"deadline": "2020-01-01T00:00:00Z"}).json()
    assert (late["open"], late["deadline"]) == (False, "2020-01-01T00:00:00.000Z")


def test_readers_do_not_hear_of_each_other(station, make_list, films, people):
    """What others say in an open list, and the truth that is known, would lean a reader."""
    anna, boris = (each[1] for each in people.values())
    made = make_list(blind=False)
    _give(anna, films[0], list_id=made["list_id"])
    station.client("administrator").put(
        f"{API}/films/{films[0]}/reference", json={"finding": FINDING, "value": 1}
    )
    study = boris.get(f"{API}/films/{films[0]}").json()["study_id"]
    path = f"{API}/films/{films[0]}"
    assert boris.get(f"{path}/verdicts").json()["items"] == []
    assert boris.get(f"{API}/studies/{study}").json()["verdicts"] == []
    assert boris.get(f"{path}/reference").json()["items"] == []
    report = {"findings": "", "impression": "Told by anna"}
    assert anna.post(f"{path}/reports", json=report).status_code == 201
    assert boris.get(f"{path}/reports").json()["items"] == []
    assert boris.get(f"{API}/studies/{study}").json()["reports"] == []
    assert len(anna.get(f"{path}/reports").json()["items"]) == 1
    for named in ("export", "agreement.csv"):
        rows = _rows(boris, named)
        assert {row.get("reviewer", row.get("reader")) for row in rows} <= {"", "boris"}, named
        told = [row.get("reference", row.get(f"{FINDING}_reference")) for row in rows]
        assert set(told) <= {"", None}, named
    assert boris.get(f"{API}/agreement").json()["reviewers"] == 0
    assert boris.get(f"{API}/monitoring").json()["agreement"] == []
    assert len(anna.get(f"{path}/verdicts").json()["items"]) == 1
    closed = {"closed": True}
    station.client("administrator").patch(f"{API}/lists/{made['list_id']}", json=closed)
    assert len(boris.get(f"{path}/verdicts").json()["items"]) == 1
    assert len(boris.get(f"{path}/reference").json()["items"]) == 1
    assert [row["reference"] for row in _rows(boris, "agreement.csv")] == ["1"]
    assert [each["films"] for each in boris.get(f"{API}/monitoring").json()["agreement"]] == [1]
    assert _rows(boris, "export")[0][f"{FINDING}_reference"] == "1"


def test_an_administrator_who_reads_a_list_does_not_hear_of_the_others(
    station, make_list, films, people
):
    """Neither by the log, nor by the figures of this list or of another one of its films."""
    (boris_id, boris), admin = people["boris"], station.client("administrator")
    with station.service.store.read() as session:
        me = session.scalar(select(Person.id).where(Person.name == "administrator-1"))
    mine = make_list(film_ids=films[:2], readers=[me, boris_id])["list_id"]
    others = make_list(film_ids=films[1:3], readers=[boris_id])["list_id"]
    _give(admin, films[0], list_id=mine)
    _give(boris, films[0], list_id=mine)
    undone = _give(boris, films[0])["verdict_id"]
    path = f"{API}/films/{films[0]}"
    assert boris.post(f"{path}/verdicts/undo", json={"verdict_ids": [undone]}).status_code == 200
    boris.put(f"{path}/reference", json={"finding": FINDING, "value": 1})
    _give(boris, films[2], list_id=others)

    def heard():
        lines = admin.get(f"{API}/log").json()["items"]
        said = ("verdict", "verdict-undone", "reference")
        return [
            (each["who"], films.index(each["film_id"])) for each in lines if each["action"] in said
        ]

    figures = [
        f"{API}/lists/{each}/{what}" for each in (mine, others) for what in ("analysis", "mrmc.csv")
    ]
    assert heard() == [("boris", 2), ("administrator-1", 0)]
    assert len(admin.get(f"{API}/log?limit=2").json()["items"]) == 2
    for each in figures:
        assert _code(admin.get(each)) == (409, "conflict"), each
    admin.patch(f"{API}/lists/{mine}", json={"closed": True})
    assert heard() == [("boris", 2), *[("boris", 0)] * 4, ("administrator-1", 0)]
    assert {admin.get(each).status_code for each in figures} == {200}


def test_a_verdict_fits_its_list(station, make_list, films, people):
    anna = people["anna"][1]
    made = make_list(confidence=True, film_ids=films[:2])
    told = {"list_id": made["list_id"], "status": 422}
    assert "how sure" in _give(anna, films[0], **told)["detail"]
    assert "not in the" in _give(anna, films[2], confidence=5, **told)["detail"]
    assert "does not ask" in _give(anna, films[0], finding="mass", confidence=5, **told)["detail"]
    _give(anna, films[0], confidence=101, **told)
    for word, sure in (("present", 49), ("absent", 51)):
        detail = _give(anna, films[0], word, confidence=sure, **told)["detail"]
        assert f"{sure} contradicts the verdict '{word}'" in detail
    for word in ("present", "unsure", "absent"):
        _give(anna, films[0], word, confidence=50, list_id=made["list_id"])
    stranger = station.client("reviewer")
    assert _give(stranger, films[0], list_id=made["list_id"], status=404)["code"] == "not-found"
    assert stranger.get(f"{API}/lists/{made['list_id']}").status_code == 404
    assert stranger.get(f"{API}/lists").json()["items"] == []


def test_a_verdict_of_a_list_that_ended_stays(station, make_list, films, people):
    """It could not be given again."""
    anna, admin = people["anna"][1], station.client("administrator")
    made = make_list(film_ids=films[:1])
    given = _give(anna, films[0], list_id=made["list_id"])
    path, undo = f"{API}/lists/{made['list_id']}", f"{API}/films/{films[0]}/verdicts/undo"
    admin.patch(path, json={"closed": True})
    ids = {"verdict_ids": [given["verdict_id"]]}
    assert _code(anna.post(undo, json=ids)) == (409, "list-closed")
    admin.patch(path, json={"closed": False})
    assert anna.post(undo, json=ids).status_code == 200


def test_a_reader_who_gave_verdicts_and_is_one_no_more_hinders_nothing(
    station, make_list, films, people
):
    admin = station.client("administrator")
    made = make_list()
    path = f"{API}/lists/{made['list_id']}"
    (anna, client), (boris, _) = people.values()
    _give(client, films[0], list_id=made["list_id"])
    assert admin.patch(f"{API}/users/{anna}", json={"role": "reader"}).status_code == 200
    kept = admin.patch(path, json={"readers": [anna]})
    assert kept.status_code == 200, kept.text
    assert [each["name"] for each in kept.json()["readers"]] == ["anna"]
    assert admin.patch(f"{API}/users/{boris}", json={"role": "reader"}).status_code == 200
    assert admin.patch(path, json={"readers": [boris]}).status_code == 422


def test_lists_are_set_up_by_administrators(station, make_list, films, people):
    admin = station.client("administrator")
    made = make_list(film_ids=[], studies={"status": ["read"]}, readers=[])
    assert [each["film_id"] for each in made["order"]] == films[:4]
    assert (made["reads"], made["done"]) == (False, 0)
    path = f"{API}/lists/{made['list_id']}"
    with_anna = admin.patch(path, json={"readers": [people["anna"][0]], "name": "summer"}).json()
    assert [each["name"] for each in with_anna["readers"]] == ["anna"]
    _give(people["anna"][1], films[0], list_id=made["list_id"])
    kept = admin.patch(path, json={"readers": []}).json()
    assert [each["name"] for each in kept["readers"]] == ["anna"], "she has given a verdict"
    assert _code(admin.delete(path)) == (409, "conflict")
    empty = make_list()
    assert admin.delete(f"{API}/lists/{empty['list_id']}").status_code == 204
    assert [each["name"] for each in admin.get(f"{API}/lists").json()["items"]] == ["summer"]
    reader = next(u for u in admin.get(f"{API}/users").json()["items"] if u["role"] == "reader")
    make_list(422, readers=[reader["user_id"]])
    make_list(422, film_ids=["0" * 16])
    make_list(422, film_ids=[], studies={"q": "nothing of that name"})
    make_list(422, studies={})
    assert people["anna"][1].post(f"{API}/lists", json={}).status_code == 403


def test_a_deleted_film_leaves_its_list(station, make_list, films, people):
    made = make_list(seed=3)
    anna, admin = people["anna"][1], station.client("administrator")
    before = [e["film_id"] for e in anna.get(f"{API}/lists/{made['list_id']}").json()["order"]]
    study = admin.get(f"{API}/films/{before[1]}").json()["study_id"]
    assert admin.delete(f"{API}/studies/{study}").status_code == 204
    after = [e["film_id"] for e in anna.get(f"{API}/lists/{made['list_id']}").json()["order"]]
    assert after == [each for each in before if each != before[1]]


def test_a_listed_film_says_for_which_list_it_is_asked(station, make_list, films, people):
    """Opened from the worklist, too: the verdict that carries the list's id ends the question."""
    anna, path = people["anna"][1], f"{API}/films/{films[0]}"
    both, one = [FINDING, "pneumonia"], {"film_ids": films[:1]}
    first = make_list(name="first", blind=True, confidence=True, findings=both, **one)["list_id"]
    second = make_list(name="second", blind=True, findings=["pneumonia"], **one)["list_id"]
    ended = make_list(name="ended", blind=True, **one)["list_id"]
    late = {"deadline": "2020-01-01T00:00:00Z"}
    station.client("administrator").patch(f"{API}/lists/{ended}", json=late)
    make_list(name="of boris", blind=True, readers=[people["boris"][0]], **one)

    def asked():
        film = anna.get(path).json()
        owed = {each["list_id"]: each["owed"] for each in film["lists"]}
        return owed, set(film["blind_owed"]), film["blind_pending"]

    assert asked() == ({first: both, second: ["pneumonia"]}, set(both), True)
    lists = {each["list_id"]: each for each in anna.get(path).json()["lists"]}
    assert [lists[first][key] for key in ("name", "findings", "confidence", "blind", "reveal")] == [
        "first", both, True, True, True,
    ]  # fmt: skip
    assert lists[second]["confidence"] is False
    _give(anna, films[0], blind=True)  # for no list: each of them still asks
    assert asked()[0] == {first: both, second: ["pneumonia"]}
    _give(anna, films[0], blind=True, list_id=first, confidence=90)
    pneumonia = {"finding": "pneumonia", "verdict": "absent", "blind": True}
    _give(anna, films[0], **pneumonia, list_id=first, confidence=10)
    assert asked() == ({first: [], second: ["pneumonia"]}, {"pneumonia"}, True)
    _give(anna, films[0], **pneumonia, list_id=second)
    assert asked() == ({first: [], second: []}, set(), False)
    assert people["boris"][1].get(path).json()["lists"] != []
    assert station.client("reviewer").get(path).json()["lists"] == []


@pytest.mark.parametrize("by", ["a list", "a list that is not blind", "the switch"])
def test_no_file_is_named_to_who_must_not_know(station, make_list, people, make_film, by):
    """COVID-123.png is the label: neither shown nor found by a search, until it is told anyway."""
    name = "COVID-123.png"
    film = make_film(11)
    film = film.rename(film.with_name(name))
    film_id, other = station.film(film, patient_id="Жук-7"), station.film(make_film(12))
    (_, anna), admin = people["anna"], station.client("administrator")
    study = anna.get(f"{API}/films/{film_id}").json()["study_id"]

    def named(client):
        whole = client.get(f"{API}/studies/{study}").json()
        found = client.get(f"{API}/studies").json()["items"]
        by_name = client.post(f"{API}/studies/search", json={"q": "covid-1"}).json()["items"]
        client.put(f"{API}/round", json={"q": "covid-1"})
        round_ = client.get(f"{API}/round").json()["total"]
        assert client.get(f"{API}/studies?q=жУК").json()["total"] == 1, "by the patient"
        shown = [
            client.get(f"{API}/films/{film_id}").json()["name"],
            whole["name"], whole["films"][0]["name"],
            next(each["name"] for each in found if each["film_id"] == film_id),
        ]  # fmt: skip
        table = client.post(f"{API}/export", json={"studies": {"q": "covid-1"}})
        if table.status_code != 409:  # who reads blind takes nothing out
            shown.append(name if film_id in table.text else None)
        return {*shown, name if by_name else None, name if round_ else None}

    assert named(station.client("reader")) == {name}
    if by == "the switch":
        anna.put(f"{API}/me/blind", json={"on": True})
        body = {"verdicts": [
            {"finding": each, "verdict": "absent", "blind": True}
            for each in (FINDING, "pneumonia")
        ]}  # fmt: skip
        assert named(anna) == {None}
        assert anna.post(f"{API}/films/{film_id}/verdicts/all", json=body).status_code == 201
        assert anna.get(f"{API}/films/{film_id}/reading").status_code == 200
    else:
        made = make_list(film_ids=[film_id], blind=by == "a list")
        assert named(anna) == {None}
        assert anna.get(f"{API}/films/{other}").json()["name"] == "film12.png"
        admin.patch(f"{API}/lists/{made['list_id']}", json={"closed": True})
    assert named(anna) == {name}


def test_an_administrator_who_reads_a_list_hears_the_names_of_its_studies_by_no_way(
    station, people, make_film
):
    """Those of the other films of a listed study, too: COVID-2.png beside it tells as much."""
    ids = []
    for number in (1, 2):
        film = make_film(20 + number)
        ids.append(station.film(film.rename(film.with_name(f"COVID-{number}.png"))))
    listed, beside = ids
    with station.service.store.write() as session:  # both of one study
        film = session.get_one(Film, beside)
        emptied, film.study_id = film.study_id, session.get_one(Film, listed).study_id
        session.get_one(Study, film.study_id).films = 2
        queue.begin_anew(session, film)
        session.delete(session.get_one(Study, emptied))
    station.read()
    admin = station.client("administrator")
    with station.service.store.read() as session:
        me = session.scalar(select(Person.id).where(Person.name == "administrator-1"))

    def told():
        study = admin.get(f"{API}/films/{listed}").json()["study_id"]
        table = admin.post(f"{API}/export", json={"patients": True})
        rows = list(csv.DictReader(io.StringIO(table.text)))
        by_name = {"name": "found", "findings": [FINDING], "readers": [me]}
        made = admin.post(f"{API}/lists", json=by_name | {"studies": {"q": "covid-2"}})
        if made.status_code == 201:
            assert admin.delete(f"{API}/lists/{made.json()['list_id']}").status_code == 204
        return {
            "films": {admin.get(f"{API}/films/{each}").json()["name"] for each in ids},
            "study": {each["name"] for each in admin.get(f"{API}/studies/{study}").json()["films"]},
            "table": {row["address"] or None for row in rows if row["film_id"] in ids},
            "list": {"COVID-2.png"} if made.status_code == 201 else {None},
        }

    names = {"COVID-1.png", "COVID-2.png"}
    before = {"films": names, "study": names, "table": names, "list": {"COVID-2.png"}}
    assert told() == before
    body = {"name": "a", "film_ids": [listed], "readers": [me], "findings": [FINDING]}
    path = f"{API}/lists/{admin.post(f'{API}/lists', json=body).json()['list_id']}"
    assert told() == {each: {None} for each in before}
    admin.patch(path, json={"closed": True})
    assert told() == before


def test_a_report_of_others_is_not_got_by_its_id(station, make_list, films, people):
    """While the list is open, whether its film is still blind or not; one's own is there."""
    (_, anna), (_, boris) = people.values()
    reports = [
        client.post(f"{API}/films/{films[0]}/reports", json={"findings": "x"}).json()["report_id"]
        for client in (anna, boris)
    ]
    made = make_list(blind=False)

    def got(client, report_id):
        answers = [client.get(f"{API}/reports/{report_id}.{form}") for form in ("pdf", "html")]
        return {each.status_code for each in answers}

    assert [got(anna, each) for each in reports] == [{200}, {404}]
    assert got(station.client("reviewer"), reports[1]) == {200}
    station.client("administrator").patch(f"{API}/lists/{made['list_id']}", json={"closed": True})
    assert got(anna, reports[1]) == {200}


def test_what_others_said_beside_the_list_is_not_heard_in_it(station, make_list, films, people):
    """A verdict on a listed film leans a reader, whether it was given in the list or not."""
    (_, anna), (_, boris) = people.values()
    _give(anna, films[0])
    make_list(blind=False)
    assert boris.get(f"{API}/films/{films[0]}/verdicts").json()["items"] == []
    assert {row["reader"] for row in _rows(boris, "export")} == {""}
    assert len(anna.get(f"{API}/films/{films[0]}/verdicts").json()["items"]) == 1


def test_a_study_of_an_open_list_counts_ones_own_verdicts_alone(station, make_list, films, people):
    """How many others have judged it is told when the list ends; other studies count everybody."""
    made = make_list(blind=True, film_ids=films[:2])
    (anna, boris), admin = (each[1] for each in people.values()), station.client("administrator")
    for film_id in films[:3]:
        _give(boris, film_id, blind=film_id in films[:2])
    admin.post(f"{API}/films/{films[0]}/reports", json={"impression": "none"})
    _give(anna, films[1], list_id=made["list_id"], blind=True)
    _give(anna, films[1], list_id=made["list_id"])

    def counted(client):
        items = client.get(f"{API}/studies").json()["items"]
        found = {each["film_id"]: each for each in items}
        for reviewed in (True, False):  # the filter goes by what is said of each, and so its total
            body = {"reviewed": reviewed}
            let = client.get(f"{API}/studies", params=body).json()
            those = {each["film_id"] for each in items if each["reviewed"] is reviewed}
            assert {each["film_id"] for each in let["items"]} == those
            assert let["total"] == sum(let["counts"].values()) == len(those)
            assert client.put(f"{API}/round", json=body).json()["total"] == len(those)
        keys = ("verdicts", "reviewed", "reports")
        told = [tuple(found[film][key] for key in keys) for film in films[:3]]
        for film, (verdicts, reviewed, reports) in zip(films, told, strict=False):
            study = client.get(f"{API}/studies/{found[film]['study_id']}").json()
            assert (study["reviewed"], len(study["reports"])) == (reviewed, reports)
            assert len(study["verdicts"]) == verdicts or client is not anna
        return told

    assert counted(anna) == [(0, False, 0), (2, True, 0), (1, True, 0)]
    assert counted(admin) == [(1, True, 1), (3, True, 0), (1, True, 0)]
    admin.patch(f"{API}/lists/{made['list_id']}", json={"closed": True})
    assert counted(anna) == counted(admin)


def test_the_stream_tells_who_reads_a_list_of_ones_own_verdicts_and_reports_alone(
    station, make_list, films, people
):
    """Of other studies, and after the list's end, it tells of everybody's, and never by whom."""
    made = make_list(blind=True, film_ids=films[:1])
    anna, boris = (each[1] for each in people.values())
    last = events.newest(station.service.store)
    _give(boris, films[0], list_id=made["list_id"], blind=True)
    _give(boris, films[0])
    boris.post(f"{API}/films/{films[0]}/reports", json={"impression": "none"})
    _give(boris, films[1])
    _give(anna, films[0], list_id=made["list_id"], blind=True)
    anna.post(f"{API}/films/{films[0]}/reports", json={"impression": "none"})
    end = events.newest(station.service.store)
    ids = {anna.get(f"{API}/films/{each}").json()["study_id"]: each for each in films}

    async def heard(client):
        asked = Request({"type": "http", "headers": [(
            b"authorization", client.headers["authorization"].encode()
        )]})  # fmt: skip
        found = []
        who = partial(identify, asked, station.service, uses=False)
        async for each in stream._after(station.service, last, who):
            found.append((each["event"], json.loads(each["data"])))
            if int(each["id"]) == end:
                break
        assert all(data.keys() <= {"film_id", "study_id", "at"} for _, data in found)
        return [(kind, ids[data["study_id"]]) for kind, data in found]

    def told(client):
        with ThreadPoolExecutor(1) as pool:  # Playwright keeps a loop running in this thread
            return pool.submit(lambda: asyncio.run(heard(client))).result()

    listed = [("verdict", films[0]), ("verdict", films[0]), ("report", films[0])]
    both = [("verdict", films[1]), ("verdict", films[0]), ("report", films[0])]
    assert told(anna) == both
    assert told(station.client("administrator")) == listed + both
    station.client("administrator").patch(f"{API}/lists/{made['list_id']}", json={"closed": True})
    assert told(anna) == listed + both


def test_both_ways_to_ask_what_a_list_keeps_say_the_same(station, make_list, films, people):
    """``hidden_of`` counts in Python, ``hidden_for`` in SQL: of lists of each kind, partly done."""
    person_id, anna = people["anna"]
    asked = [FINDING, "pneumonia"]
    kinds = {"ended": {}, "open": {"blind": False}, "shown": {}, "late": {"reveal": False}}
    made = {
        name: make_list(name=name, film_ids=films[at:], findings=asked, **({"blind": True} | kind))[
            "list_id"
        ]
        for at, (name, kind) in enumerate(kinds.items())
    }
    end = lambda name: station.client("administrator").patch(  # noqa: E731
        f"{API}/lists/{made[name]}", json={"closed": True}
    )
    end("ended")

    def kept():
        with station.service.store.read() as session:
            found = set(lists.hidden_of(lists.asked_of(session, person_id)))
            assert set(session.scalars(lists.hidden_for(session, person_id))) == found
        return found

    def give(name, film_id, finding):
        _give(anna, film_id, list_id=made[name], finding=finding, blind=True)

    assert kept() == set(films[2:])
    give("shown", films[2], asked[0])
    assert kept() == set(films[2:])
    give("shown", films[2], asked[1])
    assert kept() == set(films[3:])
    for name in ("shown", "late"):
        for finding in asked:
            give(name, films[3], finding)
    assert kept() == set(films[3:])
    end("late")
    assert kept() == set(films[4:])
    end("shown")
    assert kept() == set()


def test_a_list_whose_deadline_is_over_is_opened_again(station, make_list, films, people):
    """Without that deadline, or with the one that comes along; one to come stays."""
    admin, later = station.client("administrator"), "2100-01-01T00:00:00.000Z"
    path = f"{API}/lists/{make_list()['list_id']}"
    over = {"deadline": "2020-01-01T00:00:00Z"}

    def change(**body):
        found = admin.patch(path, json=body).json()
        return found["open"], found["deadline"]

    assert change(**over) == (False, "2020-01-01T00:00:00.000Z")
    assert change(closed=False) == (True, None)
    _give(people["anna"][1], films[0], list_id=path.rpartition("/")[2])
    assert change(**over)[0] is False
    assert change(closed=True)[0] is False
    assert change(closed=False, deadline=later) == (True, later)
    assert change(closed=True) == (False, later)
    assert change(closed=False) == (True, later)


def test_no_list_is_set_up_that_nobody_could_read(make_list):
    answer = make_list(422, deadline="2020-01-01T00:00:00Z")
    assert answer["detail"].startswith("deadline: ")


def test_a_list_has_begun_though_its_films_are_gone(station, make_list, films, people):
    """What is left of erased patients' verdicts are its figures: it is closed, not deleted."""
    admin = station.client("administrator")
    path = f"{API}/lists/{make_list(film_ids=films[:1])['list_id']}"
    assert admin.get(path).json()["begun"] is False
    _give(people["anna"][1], films[0], list_id=path.rpartition("/")[2])
    assert admin.get(path).json()["begun"] is True
    with station.service.store.write() as session:
        study = session.get_one(Study, session.get_one(Film, films[0]).study_id)
        study.patient_id = "P-erased"
    erase = {"patient_id": "P-erased"}
    shown = admin.post(f"{API}/deletions/preview", json=erase).json()
    admin.post(f"{API}/deletions", json=erase | {"confirm": shown["confirm"]})
    found = admin.get(path).json()
    assert (found["films"], found["begun"]) == (0, True)
    assert [each["done"] for each in found["readers"]] == [0, 0]
    assert admin.get(f"{path}/analysis").json()["erased"] == 1
    assert admin.delete(path).status_code == 409

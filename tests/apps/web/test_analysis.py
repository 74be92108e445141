"""The analysis of a reading list: from verdicts over the API to figures, beside scikit-learn."""

from __future__ import annotations

import copy
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sklearn.metrics import cohen_kappa_score, recall_score, roc_auc_score
from sqlalchemy import inspect

from hilum.apps.store.people import Role, add_person, add_token
from hilum.apps.store.tables import Film, Read, ReadingList, Study, new_id
from hilum.apps.web.analysis import MRMC, Arm, ReaderStudy, gather, measure
from hilum.core.labels import Label
from hilum.judge.reader_study import fleiss

API = "/api/v1"
FINDING = "covid-19"
FILMS = 8
NAMES = ("anna", "boris", "clara")


@pytest.fixture
def study(station, make_film):
    """Three readers read eight films blind, the answer is shown, two of them judge again."""
    ids = [station.film(make_film(number), patient_id=f"P{number}") for number in range(FILMS)]
    clients = []
    with station.service.store.write() as session:
        for name in NAMES:
            person = add_person(session, name, Role.REVIEWER)
            token = add_token(session, person, "tests")[1]
            clients.append((person.id, TestClient(
                station.app, base_url="http://127.0.0.1:8337", client=("127.0.0.1", 50_000),
                headers={"Authorization": f"Bearer {token}"},
            )))  # fmt: skip
    admin = station.client("administrator")
    body = {
        "name": "spring", "film_ids": ids, "readers": [each[0] for each in clients],
        "findings": [FINDING], "blind": True, "confidence": True, "seed": 5,
    }  # fmt: skip
    list_id = admin.post(f"{API}/lists", json=body).json()["list_id"]
    draw = np.random.default_rng(4)
    truth = dict(zip(ids, [1, 0] * (FILMS // 2), strict=True))
    for film_id in ids[:-1]:  # of the last one the truth is not known
        known = {"finding": FINDING, "value": truth[film_id], "standard": "RT-PCR"}
        admin.put(f"{API}/films/{film_id}/reference", json=known)
    said = {}
    for row, (_, client) in enumerate(clients):
        for film_id in ids:
            path = f"{API}/films/{film_id}"
            for blind in (True, False)[: 1 + (row < 2)]:
                pull = 0 if blind else 15
                rating = 50 + (8 + pull) * (2 * truth[film_id] - 1) + draw.normal(0, 18)
                rating = int(np.clip(round(rating), 0, 100))
                word = "present" if rating > 55 else "absent" if rating < 45 else "unsure"
                given = {
                    "finding": FINDING, "verdict": word, "confidence": rating, "blind": blind,
                    "list_id": list_id, "seconds": 10.0 + row,
                }  # fmt: skip
                answer = client.post(f"{API}/films/{film_id}/verdicts", json=given)
                assert answer.status_code == 201, answer.text
                said[NAMES[row], film_id, "unaided" if blind else "aided"] = rating, word
                assert client.get(f"{path}/reading").status_code == 200
            if row == 2:  # who saw the answer, and changed nothing, holds to the verdict
                said[NAMES[row], film_id, "aided"] = said[NAMES[row], film_id, "unaided"]
    return list_id, ids, truth, said


def _arrays(study, name, arm):
    _, ids, truth, said = study
    rows = [(*said[name, each, arm], truth[each]) for each in ids[:-1]]
    ratings = np.array([row[0] for row in rows])
    calls = np.array([{"present": 1, "absent": 0, "unsure": -1}[row[1]] for row in rows])
    return ratings, calls, np.array([row[2] for row in rows])


def test_figures_are_those_of_the_verdicts(station, study):
    """Of each reader as scikit-learn has them; together their mean; between readers by kappa."""
    list_id, ids, _, said = study
    admin = station.client("administrator")
    found = admin.get(f"{API}/lists/{list_id}/analysis").json()
    assert (found["films"], found["positives"], found["negatives"]) == (FILMS, 4, 3)
    assert [each["name"] for each in found["readers"]] == list(NAMES)
    mean = {"unaided": [], "aided": []}
    for reader in found["readers"]:
        for arm, areas in mean.items():
            ratings, calls, truth = _arrays(study, reader["name"], arm)
            sure = calls >= 0
            figures = reader[arm]
            assert figures["auc"]["value"] == pytest.approx(roc_auc_score(truth, ratings))
            for name, positive in (("sensitivity", 1), ("specificity", 0)):
                expected = recall_score(truth[sure], calls[sure], pos_label=positive)
                assert figures[name]["value"] == pytest.approx(expected), (reader["name"], arm)
            areas.append(figures["auc"]["value"])
            assert figures["films"] == FILMS
            assert figures["roc"][0] == [0, 0]
            assert figures["roc"][-1] == [1, 1]
        expected = reader["aided"]["auc"]["value"] - reader["unaided"]["auc"]["value"]
        assert reader["difference"]["auc"]["value"] == pytest.approx(expected)
        assert reader["unaided"]["seconds"] == 10.0 + NAMES.index(reader["name"])
    for arm, areas in mean.items():
        assert found[arm]["auc"]["value"] == pytest.approx(np.mean(areas))
    difference = np.mean(mean["aided"]) - np.mean(mean["unaided"])
    assert found["difference"]["auc"]["value"] == pytest.approx(difference)
    assert [each["arm"] for each in found["pairs"]] == ["unaided"] * 3 + ["aided"] * 3
    for pair in found["pairs"]:
        one, two = ([said[name, each, pair["arm"]][1] for each in ids] for name in pair["names"])
        both = [each for each in zip(one, two, strict=True) if "unsure" not in each]
        expected = cohen_kappa_score(*zip(*both, strict=True))
        assert pair["kappa"]["value"] == pytest.approx(expected)
        assert pair["kappa"]["n"] == len(both)
    assert found["machine"]["auc"]["n"] == FILMS - 1
    assert [(each["films"], each["whole"]) for each in found["readers"]] == [(FILMS, True)] * 3
    assert {(found[arm]["readers"], found[arm]["whole"]) for arm in mean} == {(3, 3)}
    # one film more, judged by nobody yet: no reader is whole any more
    with station.service.store.write() as session:
        one = session.get_one(ReadingList, list_id)
        gathered = gather(session, one, FINDING)
    more = replace(
        gathered, films=[*ids, "0" * 16], patients=[*gathered.patients, "P-new"], here=FILMS + 1,
        arms={name: _with_one_more(arm) for name, arm in gathered.arms.items()},
        **{
            each: np.append(getattr(gathered, each), np.nan)
            for each in ("truth", "machine", "answer", "scores")
        },
    )  # fmt: skip
    more.arms["unaided"].ratings[0, -1] = 50  # but one reader, in one arm
    later = measure(more, list_id, Label.COVID_19, folds=0)
    assert [(each.films, each.whole) for each in later.readers] == [
        (FILMS + 1, True), (FILMS, False), (FILMS, False),
    ]  # fmt: skip
    pooled = (later.unaided, later.aided, later.difference)
    assert [(each.readers, each.whole) for each in pooled] == [(3, 1), (3, 0), (3, 0)]
    assert later.unaided.auc.value == pytest.approx(found["unaided"]["auc"]["value"])
    assert [(each.unaided.films, each.unaided.asked) for each in later.readers] == [
        (FILMS + 1, FILMS + 1), (FILMS, FILMS + 1), (FILMS, FILMS + 1),
    ]  # fmt: skip


def _with_one_more(arm):
    return Arm(*(np.pad(each, ((0, 0), (0, 1)), constant_values=np.nan)
                 for each in (arm.calls, arm.ratings, arm.seconds)))  # fmt: skip


def test_the_long_table_is_what_mrmc_tools_take(station, study):
    """One row a reader, case and arm; what is measured on it is what the page says."""
    list_id, _, truth, said = study
    answer = station.client("administrator").get(f"{API}/lists/{list_id}/mrmc.csv")
    table = pd.read_csv(io.BytesIO(answer.content))
    assert tuple(table) == MRMC
    assert len(table) == len(NAMES) * (FILMS - 1) * 2
    assert table.groupby(["reader", "case", "modality"]).size().eq(1).all()
    for row in table.to_dict("records"):
        rating, word = said[row["reader"], row["case"], row["modality"]]
        assert (row["rating"], row["truth"]) == (rating, truth[row["case"]])
        call = {"present": 1, "absent": 0}.get(word)
        assert np.isnan(row["call"]) if call is None else row["call"] == call
    assert not set(table["patient"]) & {f"P{number}" for number in range(FILMS)}
    assert table["patient"].nunique() == FILMS - 1


def test_the_analysis_is_for_administrators_and_tells_no_blind_reader(station, study):
    list_id = study[0]
    for what in ("analysis", "mrmc.csv"):
        path = f"{API}/lists/{list_id}/{what}"
        assert station.client("reviewer").get(path).status_code == 403
        admin = station.client("administrator")
        assert admin.get(path, params={"finding": "mass"}).status_code == 422
        admin.put(f"{API}/me/blind", json={"on": True})
        assert admin.get(path).json()["code"] == "blind-read-pending"
        admin.put(f"{API}/me/blind", json={"on": False})


def test_who_takes_the_long_table_has_seen_no_answer(station, study):
    """There is no column of the machine in it."""
    admin = station.client("administrator")
    assert admin.get(f"{API}/lists/{study[0]}/mrmc.csv").status_code == 200
    admin.put(f"{API}/me/blind", json={"on": True})
    assert admin.get(f"{API}/films/{study[1][0]}").json()["blind_pending"] is True


@pytest.fixture
def blind_only(station, make_film):
    """A blind list that asks for no confidence; of its three films two are judged: make(reveal)."""

    def make(reveal):
        ids = [station.film(make_film(number)) for number in range(3)]
        admin = station.client("administrator")
        for number, film_id in enumerate(ids):
            known = {"finding": FINDING, "value": number % 2}
            assert admin.put(f"{API}/films/{film_id}/reference", json=known).status_code == 200
        with station.service.store.write() as session:
            person = add_person(session, "dora", Role.REVIEWER)
            token, readers = add_token(session, person, "tests")[1], [person.id]
        dora = station.client()
        dora.headers["Authorization"] = f"Bearer {token}"
        body = {
            "name": "autumn", "film_ids": ids, "readers": readers, "findings": [FINDING],
            "blind": True, "reveal": reveal,
        }  # fmt: skip
        list_id = admin.post(f"{API}/lists", json=body).json()["list_id"]
        for word, film_id in zip(("absent", "present"), ids[:2], strict=True):
            given = {"finding": FINDING, "verdict": word, "list_id": list_id, "blind": True}
            answer = dora.post(f"{API}/films/{film_id}/verdicts", json=given)
            assert answer.status_code == 201, answer.text
        return list_id, ids, dora

    return make


@pytest.mark.parametrize("reveal", [True, False])
def test_an_answer_seen_after_the_end_makes_no_aided_verdict(station, blind_only, reveal):
    list_id, ids, dora = blind_only(reveal)
    admin = station.client("administrator")
    if reveal:
        assert dora.get(f"{API}/films/{ids[0]}/reading").status_code == 200
    admin.patch(f"{API}/lists/{list_id}", json={"closed": True})
    for film_id in ids:
        assert dora.get(f"{API}/films/{film_id}/reading").status_code == 200
    (reader,) = admin.get(f"{API}/lists/{list_id}/analysis").json()["readers"]
    assert reader["unaided"]["films"] == 2
    if reveal:
        assert reader["aided"]["films"] == 1
    else:
        assert reader["aided"] is None


def test_without_confidence_there_is_no_curve(station, blind_only):
    """Present and absent are no ratings: an area by them would be read as one by confidence."""
    list_id, _, _ = blind_only(True)
    admin = station.client("administrator")
    found = admin.get(f"{API}/lists/{list_id}/analysis").json()
    (reader,) = found["readers"]
    for figures in (reader["unaided"], found["unaided"]):
        assert figures["auc"]["value"] is None
        assert figures["auc"]["note"] == "the list does not ask for confidence"
        assert figures["sensitivity"]["value"] == figures["specificity"]["value"] == 1
    assert reader["unaided"]["roc"] == []
    assert found["machine"]["auc"]["value"] is not None
    table = pd.read_csv(io.BytesIO(admin.get(f"{API}/lists/{list_id}/mrmc.csv").content))
    assert table["rating"].isna().all()
    assert table["call"].tolist() == [0, 1]


def test_the_machine_is_measured_on_what_the_readers_saw(station, blind_only):
    """On the films that were judged, by the reading that was there then."""
    list_id, ids, _ = blind_only(True)
    admin = station.client("administrator")
    before = admin.get(f"{API}/lists/{list_id}/analysis").json()["machine"]
    assert before["auc"]["n"] == 2
    assert before["sensitivity"]["n"] == before["specificity"]["n"] == 1
    with station.service.store.write() as session:
        for film_id in ids:
            film = session.get_one(Film, film_id)
            old = session.get_one(Read, film.reading_id)
            said = copy.deepcopy(old.reading)
            for each in said["findings"]:
                each |= {"present": not each["present"], "score": 1 - each["score"]}
            columns = {each.key for each in inspect(Read).columns} - {"id", "reading", "forced"}
            again = Read(
                **{each: getattr(old, each) for each in columns}, reading=said, forced=True
            )
            session.add(again)
            session.flush()
            film.reading_id = again.id
    assert admin.get(f"{API}/lists/{list_id}/analysis").json()["machine"] == before


def test_many_readers_have_no_interval_a_pair(monkeypatch):
    """A pair of twenty-one readers is one of 210: each would cost a thousand resamples."""
    draw = np.random.default_rng(2)
    calls = draw.integers(0, 2, (3, 20)).astype(float)
    arms = {name: Arm.empty(3, 20) for name in ("unaided", "aided")}
    arms["unaided"] = Arm(calls, 100 * calls, calls)
    numbers = [str(each) for each in range(20)]
    known = [draw.integers(0, 2, 20).astype(float) for _ in range(4)]
    of = ReaderStudy(numbers, numbers, list(NAMES), *known, arms, rated=True, here=20)
    some = measure(of, "0" * 16, Label.COVID_19, folds=20)
    monkeypatch.setattr("hilum.apps.web.analysis.MOST_PAIRS", 2)
    many = measure(of, "0" * 16, Label.COVID_19, folds=20)
    for one, other in zip(some.pairs, many.pairs, strict=True):
        assert one.kappa.value == other.kappa.value
        assert one.kappa.low < one.kappa.high
        assert np.isnan(other.kappa.low)
        assert other.kappa.note == ""


def test_without_verdicts_or_truth_there_is_nothing_to_measure(station, make_film):
    film_id = station.film(make_film(1))
    body = {"name": "none", "film_ids": [film_id], "findings": [FINDING]}
    made = station.client("administrator").post(f"{API}/lists", json=body).json()
    with station.service.store.read() as session:
        one = session.get(ReadingList, made["list_id"])
        found = measure(gather(session, one, FINDING), one.id, Label.COVID_19)
    assert (found.readers, found.pairs, found.unaided, found.difference) == ([], [], None, None)
    assert found.machine.auc.note
    assert found.fleiss.note == "fewer than two readers"


@pytest.fixture
def mixed():
    """Two readers without the machine and with it, and one who had seen every answer before."""
    draw = np.random.default_rng(6)
    number = 12
    arms = {name: Arm.empty(3, number) for name in ("unaided", "aided")}
    for name, rows in (("unaided", [0, 1]), ("aided", [0, 1, 2])):
        arms[name].calls[rows] = draw.integers(0, 2, (len(rows), number))
        arms[name].ratings[rows] = 100 * arms[name].calls[rows]
    arms["unaided"].calls[2, 0], arms["unaided"].ratings[2, 0] = 1, 100  # of a refused film
    ids = [str(each) for each in range(number)]
    known = [draw.integers(0, 2, number).astype(float) for _ in range(4)]
    return ReaderStudy(ids, ids, list(NAMES), *known, arms, rated=True, here=number)


def test_readers_are_compared_within_one_arm(mixed):
    found = measure(mixed, "0" * 16, Label.COVID_19, folds=0)
    for each in found.pairs:
        one, two = (mixed.arms[each.arm].calls[NAMES.index(name)] for name in each.names)
        both = ~(np.isnan(one) | np.isnan(two))
        assert each.kappa.n == both.sum()
        if each.kappa.n > 1:
            assert each.kappa.value == pytest.approx(cohen_kappa_score(one[both], two[both]))
    anna_and_clara = [each for each in found.pairs if each.names == ("anna", "clara")]
    assert [(each.arm, each.kappa.n) for each in anna_and_clara] == [("unaided", 1), ("aided", 12)]


def test_who_joins_with_the_machine_takes_nothing_from_who_read_without_it(mixed):
    """And whoever reads the figure is told of how many readers it is, in which arm."""
    mixed.arms["unaided"].calls[2] = mixed.arms["unaided"].ratings[2] = np.nan
    found = measure(mixed, "0" * 16, Label.COVID_19, folds=0)
    assert (found.unaided.readers, found.unaided.fleiss.n) == (2, 12)
    assert (found.aided.readers, found.aided.fleiss.n) == (3, 12)
    assert found.unaided.fleiss.value == fleiss(mixed.arms["unaided"].calls[:2], mixed.films).value
    assert found.aided.fleiss.value == fleiss(mixed.arms["aided"].calls, mixed.films).value
    assert found.fleiss == found.unaided.fleiss
    mixed.arms["unaided"].calls[1] = mixed.arms["unaided"].ratings[1] = np.nan
    later = measure(mixed, "0" * 16, Label.COVID_19, folds=0)
    assert later.fleiss == later.aided.fleiss


@pytest.mark.parametrize("erased", [False, True])
def test_a_film_without_an_answer_hinders_nobody_from_being_done(station, blind_only, erased):
    """There is nothing to see of it: what is said of it is said without the machine and with it."""
    list_id, ids, dora = blind_only(True)
    admin = station.client("administrator")
    given = {"finding": FINDING, "verdict": "absent", "list_id": list_id, "blind": True}
    assert dora.post(f"{API}/films/{ids[2]}/verdicts", json=given).status_code == 201
    with station.service.store.write() as session:
        film = session.get_one(Film, ids[2])
        film.status = session.get_one(Read, film.reading_id).status = "refused"
        session.get_one(Study, film.study_id).patient_id = "P-refused"
    for film_id in ids[:2]:
        assert dora.get(f"{API}/films/{film_id}/reading").status_code == 200
    if erased:
        erase = {"patient_id": "P-refused"}
        shown = admin.post(f"{API}/deletions/preview", json=erase).json()
        admin.post(f"{API}/deletions", json=erase | {"confirm": shown["confirm"]})
    found = admin.get(f"{API}/lists/{list_id}/analysis").json()
    (reader,) = found["readers"]
    for arm in ("unaided", "aided"):
        assert (reader[arm]["films"], reader[arm]["asked"]) == (3, 3)
        assert (found[arm]["readers"], found[arm]["whole"]) == (1, 1)
    assert (found["difference"]["readers"], found["difference"]["whole"]) == (1, 1)


def test_a_film_that_is_refused_later_had_an_answer_when_it_was_judged(station, blind_only):
    """So who never looked at it has not answered with the machine."""
    list_id, ids, dora = blind_only(True)
    given = {"finding": FINDING, "verdict": "absent", "list_id": list_id, "blind": True}
    assert dora.post(f"{API}/films/{ids[2]}/verdicts", json=given).status_code == 201
    with station.service.store.write() as session:
        film = session.get_one(Film, ids[2])
        read = session.get_one(Read, film.reading_id)
        columns = {each.key: getattr(read, each.key) for each in Read.__table__.columns}
        later = Read(**columns | {"id": new_id(), "forced": True, "status": "refused"})
        session.add(later)
        film.status, film.reading_id = "refused", later.id
    for film_id in ids[:2]:
        assert dora.get(f"{API}/films/{film_id}/reading").status_code == 200
    found = station.client("administrator").get(f"{API}/lists/{list_id}/analysis").json()
    (reader,) = found["readers"]
    assert (reader["unaided"]["films"], reader["aided"]["films"]) == (3, 2)

"""Reading films through: where one is, what comes next, and taking the last verdict back."""

from __future__ import annotations

import pytest

from hilum.apps.store.tables import Film, Line, Study, Verdict

API = "/api/v1"


@pytest.fixture
def films(station, make_film):
    """Five films of five studies, the newest first."""
    return [station.film(make_film(i), patient_id=f"P{i}") for i in range(5)][::-1]


def _judge(client, film_id, **more):
    body = {"finding": "covid-19", "verdict": "absent"} | more
    answer = client.post(f"{API}/films/{film_id}/verdicts", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_round_goes_on_where_it_was(station, films):
    client = station.client("reviewer")
    begun = client.put(f"{API}/round", json={"reviewed": False}).json()
    assert (begun["place"], begun["total"], begun["after"]) == (None, 5, films[0])
    for i, film_id in enumerate(films):
        here = client.put(f"{API}/round/place", json={"film_id": film_id}).json()
        assert (here["place"], here["total"], here["judged"]) == (i + 1, 5, i)
        assert here["before"] == (films[i - 1] if i else None)
        assert here["after"] == (films[i + 1] if i < 4 else None)
        assert here["unjudged"] == film_id
        _judge(client, film_id)
        again = station.client("reviewer").get(f"{API}/round").json()  # a script's, by its token
        assert again["total"] in (0, 5)
    ended = client.get(f"{API}/round").json()
    assert (ended["film_id"], ended["place"], ended["judged"]) == (films[-1], 5, 5)
    assert ended["query"]["reviewed"] is False
    assert ended["unjudged"] is None
    assert client.put(f"{API}/round", json={"reviewed": False}).json()["total"] == 0


def test_without_a_round_it_is_of_all_films(station, films):
    client = station.client("reader")
    assert client.get(f"{API}/round").json()["total"] == 5
    here = client.put(f"{API}/round/place", json={"film_id": films[2]}).json()
    assert (here["before"], here["place"], here["after"]) == (films[1], 3, films[3])
    assert client.put(f"{API}/round/place", json={"film_id": "0" * 16}).status_code == 404
    assert client.put(f"{API}/round", json={"cursor": "x"}).status_code == 422


def test_a_filter_of_answers_is_none_for_who_reads_blind(station, films):
    client = station.client("reviewer")
    assert client.put(f"{API}/round", json={"label": "mass"}).json()["total"] == 0
    client.put(f"{API}/me/blind", json={"on": True})
    assert client.get(f"{API}/round").json()["total"] == 5
    assert client.put(f"{API}/round", json={"label": "mass"}).status_code == 409


def test_who_reads_blind_comes_to_the_oldest_film_of_a_study(station, films):
    """Else to the one that shows most: that it is opened first tells a blind reader which it is."""
    newest, older, *_ = films
    with station.service.store.write() as session:
        moved = session.get_one(Film, newest)
        left, study = moved.study_id, session.get_one(Film, older).study_id
        moved.study_id = study
        session.flush()
        session.delete(session.get_one(Study, left))
        here = session.get_one(Study, study)
        here.films, here.film_id = 2, newest
    client = station.client("reviewer")
    assert client.put(f"{API}/round", json={}).json()["after"] == newest
    client.put(f"{API}/me/blind", json={"on": True})
    begun = client.get(f"{API}/round").json()
    assert (begun["after"], begun["unjudged"], begun["total"]) == (older, older, 4)
    then = client.put(f"{API}/round/place", json={"film_id": older}).json()
    assert (then["before"], then["place"], then["after"]) == (None, 1, films[2])


def test_a_round_that_may_name_an_erased_patient_goes_with_it(station, films):
    client, admin = station.client("reviewer"), station.client("administrator")
    assert client.put(f"{API}/round", json={"q": "P3"}).json()["total"] == 1
    confirm = admin.post(f"{API}/deletions/preview", json={"patient_id": "P3"}).json()["confirm"]
    admin.post(f"{API}/deletions", json={"patient_id": "P3", "confirm": confirm})
    left = client.get(f"{API}/round").json()
    assert (left["query"]["q"], left["total"]) == (None, 4)


def test_the_last_verdict_is_taken_back(station, films):
    client = station.client("reviewer")
    kept = _judge(client, films[0])["verdict_id"]
    given = _judge(client, films[0], verdict="present", text="left")["verdict_id"]
    undo = f"{API}/films/{films[0]}/verdicts/undo"
    (said,) = client.post(undo, json={"verdict_ids": [given]}).json()["items"]
    assert (said["verdict"], said["text"]) == ("present", "left")
    (left,) = client.get(f"{API}/films/{films[0]}/verdicts").json()["items"]
    assert left["verdict_id"] == kept
    study = client.get(f"{API}/studies").json()["items"][0]
    assert (study["film_id"], study["verdicts"]) == (films[0], 1)
    with station.service.store.read() as session:
        lines = [each.action for each in session.query(Line).order_by(Line.seq)]
    assert lines.count("verdict") == 2
    assert lines[-1] == "verdict-undone"
    assert client.post(undo, json={"verdict_ids": [given]}).status_code == 409
    other = station.client("administrator")
    assert other.post(undo, json={"verdict_ids": [kept]}).status_code == 409
    elsewhere = f"{API}/films/{films[1]}/verdicts/undo"
    assert client.post(elsewhere, json={"verdict_ids": [kept]}).status_code == 409
    with station.service.store.write() as session:
        session.get_one(Verdict, kept).at_ms -= 3_700_000
    assert client.post(undo, json={"verdict_ids": [kept]}).status_code == 409


def test_a_blind_verdict_is_taken_back_until_the_answer_was_seen(station, films):
    client = station.client("reviewer")
    client.put(f"{API}/me/blind", json={"on": True})
    owed = client.get(f"{API}/films/{films[0]}").json()["blind_owed"]
    undo = f"{API}/films/{films[0]}/verdicts/undo"
    for seen in (False, True):
        given = [_judge(client, films[0], finding=each, blind=True) for each in owed]
        ids = [each["verdict_id"] for each in given]
        if seen:
            assert client.get(f"{API}/films/{films[0]}/reading").status_code == 200
        answer = client.post(undo, json={"verdict_ids": ids})
        assert answer.status_code == (409 if seen else 200)
        pending = client.get(f"{API}/films/{films[0]}").json()["blind_pending"]
        assert pending is not seen


def test_a_film_that_is_fetched_before_it_is_opened_is_two_lines(station, films):
    client = station.client("reviewer")
    for what in ("image", "pixels", "pixels"):
        assert client.get(f"{API}/films/{films[0]}/{what}?ahead=true").status_code == 200
    assert client.post(f"{API}/films/{films[0]}/opened").status_code == 204
    lines = [each for each in station.service.log.lines(limit=50) if each.film_id == films[0]]
    looks = [each.action for each in lines if each.action in ("fetched", "viewed")]
    assert looks == ["viewed", "fetched"]  # the newest first

"""Blind first read: no way around it, and none to have seen the answer and read blind after."""

from __future__ import annotations

import pytest

from hilum.apps.store.tables import Read

API = "/api/v1"
FINDING = "covid-19"


def _verdict(client, film_id, verdict, **more):
    body = {"finding": FINDING, "verdict": verdict} | more
    return client.post(f"{API}/films/{film_id}/verdicts", json=body)


def _blind(client, on=True):
    assert client.put(f"{API}/me/blind", json={"on": on}).json()["blind"] is on


@pytest.fixture
def film_id(station, make_film):
    return station.film(make_film(1))


@pytest.fixture
def client(station, film_id):
    """A reviewer who reads blind."""
    made = station.client("reviewer")
    _blind(made)
    return made


HIDDEN = (
    "overlays", f"heatmaps/{FINDING}.png", f"heatmaps/{FINDING}.f32", "lungs.png", "reports",
    "opacities/consolidation.png", "reports/draft", "reading",
)  # fmt: skip


def test_a_film_that_is_read_again_stays_hidden(station, client, film_id):
    """The reading from before is there while the film waits for the next."""
    assert client.post(f"{API}/films/{film_id}/read", json={}).status_code == 202
    for path in HIDDEN:
        answer = client.get(f"{API}/films/{film_id}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "blind-read-pending"), path
    for found in (client.get(f"{API}/studies"), client.post(f"{API}/studies/search", json={})):
        (study,) = found.json()["items"]
        assert (study["blind_pending"], study["findings"], study["priority"]) == (True, [], None)
    assert _verdict(client, film_id, "agree").status_code == 409
    assert client.get(f"{API}/films/{film_id}").json()["blind_pending"] is True


def test_a_report_by_another_stays_hidden(station, client, film_id):
    other = station.client("administrator")
    report = other.post(f"{API}/films/{film_id}/reports", json={"impression": "COVID"}).json()
    for _ in range(2):
        for form in ("pdf", "html"):
            answer = client.get(f"{API}/reports/{report['report_id']}.{form}")
            assert answer.status_code == 409
        client.post(f"{API}/films/{film_id}/read", json={})


def test_the_log_stays_hidden(station, film_id):
    """Its lines hold the scores, and what others said."""
    admin = station.client("administrator")
    _blind(admin)
    answer = admin.get(f"{API}/log")
    assert (answer.status_code, answer.json()["code"]) == (409, "blind-read-pending")
    assert admin.get(f"{API}/log/verify").json()["ok"]
    _blind(admin, on=False)
    assert "scores" in admin.get(f"{API}/log").text


def test_the_reference_standard_of_others_stays_hidden(station, client, film_id):
    path = f"{API}/films/{film_id}/reference"
    admin = station.client("administrator")
    admin.put(path, json={"finding": FINDING, "value": 1, "standard": "RT-PCR"})
    assert client.get(path).json()["items"] == []
    mine = client.put(path, json={"finding": "mass", "value": 0}).json()["items"]
    assert [each["finding"] for each in mine] == ["mass"]
    for finding in (FINDING, "pneumonia"):
        _verdict(client, film_id, "present", blind=True, finding=finding)
    assert len(client.get(path).json()["items"]) == 2


@pytest.mark.parametrize(
    "shown",
    ["studies", "studies/{study}", "films/{film}/reports", "films/{film}/verdicts",
     "reports/{report}.pdf", "reports/{report}.html", "films/{film}/reports/draft",
     "films/{film}/reading", "films/{film}/overlays"],
)  # fmt: skip
def test_who_was_shown_the_answer_anywhere_reads_blind_no_more(station, film_id, shown):
    admin = station.client("administrator")
    report = admin.post(f"{API}/films/{film_id}/reports", json={}).json()["report_id"]
    _verdict(admin, film_id, "present")
    study = admin.get(f"{API}/films/{film_id}").json()["study_id"]
    client = station.client("reviewer")
    shown = shown.format(film=film_id, study=study, report=report)
    assert client.get(f"{API}/{shown}").status_code == 200
    _blind(client)
    assert _verdict(client, film_id, "present", blind=True).json()["code"] == "already-seen"


def test_a_blind_verdict_is_given_by_who_reads_blind(station, film_id):
    client = station.client("reviewer")
    answer = _verdict(client, film_id, "present", blind=True)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_refusal_shows_no_answer(station, client, film_id):
    """A film that was refused, looked at, and then read by force is still to be read blind."""
    with station.service.store.write() as session:
        read = session.query(Read).one()
        before, read.status = read.status, "refused"
    assert client.get(f"{API}/films/{film_id}/reading").status_code == 200
    with station.service.store.write() as session:
        session.query(Read).one().status = before
    assert client.get(f"{API}/films/{film_id}/reading").status_code == 409


def test_who_may_no_longer_review_is_not_kept_out_by_the_switch(station, client, film_id):
    admin = station.client("administrator")
    users = {each["name"]: each["user_id"] for each in admin.get(f"{API}/users").json()["items"]}
    admin.patch(f"{API}/users/{users['reviewer-1']}", json={"role": "reader"})
    for path in ("monitoring", "agreement", f"films/{film_id}/reading"):
        assert client.get(f"{API}/{path}").status_code == 200, path
    assert client.get(f"{API}/me").json()["blind"] is False

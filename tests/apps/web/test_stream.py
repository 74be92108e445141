"""Events as a client hears them that comes, goes and comes back."""

from __future__ import annotations

import json
import time

import cv2
import numpy as np
import pytest

WAIT_S = 120


@pytest.fixture(scope="module")
def served(serving, tmp_path_factory, calibrated_bundle):
    data = tmp_path_factory.mktemp("events") / "data"
    made = serving.Served(data, calibrated_bundle)
    made.token = serving.make_token(data, role="reviewer")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def client(served):
    with served.client(served.token) as client:
        yield client


def _send(client, number):
    noise = np.random.default_rng(number).integers(0, 99, (160, 120))
    film = cv2.imencode(".png", (noise + np.arange(120)).astype(np.uint8))[1].tobytes()
    data = {"patient_id": "SECRET-7"}
    answer = client.post("/films", files={"files": ("secret.png", film)}, data=data)
    assert answer.status_code == 201, answer.text
    return answer.json()["accepted"][0]["film_id"]


def _hear(client, last_event_id=None, *, meanwhile=None, count=1, of=None):
    """Listen until so many films (``of`` these) were read; return all as (id, kind, data)."""
    headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
    heard, fields = [], {}
    with client.stream("GET", "/events", headers=headers) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        if meanwhile is not None:
            meanwhile()
        ends = time.monotonic() + WAIT_S
        for line in stream.iter_lines():
            assert time.monotonic() < ends, heard
            name, _, value = line.partition(": ")
            if line and name:
                fields[name] = value
            elif "event" in fields:
                heard.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                fields = {}
                read = [data["film_id"] for _, kind, data in heard if kind == "read"]
                if sum(of is None or each in of for each in read) == count:
                    return heard
    raise AssertionError(f"the stream ended after {heard}")


def test_who_comes_back_hears_what_was_missed_once_and_in_order(served, client):
    sent = []
    with served.client(served.token) as other:
        first = _hear(client, meanwhile=lambda: sent.append(_send(other, 1)))
    assert [kind for _, kind, _ in first] == ["accepted", "reading", "read"]
    assert {data["film_id"] for _, _, data in first} == set(sent)
    missed = [_send(client, number) for number in (2, 3)]
    heard = _hear(client, first[-1][0], count=2)
    ids = [each[0] for each in heard]
    assert ids == sorted(set(ids))
    assert ids[0] > first[-1][0]
    for film_id in missed:
        kinds = [kind for _, kind, data in heard if data["film_id"] == film_id]
        assert kinds == ["accepted", "reading", "read"]
    again = _hear(client, heard[1][0], count=2)
    assert again == heard[2:]
    everything = _hear(client, 0, count=3)
    assert everything == first + heard


def test_no_event_tells_of_a_patient_or_a_finding(client):
    _send(client, 4)
    for _, kind, data in _hear(client, 0):
        assert data.keys() == {"film_id", "study_id", "status", "at"}, kind
    assert "secret" not in json.dumps(_hear(client, 0)).lower()


def test_an_id_of_another_store_hears_what_comes(served, client):
    sent = []
    with served.client(served.token) as other:
        # a film of another test may be read meanwhile, too
        heard = _hear(client, 10**12, meanwhile=lambda: sent.append(_send(other, 5)), of=sent)
    kinds = [kind for _, kind, data in heard if data["film_id"] in sent]
    assert kinds == ["accepted", "reading", "read"]


def test_an_id_that_is_none_is_refused(client):
    answer = client.get("/events", headers={"Last-Event-ID": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")

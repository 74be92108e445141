"""The OpenAPI document: examples are true to their types, and so are real answers."""

from __future__ import annotations

import copy

import jsonschema_rs
import pytest

from hilum.judge import site
from hilum.serve.samples import ROOT

API = "/api/v1"


def _document(station):
    return station.client().get(f"{API}/openapi.json").json()


def _operations(document):
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _errors(document, schema, value):
    whole = {**schema, "components": document["components"]}
    return [
        f"{e.instance_path}: {e.message}"
        for e in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)
    ]


def _closed(document):
    """Return the document with no room for a key that it does not name."""
    closed = copy.deepcopy(document)
    for schema in closed["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return closed


def _bodies(document):
    """Examples of bodies in JSON by the names of their schemas."""
    found = {}
    for _, _, operation in _operations(document):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is not None:
            found[content["schema"]["$ref"].rpartition("/")[2]] = content["example"]
    return found


def _examples(document):
    for method, path, operation in _operations(document):
        described = list(operation["responses"].items())
        if "requestBody" in operation:
            described.append(("body", operation["requestBody"]))
        for status, each in described:
            for media_type, content in each.get("content", {}).items():
                yield f"{method} {path} {status}", media_type, content


def test_every_answer_and_body_in_words_has_an_example(station):
    document = _document(station)
    listed = list(_examples(document))
    assert len(listed) > 100
    lacking = [
        where
        for where, media_type, content in listed
        if media_type in ("application/json", "text/csv", "text/plain", "text/event-stream")
        and "example" not in content
    ]
    assert not lacking
    assert "example" in document["components"]["schemas"]["Problem"]


def test_every_example_is_true_to_its_schema(station):
    document = _closed(_document(station))
    for where, _, content in _examples(document):
        if "example" in content:
            assert not _errors(document, content["schema"], content["example"]), where
    problem = document["components"]["schemas"]["Problem"]
    assert not _errors(document, problem, problem["example"])


def test_the_schemas_say_something(station):
    """Each example, emptied or with a wrong key, is no longer true to its schema."""
    document = _closed(_document(station))
    for where, media_type, content in _examples(document):
        if media_type != "application/json" or "schema/reading" in where:
            continue
        assert _errors(document, content["schema"], content["example"] | {"wrong": 1}), where
        if "body" not in where:
            assert _errors(document, content["schema"], {}), where


@pytest.fixture
def answered(station, calibrated_bundle):
    """Real answers by method and path: a workstation with a film, a verdict, a report, people."""
    reviewer, admin = station.client("reviewer"), station.client("administrator")
    found, bodies = {}, _bodies(_document(station))

    def ask(client, method, path, values=None, **sent):
        answer = client.request(method, API + path.format(**values or {}), **sent)
        assert answer.status_code in (200, 201, 202, 503), (method, path, answer.text)
        found.setdefault((method, API + path), []).append(answer.json())
        return answer.json()

    sent = station.send(ROOT / "frontal.dcm", ROOT / "frontal.png", ("notes.txt", b"words"))
    found["POST", f"{API}/films"] = [sent.json()]
    for accepted in sent.json()["accepted"]:
        film_id = accepted["film_id"]
        ids = {"film_id": film_id, "study_id": accepted["study_id"]}
        ask(reviewer, "GET", "/films/{film_id}/reading", ids)
        station.read()
        for what in ("", "/image", "/reading", "/overlays", "/reports/draft"):
            ask(reviewer, "GET", "/films/{film_id}" + what, ids)
        for verdict in (bodies["NewVerdict"], {"finding": "covid-19", "verdict": "unsure"}):
            ask(reviewer, "POST", "/films/{film_id}/verdicts", ids, json=verdict)
        ask(reviewer, "PUT", "/films/{film_id}/desk", ids, json=bodies["OnDesk"] | {"version": 0})
        ask(reviewer, "GET", "/films/{film_id}/desk", ids)
        both = {"verdicts": [bodies["NewVerdict"], {"finding": "pneumonia", "verdict": "absent"}]}
        ask(reviewer, "POST", "/films/{film_id}/verdicts/all", ids, json=both)
        ask(reviewer, "PUT", "/films/{film_id}/reference", ids, json=bodies["NewReference"])
        ask(reviewer, "PUT", "/films/{film_id}/ruler", ids, json=bodies["NewRuler"])
        ask(reviewer, "POST", "/films/{film_id}/reports", ids, json=bodies["ReportText"])
        for what in ("verdicts", "reference", "reports"):
            ask(reviewer, "GET", "/films/{film_id}/" + what, ids)
        mine = ask(reviewer, "GET", "/films/{film_id}/verdicts", ids)["items"]
        back = {"verdict_ids": [mine[-1]["verdict_id"]]}
        ask(reviewer, "POST", "/films/{film_id}/verdicts/undo", ids, json=back)
        ask(reviewer, "PUT", "/round/place", json={"film_id": ids["film_id"]})
        station.sent(ids["film_id"], "pacs")
        ask(reviewer, "GET", "/films/{film_id}/sent", ids)
        ask(reviewer, "POST", "/films/{film_id}/retract", ids, json=bodies["TakeBack"])
        ask(reviewer, "GET", "/studies/{study_id}", ids)
        ask(reviewer, "POST", "/films/{film_id}/read", ids, json=bodies["Again"])
    ask(reviewer, "GET", "/studies")
    ask(reviewer, "POST", "/studies/search", json={"q": "frontal"})
    ask(reviewer, "PUT", "/round", json={"q": "frontal"})
    ask(reviewer, "GET", "/round")
    for path in (
        "/agreement",
        "/monitoring",
        "/node",
        "/me",
        "/health",
        "/ready",
        "/schema/reading.json",
    ):
        ask(reviewer, "GET", path)
    nobody = {"patient_id": "nobody"}
    shown = ask(admin, "POST", "/deletions/preview", json=nobody)
    ask(admin, "POST", "/deletions", json=nobody | {"confirm": shown["confirm"]})
    person = ask(admin, "POST", "/users", json=bodies["NewPerson"])
    ids = {"user_id": person["user_id"]}
    ask(admin, "PATCH", "/users/{user_id}", ids, json=bodies["ChangedPerson"])
    ask(admin, "POST", "/tokens", json=bodies["NewToken"] | ids)
    people = ask(admin, "GET", "/users")["items"]
    readers = [each["user_id"] for each in people if each["role"] == "reviewer"]
    new = bodies["NewList"] | {"film_ids": [film_id], "readers": readers}
    new.pop("filter", None)
    made = {"list_id": ask(admin, "POST", "/lists", json=new)["list_id"]}
    for what in ("", "/{list_id}", "/{list_id}/films/{film_id}", "/{list_id}/analysis"):
        ask(admin, "GET", "/lists" + what, made | {"film_id": film_id})
    ask(admin, "PATCH", "/lists/{list_id}", made, json={"name": "autumn"})
    browser = station.client()
    own = {"X-CSRF-Token": ask(browser, "POST", "/login", json=bodies["Login"])["csrf"]}
    ask(browser, "PUT", "/me/password", json=bodies["NewPassword"], headers=own)
    ask(reviewer, "PUT", "/me/blind", json=bodies["Blind"])
    for path in ("/users", "/tokens", "/log", "/log/verify", "/calibration"):
        ask(admin, "GET", path)
    study = ask(reviewer, "GET", "/films/{film_id}", {"film_id": film_id})["study_id"]
    assert admin.delete(f"{API}/studies/{study}").status_code == 204
    ask(admin, "GET", "/trash")
    return found


def test_real_answers_are_as_described(station, answered):
    document = _closed(_document(station))
    for (method, path), each in answered.items():
        operation = document["paths"][path][method.lower()]
        content = next(iter(operation["responses"].values()))["content"]["application/json"]
        for answer in each:
            assert not _errors(document, content["schema"], answer), (method, path)
    later = {f"{API}/calibration/{each}" for each in ("preview", "apply", "undo")}
    said = {
        (method, path)
        for method, path, each in _operations(document)
        if "application/json" in next(iter(each["responses"].values())).get("content", {})
    }
    assert {path for _, path in said - answered.keys()} == later


def test_real_calibrations_are_as_described(station, make_film, monkeypatch):
    monkeypatch.setattr(site, "LEAST_PATIENTS", 4)
    admin = station.client("administrator")
    for i in range(10):
        film_id = station.film(make_film(i, level=20 * i), patient_id=f"P{i}")
        value = int(i >= 5) if i not in (4, 5) else int(i == 4)
        body = {"finding": "covid-19", "value": value}
        assert admin.put(f"{API}/films/{film_id}/reference", json=body).status_code == 200
    document = _closed(_document(station))
    answers, candidate = [], None
    for method, what, body in (
        ("POST", "/preview", {"site": "St. Anna"}),
        ("GET", "", None),
        ("POST", "/apply", None),
        ("POST", "/undo", {}),
    ):
        body = {"candidate_id": candidate} if what == "/apply" else body
        path = f"{API}/calibration{what}"
        answer = admin.request(method, path, json=body)
        assert answer.status_code in (200, 201), answer.text
        candidate = candidate or answer.json()["candidate_id"]
        operation = document["paths"][path][method.lower()]
        content = next(iter(operation["responses"].values()))["content"]["application/json"]
        assert not _errors(document, content["schema"], answer.json()), what
        answers.append(answer.json())
    assert answers[2]["active"]["adaptation"]["site"] == "St. Anna"
    assert answers[3]["previous"] is None

"""Who may do what: every route with every role and with none."""

from __future__ import annotations

import pytest
from fastapi import APIRouter

from hilum.apps.store.people import Role
from hilum.apps.web.access import needs, role_of
from hilum.apps.web.app import create_app, routes

API = "/api/v1"
ANY, READER, REVIEWER, ADMIN = None, Role.READER, Role.REVIEWER, Role.ADMINISTRATOR
METRICS = Role.METRICS

MATRIX = {
    ("GET", "/agreement"): READER,
    ("GET", "/round"): READER,
    ("PUT", "/round"): READER,
    ("PUT", "/round/place"): READER,
    ("POST", "/films/{film_id}/verdicts/undo"): REVIEWER,
    ("GET", "/lists"): READER,
    ("POST", "/lists"): ADMIN,
    ("GET", "/lists/{list_id}"): READER,
    ("GET", "/lists/{list_id}/films/{film_id}"): READER,
    ("PATCH", "/lists/{list_id}"): ADMIN,
    ("DELETE", "/lists/{list_id}"): ADMIN,
    ("GET", "/lists/{list_id}/analysis"): ADMIN,
    ("GET", "/lists/{list_id}/mrmc.csv"): ADMIN,
    ("POST", "/export"): READER,
    ("GET", "/agreement.csv"): READER,
    ("GET", "/calibration"): ADMIN,
    ("POST", "/calibration/apply"): ADMIN,
    ("POST", "/calibration/preview"): ADMIN,
    ("POST", "/calibration/undo"): ADMIN,
    ("POST", "/deletions"): ADMIN,
    ("POST", "/deletions/preview"): ADMIN,
    ("GET", "/events"): READER,
    ("POST", "/films"): REVIEWER,
    ("POST", "/dicom-web/studies"): REVIEWER,
    ("POST", "/dicom-web/studies/{study}"): REVIEWER,
    ("GET", "/films/{film_id}"): READER,
    ("GET", "/films/{film_id}/desk"): REVIEWER,
    ("PUT", "/films/{film_id}/desk"): REVIEWER,
    ("GET", "/films/{film_id}/fhir"): READER,
    ("GET", "/films/{film_id}/heatmaps/{label}.f32"): READER,
    ("GET", "/films/{film_id}/heatmaps/{label}.png"): READER,
    ("GET", "/films/{film_id}/image"): READER,
    ("GET", "/films/{film_id}/lungs.png"): READER,
    ("GET", "/films/{film_id}/objects/{kind}.dcm"): READER,
    ("GET", "/films/{film_id}/opacities/{kind}.png"): READER,
    ("POST", "/films/{film_id}/opened"): READER,
    ("GET", "/films/{film_id}/overlays"): READER,
    ("GET", "/films/{film_id}/pixels"): READER,
    ("POST", "/films/{film_id}/read"): REVIEWER,
    ("GET", "/films/{film_id}/reading"): READER,
    ("GET", "/films/{film_id}/reference"): READER,
    ("PUT", "/films/{film_id}/reference"): REVIEWER,
    ("GET", "/films/{film_id}/reports"): READER,
    ("POST", "/films/{film_id}/reports"): REVIEWER,
    ("GET", "/films/{film_id}/reports/draft"): READER,
    ("PUT", "/films/{film_id}/ruler"): REVIEWER,
    ("POST", "/films/{film_id}/retract"): REVIEWER,
    ("GET", "/films/{film_id}/sent"): READER,
    ("GET", "/films/{film_id}/thumbnail.jpg"): READER,
    ("GET", "/films/{film_id}/verdicts"): READER,
    ("POST", "/films/{film_id}/verdicts"): REVIEWER,
    ("POST", "/films/{film_id}/verdicts/all"): REVIEWER,
    ("GET", "/health"): ANY,
    ("GET", "/log"): ADMIN,
    ("GET", "/log/verify"): ADMIN,
    ("POST", "/login"): ANY,
    ("POST", "/logout"): READER,
    ("GET", "/me"): READER,
    ("PUT", "/me/blind"): REVIEWER,
    ("PUT", "/me/password"): READER,
    ("GET", "/metrics"): METRICS,
    ("GET", "/monitoring"): READER,
    ("GET", "/node"): READER,
    ("GET", "/oidc/callback"): ANY,
    ("GET", "/oidc/login"): ANY,
    ("GET", "/openapi.json"): ANY,
    ("GET", "/readings/{reading_id}/similar/{place}.jpg"): READER,
    ("GET", "/ready"): ANY,
    ("GET", "/reports/{report_id}.html"): READER,
    ("GET", "/reports/{report_id}.pdf"): READER,
    ("GET", "/schema/reading.json"): READER,
    ("GET", "/studies"): READER,
    ("POST", "/studies/search"): READER,
    ("GET", "/studies/{study_id}"): READER,
    ("DELETE", "/studies/{study_id}"): ADMIN,
    ("GET", "/tokens"): ADMIN,
    ("POST", "/tokens"): ADMIN,
    ("DELETE", "/tokens/{token_id}"): ADMIN,
    ("GET", "/trash"): ADMIN,
    ("DELETE", "/trash/{study_id}"): ADMIN,
    ("POST", "/trash/{study_id}/restore"): ADMIN,
    ("GET", "/users"): ADMIN,
    ("POST", "/users"): ADMIN,
    ("PATCH", "/users/{user_id}"): ADMIN,
}
"""Method and path -> least role; a new route fails the first test until it stands here."""

PAGES = {("GET", "/open"): ANY, ("GET", "/{path:path}"): ANY}

BODIES = {
    "/calibration/apply": {"candidate_id": "0" * 16},
    "/calibration/preview": {"site": "x"},
    "/deletions": {"patient_id": "nobody", "confirm": "0" * 16},
    "/deletions/preview": {"patient_id": "nobody"},
    "/films/{film_id}/desk": {},
    "/films/{film_id}/read": {},
    "/films/{film_id}/reference": {"finding": "covid-19", "value": 1},
    "/films/{film_id}/reports": {},
    "/films/{film_id}/ruler": {"points": [[0, 0], [9, 9]], "mm": 5},
    "/films/{film_id}/verdicts": {"finding": "covid-19", "verdict": "present"},
    "/films/{film_id}/verdicts/all": {"verdicts": [{"finding": "covid-19", "verdict": "present"}]},
    "/films/{film_id}/verdicts/undo": {"verdict_ids": ["0" * 16]},
    "/export": {},
    "/lists": {
        "name": "x",
        "film_ids": ["0" * 16],
        "readers": ["0" * 16],
        "findings": ["covid-19"],
    },
    "/lists/{list_id}": {},
    "/round": {},
    "/round/place": {"film_id": "0" * 16},
    "/login": {"name": "nobody", "password": "wrong password"},
    "/me/blind": {"on": False},
    "/me/password": {"old": "wrong password", "new": "a new password"},
    "/tokens": {"user_id": "0" * 16, "name": "x"},
    "/users": {"name": "new", "role": "reader"},
    "/users/{user_id}": {},
}


def _nothing() -> None:
    """A route that a later change might add."""


def _filled(path):
    for name in (
        "film_id",
        "study_id",
        "report_id",
        "reading_id",
        "token_id",
        "user_id",
        "list_id",
    ):
        path = path.replace("{" + name + "}", "0" * 16)
    path = path.replace("{label}", "covid-19").replace("{kind}", "ground-glass")
    path = path.replace("{place}", "0").replace("{study}", "1.2.3")
    return API + path


def test_every_route_stands_in_the_matrix(station):
    found = {}
    for route in routes(station.app):
        for method in route.methods:
            found[method, route.path.removeprefix(API)] = role_of(route)
    assert found == MATRIX | PAGES


@pytest.mark.parametrize("role", [None, "metrics", "reader", "reviewer", "administrator"])
def test_every_route_with_every_role(station, role):
    client = station.client(role)
    for (method, path), least in MATRIX.items():
        if path == "/events" and role not in (None, "metrics"):
            continue  # it never ends; tested in test_stream.py
        answer = client.request(method, _filled(path), json=BODIES.get(path))
        where = f"{method} {path} as {role}: {answer.status_code} {answer.text[:200]}"
        if least is None:
            assert answer.status_code != 403, where
        elif role is None:
            assert answer.status_code == 401, where
            assert answer.json()["code"] == "not-signed-in", where
        elif not Role(role).covers(least):
            assert answer.status_code == 403, where
            assert answer.json()["code"] == "not-allowed", where
        else:
            assert answer.status_code not in (401, 403), where
            assert answer.status_code < 500, where


def test_a_route_that_does_not_say_who_may_call_it_stops_the_app(station, monkeypatch):
    router = APIRouter()
    router.add_api_route("/new", _nothing)
    monkeypatch.setattr("hilum.apps.web.operation.router", router)
    with pytest.raises(LookupError, match="/new does not say who may call it"):
        create_app(station.service)


def test_a_route_with_two_roles_needs_the_higher(station, monkeypatch):
    router = APIRouter(prefix=API)
    both = [needs(Role.READER), needs(Role.ADMINISTRATOR)]
    router.add_api_route("/new", _nothing, dependencies=both)
    monkeypatch.setattr("hilum.apps.web.operation.router", router)
    app = create_app(station.service)
    (route,) = [each for each in routes(app) if each.path == f"{API}/new"]
    assert role_of(route) is Role.ADMINISTRATOR


@pytest.mark.parametrize("token", ["", "hilum_wrong", "x" * 5000, "\x7f"])
def test_a_wrong_token_is_nobody(station, token):
    answer = station.client(Authorization=f"Bearer {token}").get(f"{API}/me")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_disabled_person_is_nobody(station):
    admin = station.client("administrator")
    users = {each["name"]: each["user_id"] for each in admin.get(f"{API}/users").json()["items"]}
    reader = station.client("reader")
    assert reader.get(f"{API}/me").status_code == 200
    changed = admin.patch(f"{API}/users/{users['reader-1']}", json={"disabled": True})
    assert changed.json()["disabled"]
    assert reader.get(f"{API}/me").status_code == 401


def test_nobody_changes_himself_and_names_are_checked(station):
    admin = station.client("administrator")
    users = {each["name"]: each["user_id"] for each in admin.get(f"{API}/users").json()["items"]}
    own = admin.patch(f"{API}/users/{users['administrator-1']}", json={"role": "reader"})
    assert own.status_code == 409
    again = admin.post(f"{API}/users", json={"name": "reader-1", "role": "reader"})
    assert again.status_code == 400
    assert "there already" in again.json()["detail"]
    spaced = admin.post(f"{API}/users", json={"name": "a b", "role": "reader"})
    assert spaced.status_code == 400


def test_a_token_is_shown_once_and_can_be_taken_back(station):
    admin = station.client("administrator")
    users = {each["name"]: each["user_id"] for each in admin.get(f"{API}/users").json()["items"]}
    made = admin.post(f"{API}/tokens", json={"user_id": users["reader-1"], "name": "x"}).json()
    client = station.client(Authorization=f"Bearer {made['token']}")
    assert client.get(f"{API}/me").json()["name"] == "reader-1"
    assert made["token"] not in admin.get(f"{API}/tokens").text
    assert admin.delete(f"{API}/tokens/{made['token_id']}").status_code == 204
    assert client.get(f"{API}/me").status_code == 401

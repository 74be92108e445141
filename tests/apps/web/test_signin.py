from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from hilum.apps.store import people, tables
from hilum.apps.store.people import Role, add_person
from hilum.apps.web.access import identify, role_of
from hilum.apps.web.app import routes
from hilum.apps.web.guard import HEADERS
from hilum.apps.web.settings import Limits, Session, Settings

API = "/api/v1"
PASSWORD = "a long enough password"


@pytest.fixture
def anna(station):
    with station.service.store.write() as session:
        add_person(session, "anna", Role.REVIEWER, PASSWORD)
    return station


def _login(client, password=PASSWORD, **headers):
    body = {"name": "anna", "password": password}
    return client.post(f"{API}/login", json=body, headers=headers)


def test_a_session_by_password(anna):
    client = anna.client()
    answer = _login(client)
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    me = client.get(f"{API}/me").json()
    assert (me["name"], me["role"], me["local"]) == ("anna", "reviewer", False)
    assert PASSWORD not in answer.text
    assert client.post(f"{API}/logout", headers={"X-CSRF-Token": me["csrf"]}).status_code == 204
    assert client.get(f"{API}/me").status_code == 401


def test_the_password_is_not_in_the_store(anna):
    with anna.service.store.engine.connect() as connection:
        (kept,) = connection.exec_driver_sql(
            "SELECT password FROM people WHERE name = 'anna'"
        ).fetchone()
    assert kept.startswith("$argon2id$")


def test_changes_by_cookie_need_the_csrf_token(anna):
    client = anna.client()
    csrf = _login(client).json()["csrf"]
    path = f"{API}/me/blind"
    for headers in ({}, {"X-CSRF-Token": "wrong"}):
        refused = client.put(path, json={"on": True}, headers=headers)
        assert refused.status_code == 403
        assert refused.json()["code"] == "csrf"
    for foreign in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        headers = {"X-CSRF-Token": csrf} | foreign
        assert client.put(path, json={"on": True}, headers=headers).status_code == 403
    own = {"X-CSRF-Token": csrf, "Origin": "http://127.0.0.1:8337"}
    assert client.put(path, json={"on": True}, headers=own).json()["blind"] is True


def test_who_changes_the_own_password_ends_every_other_session(anna):
    here, elsewhere = anna.client(), anna.client()
    csrf = _login(here).json()["csrf"]
    _login(elsewhere)
    path, new = f"{API}/me/password", "another long password"
    own = {"X-CSRF-Token": csrf}
    body = {"old": PASSWORD, "new": new}
    assert here.put(path, json=body).json()["code"] == "csrf"
    assert here.put(path, json=body | {"new": "short"}, headers=own).status_code == 422
    wrong = here.put(path, json=body | {"old": "wrong password"}, headers=own)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")
    changed = here.put(path, json=body, headers=own)
    assert changed.status_code == 200
    assert changed.json()["csrf"] != csrf
    assert here.get(f"{API}/me").json()["csrf"] == changed.json()["csrf"]
    assert elsewhere.get(f"{API}/me").status_code == 401
    assert _login(anna.client()).status_code == 401
    assert _login(anna.client(), new).status_code == 200
    assert PASSWORD not in changed.text
    assert new not in changed.text


def test_guesses_of_the_own_password_are_counted_and_scripts_cannot_change_it(anna):
    client = anna.client()
    own = {"X-CSRF-Token": _login(client).json()["csrf"]}
    body = {"old": "wrong password", "new": "another long password"}
    codes = [client.put(f"{API}/me/password", json=body, headers=own).status_code for _ in range(6)]
    assert codes == [422] * 5 + [429]
    script = anna.client("reader").put(f"{API}/me/password", json=body)
    assert (script.status_code, script.json()["code"]) == (409, "conflict")


def _failed(station):
    lines = station.service.log.lines(limit=100)
    return [json.loads(each.data) for each in lines if each.action == "login-failed"]


def test_the_log_says_whose_password_was_tried_and_from_where(anna):
    client = anna.client()
    csrf = _login(client).json()["csrf"]
    client.post(f"{API}/login", json={"name": "никто " + "x" * 58, "password": "wrong password"})
    body = {"old": "wrong password", "new": "another long password"}
    client.put(f"{API}/me/password", json=body, headers={"X-CSRF-Token": csrf})
    assert _failed(anna) == [
        {"name": "anna", "address": "127.0.0.1"},
        {"name": "никто " + "x" * 58, "address": "127.0.0.1"},
    ]
    assert anna.service.log.verify().ok
    too_long = {"name": "x" * 65, "password": "wrong password"}
    assert client.post(f"{API}/login", json=too_long).status_code == 422


def test_behind_a_trusted_proxy_the_log_says_the_clients_address(make_station):
    station = make_station(Settings(proxies=("127.0.0.1",)))
    station_client = station.client(**{"X-Forwarded-For": "203.0.113.9"})
    assert _login(station_client, "wrong password").status_code == 401
    direct = make_station()
    assert _login(direct.client(**{"X-Forwarded-For": "203.0.113.9"}), "x").status_code == 401
    assert [each["address"] for each in _failed(station)] == ["203.0.113.9"]
    assert [each["address"] for each in _failed(direct)] == ["127.0.0.1"]


def _later(monkeypatch, minutes):
    monkeypatch.setattr(people, "now_ms", lambda: tables.now_ms() + round(minutes * 60_000))


def test_a_session_that_nobody_uses_ends(anna, monkeypatch):
    client = anna.client()
    assert _login(client).json()["idle_minutes"] == 30
    for minutes in (29, 58, 87):  # each time somebody is there
        _later(monkeypatch, minutes)
        assert client.get(f"{API}/me").status_code == 200, minutes
    _later(monkeypatch, 87 + 31)
    assert client.get(f"{API}/me").status_code == 401


def test_a_session_that_is_used_ends_after_hours_all_the_same(make_station, monkeypatch):
    made = make_station(Settings(session=Session(idle_minutes=50, hours=1)))
    with made.service.store.write() as session:
        add_person(session, "anna", Role.REVIEWER, PASSWORD)
    client = made.client()
    assert "Max-Age=3600" in _login(client).headers["set-cookie"]
    _later(monkeypatch, 45)
    assert client.get(f"{API}/me").status_code == 200
    _later(monkeypatch, 59)
    assert client.get(f"{API}/me").status_code == 200
    _later(monkeypatch, 61)
    assert client.get(f"{API}/me").status_code == 401


def test_an_open_page_that_only_listens_is_not_used(anna, monkeypatch):
    client = anna.client()
    _login(client)
    request = SimpleNamespace(headers={}, cookies=dict(client.cookies))
    for minutes in (20, 29):
        _later(monkeypatch, minutes)
        assert identify(request, anna.service, uses=False)
    _later(monkeypatch, 31)
    assert not identify(request, anna.service, uses=False)
    (route,) = [each for each in routes(anna.app) if each.path == f"{API}/events"]
    assert role_of(route) is Role.READER


def test_a_token_has_no_idle_time(anna, monkeypatch):
    _later(monkeypatch, 60 * 24 * 365)
    assert anna.client("reader").get(f"{API}/me").status_code == 200


def test_another_sites_page_cannot_sign_in(anna):
    assert _login(anna.client(), Origin="http://evil.example").status_code == 403


def test_wrong_passwords_are_counted_by_name_and_address(anna):
    client = anna.client()
    for _ in range(5):
        assert _login(client, "wrong password").status_code == 401
    late = _login(client)
    assert late.status_code == 429
    assert int(late.headers["retry-after"]) > 200


def test_the_count_is_forgotten(make_station, monkeypatch):
    made = make_station(Settings(limits=Limits(login_failures=1, login_minutes=1)))
    with made.service.store.write() as session:
        add_person(session, "anna", Role.REVIEWER, PASSWORD)
    now = [1000.0]
    monkeypatch.setattr("hilum.apps.web.signin.time.monotonic", lambda: now[0])
    client = made.client()
    assert _login(client, "wrong password").status_code == 401
    assert _login(client).status_code == 429
    now[0] += 61
    assert _login(client).status_code == 200


def test_nobody_is_told_how_to_sign_in(station):
    answer = station.client().get(f"{API}/me")
    assert answer.json()["sign_in"] == {"password": True, "oidc": None, "link": True}
    assert answer.headers["content-type"] == "application/problem+json"


def test_every_answer_has_the_safe_headers(station):
    for path in ("/", f"{API}/me", f"{API}/nothing", "/nothing.js", f"{API}/health"):
        answer = station.client().get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, path
    assert station.client().get(f"{API}/me").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8337", "127.0.0.1.evil", ""])
def test_another_host_is_refused(station, host):
    answer = station.client("reader", Host=host).get(f"{API}/me")
    assert answer.status_code == 400


@pytest.mark.parametrize("host", ["localhost:8337", "127.0.0.1", "[::1]:8337"])
def test_the_names_of_loopback_are_known(station, host):
    assert station.client("reader", Host=host).get(f"{API}/me").status_code == 200


def test_a_new_role_ends_open_sessions(anna):
    client = anna.client()
    _login(client)
    admin = anna.client("administrator")
    users = {each["name"]: each["user_id"] for each in admin.get(f"{API}/users").json()["items"]}
    admin.patch(f"{API}/users/{users['anna']}", json={"role": "reader"})
    assert client.get(f"{API}/me").status_code == 401

"""Days are those of the person, and not of Greenwich; HEAD is answered wherever GET is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from hilum.apps.store.tables import Read, Study
from hilum.apps.web import days, monitoring
from hilum.apps.web.app import routes
from hilum.apps.web.settings import Settings
from hilum.core.errors import ConfigError

API = "/api/v1"


def _ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("arrived", "zone", "day"),
    [
        ("2026-11-22T23:30", "Europe/Moscow", "2026-11-23"),  # UTC+3
        ("2026-11-22T20:59", "Europe/Moscow", "2026-11-22"),
        ("2026-11-23T04:59", "America/New_York", "2026-11-22"),  # UTC-5 in winter
        ("2026-07-23T03:59", "America/New_York", "2026-07-22"),  # UTC-4 in summer
        ("2026-11-22T18:30", "Asia/Kolkata", "2026-11-23"),  # UTC+5:30
        ("2026-11-22T23:59", "UTC", "2026-11-22"),
    ],
)
def test_the_worklist_has_the_days_of_the_person(station, make_film, arrived, zone, day):
    station.send(make_film(1))
    with station.service.store.write() as session:
        session.execute(update(Study).values(created_ms=_ms(arrived)))
    client = station.client("reader")
    found = []
    for number in (21, 22, 23, 24):
        asked = f"{day[:8]}{number}"
        body = {"from": asked, "to": asked, "zone": zone}
        in_body = client.post(f"{API}/studies/search", json=body).json()["total"]
        assert client.get(f"{API}/studies", params=body).json()["total"] == in_body
        found += [asked] * in_body
    assert found == [day]


def test_the_day_on_which_clocks_change_is_whole(station, make_film):
    """25 hours in Berlin on 25 October 2026: from 22:00 UTC the day before to 23:00."""
    films = station.send(*(make_film(number) for number in range(4))).json()["accepted"]
    moments = ["2026-10-24T21:59", "2026-10-24T22:00", "2026-10-25T22:59", "2026-10-25T23:00"]
    with station.service.store.write() as session:
        for film, moment in zip(films, moments, strict=True):
            at = update(Study).where(Study.id == film["study_id"])
            session.execute(at.values(created_ms=_ms(moment)))
    body = {"from": "2026-10-25", "to": "2026-10-25", "zone": "Europe/Berlin"}
    items = station.client("reader").post(f"{API}/studies/search", json=body).json()["items"]
    assert {each["study_id"] for each in items} == {each["study_id"] for each in films[1:3]}


def test_monitoring_counts_the_days_of_the_person(make_station, make_film, monkeypatch):
    station = make_station(Settings(zone="Asia/Tokyo"))
    station.film(make_film(1))
    now = _ms("2026-11-22T20:00")  # the 23rd in Tokyo
    monkeypatch.setattr(monitoring, "now_ms", lambda: now)
    with station.service.store.write() as session:
        session.execute(update(Read).values(created_ms=_ms("2026-11-22T16:00")))
    client = station.client("reader")
    for zone, day in ((None, "2026-11-23"), ("UTC", "2026-11-22"), ("Asia/Tokyo", "2026-11-23")):
        query = {"days": 2} | ({"zone": zone} if zone else {})
        asked = client.get(f"{API}/monitoring", params=query)
        listed = {each["day"]: each["films"] for each in asked.json()["days"]}
        assert listed[day] == 1, zone
        assert sum(listed.values()) == 1
        assert max(listed) == day


@pytest.mark.parametrize(
    "zone", ["Mars/Base", "../../etc/passwd", "/etc/localtime", "Europe", "", "a" * 65, "x\0"]
)
def test_what_is_no_time_zone_is_422(station, zone):
    client = station.client("reader")
    assert client.get(f"{API}/studies", params={"zone": zone}).status_code == 422
    assert client.get(f"{API}/agreement", params={"zone": zone}).status_code == 422
    assert client.get(f"{API}/monitoring", params={"zone": zone}).status_code == 422


def test_the_sites_zone_is_checked(tmp_path):
    (tmp_path / "hilum.toml").write_text('zone = "Europe/Berlim"\n')
    with pytest.raises(ConfigError, match="Berlim"):
        Settings.load(tmp_path / "hilum.toml")


def test_a_day_that_is_none_is_422(station):
    client = station.client("reader")
    for day in ("2026-02-30", "0000-01-01"):
        assert client.get(f"{API}/studies", params={"from": day}).status_code == 422
    for day in ("0001-01-01", "9999-12-31"):
        answer = client.get(f"{API}/studies", params={"from": day, "to": day})
        assert answer.status_code in (200, 422)
    assert days.day_ms(None, days.zone_of(None, "UTC")) is None


def test_head_is_answered_wherever_get_is(station, make_film):
    film_id = station.film(make_film(1))
    client = station.client("administrator")
    plain = [each for each in routes(station.app) if "{" not in each.path]
    paths = [each.path for each in plain if "GET" in each.methods and each.path.startswith(API)]
    paths += ["/", "/icon.svg"]
    one = f"{API}/films/{film_id}"
    paths += [one, f"{one}/image", f"{one}/pixels", f"{one}/thumbnail.jpg", f"{one}/reading"]
    assert f"{API}/health" in paths
    assert f"{API}/events" in paths
    for path in paths:
        head = client.head(path)
        assert head.content == b"", path
        assert head.status_code < 500 or path.endswith("/ready"), path
        if path.endswith("/events"):
            assert head.status_code == 200
            continue
        got = client.get(path)
        assert head.status_code == got.status_code, path
        assert head.headers["content-type"] == got.headers["content-type"], path
        for name in ("content-security-policy", "x-content-type-options"):
            assert head.headers[name] == got.headers[name]


def test_head_needs_what_get_needs(station):
    for path in ("/studies", "/log", "/metrics", "/events"):
        assert station.client().head(API + path).status_code == 401
    assert station.client("reader").head(f"{API}/log").status_code == 403


@pytest.mark.parametrize("prefix", ["/api", "/api/v1", "/open/x", "/assets", "/a/../b", "/."])
def test_a_prefix_that_could_be_the_servers_own_path_is_refused(prefix):
    with pytest.raises(ValueError, match="not a path that a proxy can show"):
        Settings(prefix=prefix)

"""Behind nginx as the documentation has it: at a port of its own, and under a path."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from hilum.apps.store.people import Role, add_person
from hilum.apps.web.settings import Settings

from .conftest import Served, beside, sign_in

expect = pytest.importorskip("playwright.sync_api").expect
proxied = beside("proxied.py")
PASSWORD = "a long enough password"

if proxied.NGINX is None:
    pytest.skip("no nginx on this machine: apt install nginx-light", allow_module_level=True)

ROOT, UNDER = proxied.documented()
KEPT = UNDER.replace("127.0.0.1:8337/;", "127.0.0.1:8337;")
WAYS = {
    "at the root": (ROOT, "", ""),
    "under a path, set": (UNDER, "/hilum", "/hilum"),
    "under a path, not set": (UNDER, "/hilum", ""),
    "under a path that the proxy keeps": (KEPT, "/hilum", "/hilum"),
}


@pytest.fixture(params=list(WAYS))
def behind(request: Any, make_station: Any, tmp_path: Path) -> Any:
    """A workstation behind nginx, with Anna, who administrates it, and its address."""
    location, path, prefix = WAYS[request.param]
    station = make_station(Settings(proxies=("127.0.0.1",), prefix=prefix))
    with station.service.store.write() as session:
        add_person(session, "anna", Role.ADMINISTRATOR, PASSWORD)
    with Served(station.app) as served:
        upstream = served.address.rpartition(":")[2]
        with proxied.nginx(tmp_path / "nginx", location, upstream) as port:
            origin = f"http://127.0.0.1:{port}"
            yield SimpleNamespace(station=station, origin=origin, path=path, prefix=prefix)


def test_a_days_work_behind_a_proxy(behind: Any, page: Any, make_film: Any) -> None:
    station = behind.station
    sample = proxied.DOCS.parents[2] / "src/hilum/serve/samples/frontal-opacities.png"
    station.film(sample if sample.exists() else make_film(1), patient_id="P-104")
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url))
    page.goto(f"{behind.origin}{behind.path}/")
    sign_in(page, "anna", PASSWORD)
    with page.expect_response(lambda answer: "/events" in answer.url) as events:
        page.locator(".studies a").first.click()
    assert events.value.status == 200
    page.locator(".headline").first.wait_for()
    page.get_by_role("tab", name="Report").click()
    page.get_by_role("textbox", name="Findings").fill("clear")
    page.get_by_role("button", name="Save a version").click()
    page.get_by_role("link", name="PDF", exact=True).first.wait_for()
    href = page.get_by_role("link", name="PDF", exact=True).first.get_attribute("href")
    assert page.request.get(behind.origin + href).headers["content-type"] == "application/pdf"
    station.send(make_film(2))  # an event, as it happens
    page.get_by_role("link", name="Worklist").click()
    page.locator(".studies a", has_text="film2.png").wait_for()
    mine = (f"{behind.origin}{behind.path}/", "blob:", "data:")
    assert [url for url in asked if not url.startswith(mine)] == []
    (cookie,) = page.context.cookies()
    assert cookie["path"] == (behind.prefix or "/")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()
    assert page.context.cookies() == []


def test_addresses_in_answers_are_those_of_the_proxy(behind: Any) -> None:
    base = f"{behind.origin}{behind.path}/api/v1"
    with httpx.Client(headers={"Origin": behind.origin}) as client:
        body = {"name": "anna", "password": PASSWORD}
        assert client.post(f"{base}/login", json=body).status_code == 200
        address = client.get(f"{base}/openapi.json").json().get("servers")
        assert address == ([{"url": behind.prefix}] if behind.prefix else None)
        for target, lands in (("/open?key=x", "/?link=used"), ("/open", "/")):
            answer = client.get(behind.origin + behind.path + target)
            client.cookies.clear()
            assert answer.status_code == 303
            joined = httpx.URL(behind.origin + behind.path + target).join(
                answer.headers["location"]
            )
            assert str(joined).startswith(f"{behind.origin}{behind.path}/"), lands
        if behind.path:
            bare = client.get(behind.origin + behind.path, follow_redirects=False)
            assert bare.headers["location"].endswith(f"{behind.path}/")


def test_the_link_is_for_nobody_behind_a_proxy(behind: Any) -> None:
    """Even if somebody had one: what nginx passes on is not at this machine."""
    from sqlalchemy import update

    from hilum.apps.store.tables import Person

    with behind.station.service.store.write() as session:
        session.execute(update(Person).values(password=None))
    link = behind.station.link()
    answer = httpx.get(f"{behind.origin}{behind.path}{link}")
    assert answer.headers["location"] == "./?link=used"
    assert "set-cookie" not in answer.headers


def test_a_film_larger_than_nginx_buffers_goes_through(behind: Any) -> None:
    base = f"{behind.origin}{behind.path}/api/v1"
    token = {"Authorization": f"Bearer {behind.station.tokens['reviewer']}"}
    noise = [("files", (f"{n}.png", _noise(n))) for n in range(2)]
    answer = httpx.post(f"{base}/films", files=noise, headers=token, timeout=60)
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["accepted"]) == 2


def _noise(seed: int) -> bytes:
    import cv2
    import numpy as np

    pixels = np.random.default_rng(seed).integers(0, 65535, (1200, 1200), np.uint16)
    return bytes(cv2.imencode(".png", pixels)[1].tobytes())

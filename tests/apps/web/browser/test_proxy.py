"""Behind nginx as the documentation has it: at a port of its own, under a path, and with TLS."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from hilum.apps.store.people import Role, add_person
from hilum.apps.web.settings import Settings
from hilum.serve.samples import ROOT as SAMPLES

from .conftest import SCREEN, Served, beside, new_page, sign_in, takes_keys
from .test_server import Redirecting, oidc, serving

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
    page.get_by_role("button", name="Save as a draft").click()
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
    with httpx.Client(headers={"Origin": behind.origin}, timeout=60) as client:
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


def test_twenty_people_behind_tls_with_postgresql_and_the_hospitals_sign_in(
    make_store_url: Any, tmp_path: Path, chromium: Any
) -> None:
    """What the page on deploying says, with this machine's addresses in place of its examples."""
    page_of = (proxied.DOCS.parent / "deploy.md").read_text(encoding="utf-8")
    (settings,) = re.findall(r"```toml\n(.*?)```", page_of, re.DOTALL)
    (server,) = re.findall(r"```nginx\n(.*?)```", page_of, re.DOTALL)
    issuer = oidc.Issuer()
    issuer.RequestHandlerClass = Redirecting
    threading.Thread(target=issuer.serve_forever, daemon=True).start()
    data, port = tmp_path / "data", proxied.free_port(8443)
    origin = f"https://localhost:{port}"
    here = {
        "https://id.example": issuer.address, "https://reading.example:8443": origin,
        "reading.example": "localhost", "SECRET": oidc.SECRET,
        "/etc/ssl/hilum": str(tmp_path), "listen 8443 ": f"listen 127.0.0.1:{port} ",
    }  # fmt: skip
    for example, ours in here.items():
        settings, server = settings.replace(example, ours), server.replace(example, ours)
    data.mkdir()
    (data / "hilum.toml").write_text(settings, encoding="utf-8")
    _certify(tmp_path)
    hilum = serving.Served(data, None, make_store_url("postgresql"))
    hilum.start()
    upstream = hilum.base.rpartition(":")[2]
    try:
        with (
            proxied.nginx(tmp_path / "nginx", server, upstream, port),
            new_page(chromium, viewport=SCREEN, ignore_https_errors=True) as page,
        ):
            page.goto(f"{origin}/hilum/?cpu")
            page.get_by_role("link", name="Sign in with the hospital's account").click()
            page.get_by_text("No films yet").wait_for()
            (cookie,) = page.context.cookies(f"{origin}/hilum/")
            assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == ("/hilum", True, True)
            page.locator("input[type=file]").set_input_files(str(SAMPLES / "frontal.dcm"))
            page.locator(".studies .status-read").wait_for()  # by itself, when the worker has it
            page.locator(".studies").get_by_role("link", name="frontal.dcm").click()
            takes_keys(page)
            for _ in page.locator("fieldset.calls").all():
                page.keyboard.press("2")
            page.get_by_text("Verdict saved.").wait_for()
            page.keyboard.press("t")
            page.get_by_role("textbox", name="Impression").fill("No opacity.")
            page.keyboard.press("Control+Enter")
            paper = page.get_by_role("link", name="PDF", exact=True).first
            address = str(paper.get_attribute("href"))
            assert address.startswith("/hilum/"), address
            assert page.request.get(origin + address).body().startswith(b"%PDF")
            page.get_by_role("button", name="Sign out").click()
            page.get_by_role("link", name="Sign in with the hospital's account").wait_for()
    finally:
        hilum.stop()
        issuer.shutdown()
        issuer.server_close()


def _certify(folder: Path) -> None:
    """A certificate of localhost that nobody has signed but itself."""
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "fullchain.pem")]
    kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(["openssl", "req", *kind, *files], check=True, capture_output=True)

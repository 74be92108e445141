"""The one-time link: who it lets in, from where, until when, and who never sees it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading

import pytest
from fastapi.testclient import TestClient

from hilum.apps.cli.main import run
from hilum.apps.store.people import Role, add_person, local_person
from hilum.apps.store.tables import Visit
from hilum.apps.web import link as links
from hilum.apps.web.settings import OpenId, Settings
from hilum.core.errors import ConfigError

API = "/api/v1"
PASSWORD = "a long enough password"


def _add_anna(station):
    with station.service.store.write() as session:
        add_person(session, "anna", Role.READER, PASSWORD)


def test_it_works_once(station):
    link, client, other = station.link(), station.client(), station.client()
    opened = client.get(link)
    assert (opened.status_code, opened.headers["location"]) == (303, "./")
    me = client.get(f"{API}/me").json()
    assert (me["role"], me["local"]) == ("administrator", True)
    assert other.get(link).headers["location"] == "./?link=used"
    assert other.get(f"{API}/me").status_code == 401
    assert other.get(station.link()).headers["location"] == "./"
    assert other.get(f"{API}/me").status_code == 200


def test_it_ends_after_minutes_and_only_the_newest_counts(station, monkeypatch):
    old, new = station.link(), station.link()
    assert station.client().get(old).headers["location"] == "./?link=used"
    real = links.now_ms
    monkeypatch.setattr(links, "now_ms", lambda: real() + links.LINK_MINUTES * 60_000 + 1)
    assert station.client().get(new).headers["location"] == "./?link=used"


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Real-IP",
        "Via",
        "CF-Connecting-IP",
        "True-Client-IP",
        "X-Client-IP",
        "X-Envoy-External-Address",
    ],
)
def test_what_a_proxy_passed_on_is_not_let_in(station, header):
    proxied = station.client(**{header: "127.0.0.1"})
    link = station.link()
    assert proxied.get(link).headers["location"] == "./?link=used"
    assert proxied.get(f"{API}/me").status_code == 401
    assert station.client().get(link).headers["location"] == "./"  # and the link was not used up


@pytest.mark.parametrize(
    ("peer", "host"),
    [("192.0.2.1", "127.0.0.1:8337"), ("10.0.0.1", "localhost"), ("127.0.0.1", "reading.example")],
)
def test_another_address_or_name_is_not_let_in(make_station, peer, host):
    station = make_station(Settings(hosts=("reading.example",)))
    client = TestClient(
        station.app, base_url=f"http://{host}", client=(peer, 1), follow_redirects=False
    )
    assert client.get(station.link()).headers["location"] == "./?link=used"


def test_a_session_by_the_link_holds_at_this_machine_only(station):
    client = station.client()
    client.get(station.link())
    assert client.get(f"{API}/me").status_code == 200
    assert client.get(f"{API}/me", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 401


def test_there_is_none_once_somebody_can_sign_in(station):
    link = station.link()
    _add_anna(station)
    assert station.client().get(link).headers["location"] == "./?link=used"
    with pytest.raises(ConfigError, match="people can sign in"):
        station.link()
    answer = station.client().get(f"{API}/me").json()
    assert answer["sign_in"]["link"] is False
    assert "link" not in answer["hint"]


def test_of_many_at_once_one_is_let_in(station):
    link, found = station.link(), []
    clients = [station.client() for _ in range(8)]
    threads = [
        threading.Thread(target=lambda c=client: found.append(c.get(link).headers["location"]))
        for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["./", *["./?link=used"] * 7]


def test_the_key_is_not_kept(station):
    key = station.link().partition("=")[2]
    held = b"".join(p.read_bytes() for p in station.service.data.rglob("*") if p.is_file())
    assert key.encode() not in held


OIDC = OpenId(issuer="http://i", client_id="c", client_secret="s", redirect_url="http://r")


@pytest.mark.parametrize(
    "settings",
    [{"https": True}, {"hosts": ("a.example",)}, {"proxies": ("127.0.0.1",)}, {"oidc": OIDC}],
)
def test_a_server_behind_a_proxy_is_for_others(settings):
    assert Settings(**settings).for_others
    assert not Settings().for_others


def test_behind_a_proxy_somebody_must_be_able_to_sign_in(tmp_path, capsys):
    (tmp_path / "hilum.toml").write_text("https = true\n")
    assert run(["serve", "--port", "0", "--home", str(tmp_path)]) == ConfigError.exit_code
    assert "hilum user add" in capsys.readouterr().err


def _served(tmp_path, capsys, monkeypatch, *, terminal):
    """What ``hilum serve`` prints when it is ready."""
    monkeypatch.setattr("hilum.apps.web.serve._Server.run", lambda self, **_: self._ready())
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    assert run(["serve", "--port", "0", "--home", str(tmp_path / "data")]) == 0
    return capsys.readouterr().out


def test_it_is_printed_to_a_terminal_alone(tmp_path, capsys, monkeypatch):
    printed = _served(tmp_path, capsys, monkeypatch, terminal=False)
    assert "key=" not in printed
    assert f"hilum user link --home {tmp_path / 'data'}" in printed
    assert "/open?key=" in _served(tmp_path, capsys, monkeypatch, terminal=True)


def test_the_command_prints_it(tmp_path, capsys, monkeypatch):
    data = ["--home", str(tmp_path / "data")]
    _served(tmp_path, capsys, monkeypatch, terminal=False)
    assert run(["user", "link", *data]) == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")
    run(["store", "log", "--json", *data])
    printed = capsys.readouterr().out
    assert "link-made" in printed
    assert "key=" not in printed


def test_with_people_nothing_is_printed(tmp_path, capsys, monkeypatch):
    import io

    data = ["--home", str(tmp_path / "data")]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    run(["user", "add", "anna", *data])
    assert "link" not in _served(tmp_path, capsys, monkeypatch, terminal=True)
    assert run(["user", "link", *data]) == ConfigError.exit_code
    assert "hilum user change" in capsys.readouterr().err


def test_a_real_terminal_shows_it_and_a_pipe_does_not(tmp_path):
    command = [sys.executable, "-m", "hilum", "serve", "--port", "0", "--home", str(tmp_path)]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL) as server:
        os.close(theirs)
        printed = b""
        while b"key=" not in printed:
            printed += os.read(ours, 4096)
        server.terminate()
    os.close(ours)
    assert b"open this link once" in printed


def test_an_old_visit_by_the_link_says_nothing_of_a_key(station):
    """The log tells who came, and from where."""
    station.client().get(station.link())
    with station.service.store.read() as session:
        assert session.query(Visit).count() == 1
        assert local_person(session).name == "local"
    (line,) = [each for each in station.service.log.lines(limit=20) if each.action == "login"]
    assert (line.who, line.data) == ("local", '{"address": "127.0.0.1"}')

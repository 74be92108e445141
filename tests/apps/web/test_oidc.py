"""Sign-in by OpenID Connect, against a small issuer of the test's own on loopback."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from hilum.apps.store.people import Role
from hilum.apps.web.settings import OpenId, Settings

API = "/api/v1"
CLIENT, SECRET = "hilum", "client secret"


class Issuer(ThreadingHTTPServer):
    """An OpenID provider with one person; ``claims`` and ``key`` may be changed by a test."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answers)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.published = self.key = ECKey.generate_key("P-256", {"kid": "k1"})
        self.claims = {}
        self.codes = {}
        self.asked = []

    def authorize(self, address):
        """Do what the provider does when the person has signed in there: return (state, code)."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        self.asked.append(asked)
        code = secrets.token_hex(8)
        self.codes[code] = asked
        return asked["state"], code

    def token(self, form):
        """Return the answer of the token endpoint, or None to refuse."""
        asked = self.codes.pop(form["code"], None)
        if asked is None:
            return None
        proof = hashlib.sha256(form["code_verifier"].encode()).digest()
        if urlsafe_b64encode(proof).decode().rstrip("=") != asked["code_challenge"]:
            return None
        now = int(time.time())
        claims = {
            "iss": self.address, "aud": CLIENT, "sub": "s-1", "exp": now + 300, "iat": now,
            "nonce": asked["nonce"], "preferred_username": "anna", "groups": ["radiology"],
        } | self.claims  # fmt: skip
        token = jwt.encode({"alg": "ES256", "kid": "k1"}, claims, self.key)
        return {"access_token": "x", "token_type": "Bearer", "id_token": token}


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        issuer = self.server
        if self.path == "/.well-known/openid-configuration":
            return self._say(200, {
                "issuer": issuer.address,
                "authorization_endpoint": f"{issuer.address}/authorize",
                "token_endpoint": f"{issuer.address}/token",
                "jwks_uri": f"{issuer.address}/keys",
            })  # fmt: skip
        return self._say(200, KeySet([issuer.published]).as_dict(private=False))

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        form = {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
        answer = self.server.token(form)
        self._say(200 if answer else 400, answer or {"error": "invalid_grant"})

    def _say(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def issuer():
    made = Issuer()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def make_oidc(make_station, issuer):
    def make(**changes):
        values = {
            "issuer": issuer.address,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_url": "http://127.0.0.1:8337/api/v1/oidc/callback",
            "roles": {"radiology": Role.REVIEWER, "it": Role.ADMINISTRATOR},
        }
        return make_station(Settings(oidc=OpenId(**(values | changes))))

    return make


def _sign_in(station, issuer, state=None):
    client = station.client()
    sent = client.get(f"{API}/oidc/login")
    assert sent.status_code == 303
    given, code = issuer.authorize(sent.headers["location"])
    path = f"{API}/oidc/callback?state={state or given}&code={code}"
    return client, client.get(path)


def test_a_person_signs_in_and_has_the_role_of_the_groups(make_oidc, issuer):
    station = make_oidc()
    client, back = _sign_in(station, issuer)
    assert back.headers["location"] == "../../../"
    me = client.get(f"{API}/me").json()
    assert (me["name"], me["role"], me["local"]) == ("anna", "reviewer", False)
    assert issuer.asked[0]["code_challenge_method"] == "S256"
    issuer.claims = {"groups": ["it", "radiology"], "preferred_username": "renamed"}
    client, _ = _sign_in(station, issuer)
    me = client.get(f"{API}/me").json()
    assert (me["name"], me["role"]) == ("anna", "administrator")
    offered = station.client().get(f"{API}/me").json()["sign_in"]
    assert offered["oidc"] == "/api/v1/oidc/login"


def test_who_has_no_role_is_turned_away(make_oidc, issuer):
    issuer.claims = {"groups": ["kitchen"]}
    client, back = _sign_in(make_oidc(), issuer)
    assert back.headers["location"] == "../../../?sign-in=not-allowed"
    assert client.get(f"{API}/me").status_code == 401
    client, back = _sign_in(make_oidc(default_role=Role.READER), issuer)
    assert client.get(f"{API}/me").json()["role"] == "reader"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "another"}, "'nonce'"),
        ({"aud": "another"}, "'aud'"),
        ({"iss": "http://another"}, "'iss'"),
        ({"exp": 1_600_000_000}, "expired"),
        ({"sub": None}, "'sub'"),
    ],
)
def test_a_token_that_was_not_made_for_this_sign_in_is_refused(
    make_oidc, issuer, claims, reason, caplog
):
    issuer.claims = claims
    client, back = _sign_in(make_oidc(), issuer)
    assert back.headers["location"] == "../../../?sign-in=failed"
    assert client.get(f"{API}/me").status_code == 401
    assert reason in caplog.text


def test_a_token_signed_by_another_key_is_refused(make_oidc, issuer, caplog):
    issuer.key = ECKey.generate_key("P-256", {"kid": "k1"})
    _, back = _sign_in(make_oidc(), issuer)
    assert back.headers["location"] == "../../../?sign-in=failed"
    assert "BadSignature" in caplog.text


def test_another_browsers_state_is_refused(make_oidc, issuer):
    station = make_oidc()
    sent = station.client().get(f"{API}/oidc/login")
    state, code = issuer.authorize(sent.headers["location"])
    victim = station.client()
    back = victim.get(f"{API}/oidc/callback?state={state}&code={code}")
    assert back.headers["location"] == "../../../?sign-in=failed"
    assert victim.get(f"{API}/me").status_code == 401


def test_a_name_that_is_taken_gets_a_tail(make_oidc, issuer):
    station = make_oidc()
    issuer.claims = {"preferred_username": "reader-1"}
    client, _ = _sign_in(station, issuer)
    name = client.get(f"{API}/me").json()["name"]
    assert name.startswith("reader-1-")


def test_a_provider_that_does_not_answer_is_one_problem(make_oidc):
    station = make_oidc(issuer="http://127.0.0.1:9")
    answer = station.client().get(f"{API}/oidc/login")
    assert (answer.status_code, answer.json()["code"]) == (503, "store-busy")


def test_without_a_provider_there_is_none(station):
    assert station.client().get(f"{API}/oidc/login").status_code == 404


@pytest.mark.parametrize("claimed", ["local", "Hilum"])
def test_nobody_takes_a_name_under_which_the_log_writes(make_oidc, issuer, claimed):
    """Who were named 'local' would be let in by the printed link, and could not be shut out."""
    issuer.claims = {"preferred_username": claimed}
    client, _ = _sign_in(make_oidc(), issuer)
    me = client.get(f"{API}/me").json()
    assert me["name"].startswith(f"{claimed}-")
    assert me["local"] is False


def test_sign_ins_that_are_only_begun_do_not_fill_the_memory(make_oidc, issuer, monkeypatch):
    monkeypatch.setattr("hilum.apps.web.oidc._MOST_BEGUN", 3)
    station = make_oidc()
    for _ in range(6):
        assert station.client().get(f"{API}/oidc/login").status_code == 303
    assert len(station.app.state.provider._begun) == 4
    assert _sign_in(station, issuer)[1].headers["location"] == "../../../"

"""Sign-in by an OpenID Connect provider: authorization code with PKCE, state and nonce.

Authlib speaks OAuth 2.0, joserfc checks the ID token; here is only what Hilum makes of its claims.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from hilum.apps.store.people import Role, add_person, begin_visit, digest, is_free
from hilum.apps.store.tables import Person
from hilum.apps.web.access import address_of, public
from hilum.apps.web.problems import Problem, not_found
from hilum.apps.web.schemas import API
from hilum.apps.web.service import Served, Service
from hilum.apps.web.settings import OpenId
from hilum.apps.web.signin import set_cookie

router = APIRouter(prefix=API, tags=["sign-in"])
_REDIRECTS: dict[str, Any] = {
    "status_code": 303,
    "response_class": Response,
    "response_description": "Where the browser goes next",
}
COOKIE = "hilum_oidc"
_PAGE = "../../../"
"""The page as seen from the callback, under whatever path a proxy shows both."""
_MINUTES = 10
_MOST_BEGUN = 10_000
"""Sign-ins that are begun at once; anybody may begin one, and they must not fill the memory."""
_TIMEOUT_S = 10.0
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
_LOG = logging.getLogger("hilum.web")


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun: what must come back, and until when."""

    nonce: str
    verifier: str
    until: float


class Provider:
    """An OpenID provider.

    Args:
        settings: from ``hilum.toml``.
    """

    def __init__(self, settings: OpenId) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._begun: dict[str, Begun] = {}

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The provider's own description, from its well-known address."""
        import httpx

        where = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        found: dict[str, Any] = httpx.get(where, timeout=_TIMEOUT_S).raise_for_status().json()
        if found["issuer"] != self.settings.issuer:
            raise ValueError("the provider calls itself by another name than 'issuer'")
        return found

    def begin(self) -> tuple[str, str]:
        """Return the provider's address to send the browser to, and the state."""
        nonce, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        with self._client() as client:
            address, state = client.create_authorization_url(
                self.metadata["authorization_endpoint"], nonce=nonce, code_verifier=verifier
            )
        now = time.monotonic()
        with self._lock:
            kept = [(k, v) for k, v in self._begun.items() if v.until > now]
            self._begun = dict(kept[-_MOST_BEGUN:])
            self._begun[state] = Begun(nonce, verifier, now + 60 * _MINUTES)
        return address, state

    def finish(self, state: str, code: str) -> dict[str, Any]:
        """Turn the provider's code into the claims of a checked ID token.

        Raises:
            Exception: whatever is wrong with it.
        """
        import httpx
        from joserfc import jwt
        from joserfc.jwk import KeySet

        with self._lock:
            begun = self._begun.pop(state)
        if begun.until < time.monotonic():
            raise ValueError("the sign-in took too long")
        with self._client() as client:
            answer = client.fetch_token(
                self.metadata["token_endpoint"], code=code, code_verifier=begun.verifier
            )
        keys = httpx.get(self.metadata["jwks_uri"], timeout=_TIMEOUT_S).raise_for_status()
        token = jwt.decode(
            answer["id_token"], KeySet.import_key_set(keys.json()), algorithms=_ALGORITHMS
        )
        jwt.JWTClaimsRegistry(
            leeway=60,
            iss={"essential": True, "value": self.settings.issuer},
            aud={"essential": True, "value": self.settings.client_id},
            exp={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": begun.nonce},
        ).validate(token.claims)
        return dict(token.claims)

    def role_of(self, claims: dict[str, Any]) -> Role | None:
        """Return the highest role that the claims give; None turns the person away."""
        words = claims.get(self.settings.role_claim) or []
        named = [words] if isinstance(words, str) else words
        roles = [self.settings.roles[word] for word in named if word in self.settings.roles]
        return max(roles, key=list(Role).index, default=self.settings.default_role)

    def _client(self) -> Any:
        from authlib.integrations.httpx_client import OAuth2Client

        return OAuth2Client(
            self.settings.client_id,
            self.settings.client_secret.get_secret_value(),
            redirect_uri=self.settings.redirect_url,
            scope="openid profile",
            code_challenge_method="S256",
            timeout=_TIMEOUT_S,
        )


@router.get("/oidc/login", summary="Go to the OpenID provider", dependencies=[public], **_REDIRECTS)
def oidc_login(request: Request, service: Served) -> Response:
    """Send the browser to the provider."""
    provider = _provider(request)
    try:
        address, state = provider.begin()
    except Exception as error:  # of the network, or a provider that answers nonsense
        _LOG.warning("the OpenID provider does not answer: %s", error)
        raise Problem(503, "store-busy", "the OpenID provider does not answer") from None
    response = RedirectResponse(address, 303)
    response.set_cookie(
        COOKIE,
        state,
        max_age=60 * _MINUTES,
        httponly=True,
        samesite="lax",  # the provider's redirect comes from another site
        secure=service.settings.https,
    )
    return response


@router.get(
    "/oidc/callback", summary="Come back from the provider", dependencies=[public], **_REDIRECTS
)
def oidc_callback(
    request: Request,
    service: Served,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
) -> Response:
    """Begin the session of who signed in at the provider."""
    provider = _provider(request)
    expected = request.cookies.get(COOKIE, "")
    if not state or not hmac.compare_digest(state.encode(), expected.encode()):
        return _back("failed")
    try:
        claims = provider.finish(state, code)
    except Exception as error:  # libraries of three makers; the reason is for the log alone
        _LOG.warning("sign-in by OpenID failed: %s: %s", type(error).__name__, error)
        return _back("failed")
    return _enter(service, provider, claims, address_of(request))


def _enter(service: Service, provider: Provider, claims: dict[str, Any], address: str) -> Response:
    response = _back(None)
    role = provider.role_of(claims)
    claimed = _name(str(claims.get(provider.settings.name_claim) or "person"))
    subject = digest(f"{provider.settings.issuer} {claims['sub']}")
    with service.store.write() as session:
        person = session.scalars(select(Person).where(Person.subject == subject)).first()
        if role is None or (person is not None and person.disabled):
            service.log.add(session, "hilum", "login-failed", name=claimed, address=address)
            return _back("not-allowed")
        if person is None:
            name = claimed
            if not is_free(session, name):
                name = f"{name[:55]}-{subject[:6]}"
            person = add_person(session, name, role, subject=subject)
            service.log.add(session, person.name, "user-added", user=person.id, role=role)
        person.role = role
        _, secret = begin_visit(session, person, service.settings.session.idle_ms)
        service.log.add(session, person.name, "login", address=address)
    set_cookie(service, response, secret)
    return response


def _name(claimed: str) -> str:
    """Make a name of what the provider says.

    >>> _name("Анна K. <anna@x>")
    'K.-anna@x'
    """
    plain = re.sub(r"[^A-Za-z0-9._@-]+", "-", claimed).strip("-._@")[:64]
    return plain or "person"


def _back(why: str | None) -> Response:
    response = RedirectResponse(_PAGE if why is None else f"{_PAGE}?sign-in={why}", 303)
    response.delete_cookie(COOKIE)
    return response


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise not_found("OpenID provider here")
    return provider

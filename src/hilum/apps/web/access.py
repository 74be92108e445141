"""Access: who asks, and whether that role may; every route says which role it needs.

``needs(Role.X)`` is a dependency; ``create_app`` refuses a route that has neither it nor
``public``.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from hilum.apps.store.people import LOCAL, Role, find_visit, person_of_token, prolong_visit
from hilum.apps.store.tables import Person
from hilum.apps.web.link import may_open
from hilum.apps.web.problems import Problem
from hilum.apps.web.service import Served, Service
from hilum.core.errors import StoreError

CSRF_HEADER = "x-csrf-token"
_SAFE = ("GET", "HEAD", "OPTIONS")
_FORWARDED = ("forwarded", "x-forwarded", "x-original", "x-envoy", "cf-", "cdn-", "via")
"""What headers begin with that proxies add; others end in "-ip": X-Real-IP, True-Client-IP."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. ``csrf`` is None for a script with a token; ``blind``: reads blind first."""

    person_id: str
    name: str
    role: Role
    blind: bool
    csrf: str | None

    @property
    def local(self) -> bool:
        """Came by the printed link."""
        return self.name == LOCAL


def needs(role: Role, *, uses: bool = True) -> Any:
    """Return the dependency that lets only this role, and those above, in; gives the visitor.

    Args:
        role: the least one.
        uses: a request of this kind says that somebody is there: the session goes on.
    """

    def visitor(request: Request, service: Served) -> Visitor:
        found = identify(request, service, uses=uses)
        if found is None:
            raise not_signed_in(service)
        if found.csrf is not None and request.method not in _SAFE:
            check_csrf(request, found.csrf)
        if not found.role.covers(role):
            raise Problem(
                403,
                "not-allowed",
                f"this needs the role '{role}'; yours is '{found.role}'",
                hint="ask an administrator",
            )
        return found

    visitor.role = role  # type: ignore[attr-defined]
    return Depends(visitor)


def nobody() -> None:
    """Mark a route that everybody may call."""


public: Any = Depends(nobody)


def role_of(route: APIRoute) -> Role | None:
    """Return the role that a route needs; None for a public one.

    Raises:
        LookupError: the route does not say.
    """
    calls = [each.call for each in _all(route.dependant)]
    roles: list[Role] = [getattr(call, "role") for call in calls if hasattr(call, "role")]  # noqa: B009
    if roles:
        return max(roles, key=list(Role).index)
    if nobody in calls:
        return None
    raise LookupError(f"{route.path} does not say who may call it: needs(...) or public")


def identify(request: Request, service: Service, *, uses: bool = True) -> Visitor | None:
    """Return who asks: by token, else by cookie; None if nobody is signed in."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    with service.store.read() as session:
        if kind.lower() == "bearer":
            person = person_of_token(session, secret.strip())
            return None if person is None else visitor_of(person, None, service)
        cookie = request.cookies.get(service.cookie)
        found = find_visit(session, cookie) if cookie else None
    if found is None or (found[1].name == LOCAL and not is_at_this_machine(request)):
        return None
    visit, person = found
    if uses:
        lasts = service.settings.session
        with contextlib.suppress(StoreError):  # what was asked for is more urgent
            prolong_visit(service.store, visit, lasts.idle_ms, lasts.whole_ms)
    return visitor_of(person, visit.csrf, service)


def address_of(request: Request) -> str:
    """Return the address of who asks; behind a trusted proxy it is the browser's."""
    return request.client.host[:64] if request.client else "?"


def is_at_this_machine(request: Request) -> bool:
    """Say whether a request comes from this machine, and no proxy has passed it on."""
    forwarded = any(name.startswith(_FORWARDED) or name.endswith("-ip") for name in request.headers)
    name = request.url.hostname or ""
    return not forwarded and is_loopback(name) and is_loopback(address_of(request))


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def not_signed_in(service: Service, detail: str = "nobody is signed in") -> Problem:
    """Return the 401, with what the sign-in page should offer."""
    settings = service.settings
    oidc = f"{settings.prefix}/api/v1/oidc/login" if settings.oidc else None
    link = service.link and may_open(service.store)
    offers = {"password": True, "oidc": oidc, "link": link}
    hint = "open the link that 'hilum user link' shows" if link else "sign in"
    headers = {"WWW-Authenticate": "Bearer"}
    return Problem(401, "not-signed-in", detail, hint=hint, headers=headers, sign_in=offers)


def check_csrf(request: Request, expected: str) -> None:
    """Raise ``Problem`` unless a changing request comes from this page."""
    check_origin(request)
    given = request.headers.get(CSRF_HEADER, "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, expected.encode()):
        raise Problem(
            403, "csrf", "X-CSRF-Token is missing or old", hint="take 'csrf' of GET /api/v1/me"
        )


def check_origin(request: Request) -> None:
    """Raise ``Problem`` where the browser says that another site's page sends this."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    foreign = origin is not None and _place(origin) not in _hosts(request)
    if foreign or site not in ("same-origin", "none"):
        raise Problem(403, "csrf", "another site's page sent this", hint="use Hilum's own page")


def _place(origin: str) -> str:
    """Return host and port as ``Host`` has them, where the port of the scheme is left out.

    >>> _place("https://reading.example:443"), _place("https://reading.example:8443")
    ('reading.example', 'reading.example:8443')
    """
    scheme, host = urlsplit(origin)[:2]
    return host.lower().removesuffix({"http": ":80", "https": ":443"}.get(scheme, ":"))


def _hosts(request: Request) -> tuple[str, ...]:
    host = request.headers.get("host", "").lower()
    return host, host.removesuffix(":443"), host.removesuffix(":80")


def visitor_of(person: Person, csrf: str | None, service: Service) -> Visitor:
    """Return a person as who asks; only who may give verdicts reads blind."""
    role = Role(person.role)
    by_site = service.settings.blind_first and not person.blind_chosen
    blind = (person.blind or by_site) and role.covers(Role.REVIEWER)
    return Visitor(person.id, person.name, role, blind, csrf)


def _all(dependant: Dependant) -> list[Dependant]:
    found = [dependant]
    for each in dependant.dependencies:
        found += _all(each)
    return found

"""Sign-in: by password, by the printed link; who I am; my own switch for blind reading."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from hilum.apps.store.people import (
    Role,
    begin_visit,
    check_password,
    choose_blind,
    end_visits,
    hash_password,
    local_person,
)
from hilum.apps.store.tables import Person
from hilum.apps.web.access import (
    Visitor,
    address_of,
    check_origin,
    identify,
    is_at_this_machine,
    needs,
    not_signed_in,
    public,
    visitor_of,
)
from hilum.apps.web.answers.account import (
    BundleAnswer,
    LabelAnswer,
    LimitsAnswer,
    MeAnswer,
    PointAnswer,
)
from hilum.apps.web.link import may_open, use_link
from hilum.apps.web.pace import AtMost
from hilum.apps.web.problems import Problem
from hilum.apps.web.schemas import API, LONGEST_NAME, Blind, Login, NewPassword
from hilum.apps.web.service import Served, Service
from hilum.apps.web.settings import Limits
from hilum.bundle.folder import Bundle
from hilum.core.errors import BundleError
from hilum.core.labels import Label
from hilum.core.reading import RESEARCH_USE

router = APIRouter(prefix=API, tags=["sign-in"])
_signing_in = AtMost(4, "check a password")
"""Passwords are checked one after the other: who waits must not take every thread."""
page = APIRouter(include_in_schema=False)
_Reader = Annotated[Visitor, needs(Role.READER)]
_Reviewer = Annotated[Visitor, needs(Role.REVIEWER)]


class Failures:
    """Counts wrong passwords by name and by address; too many in a while must wait.

    Args:
        limits: how many in how long.
    """

    def __init__(self, limits: Limits) -> None:
        self._most = limits.login_failures
        self._seconds = limits.login_minutes * 60
        self.turn = threading.Lock()
        """One password is checked at a time: those that wait are counted before they are tried."""
        self._lock = threading.Lock()
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)

    def check(self, *keys: str) -> None:
        """Raise the 429 with ``Retry-After`` where one of the keys must wait."""
        with self._lock:
            self._forget()
            full = [self._times[key] for key in keys if len(self._times.get(key, ())) >= self._most]
        if full:
            seconds = round(max(times[0] for times in full) + self._seconds - time.monotonic()) + 1
            raise Problem(
                429,
                "too-many-requests",
                "too many wrong passwords",
                hint=f"wait {seconds} s",
                headers={"Retry-After": str(seconds)},
            )

    def add(self, *keys: str) -> None:
        """Count a failure for each key."""
        with self._lock:
            for key in keys:
                self._times[key].append(time.monotonic())

    def _forget(self) -> None:
        since = time.monotonic() - self._seconds
        for key in list(self._times):
            times = self._times[key]
            while times and times[0] < since:
                times.popleft()
            if not times:
                del self._times[key]


@router.get("/me", summary="Who I am")
def me(visitor: _Reader, service: Served) -> MeAnswer:
    """Say who is signed in, what the page may show, and the token against forged requests."""
    return describe(visitor, service)


@router.post("/login", summary="Sign in with a password", dependencies=[public])
async def login(body: Login, request: Request, response: Response, service: Served) -> MeAnswer:
    """Begin a session: the cookie is in the answer."""
    begin = partial(_login, body, request, response, service)
    return await to_thread.run_sync(begin, limiter=_signing_in())


def _login(body: Login, request: Request, response: Response, service: Service) -> MeAnswer:
    check_origin(request)
    person = _whose(request, service, body.name, body.password)
    if person is None:
        raise not_signed_in(service, "wrong name or password")
    with service.store.write() as session:
        person = session.get_one(Person, person.id)
        if body.blind is not None:
            choose_blind(person, on=body.blind)
        visitor = _enter(session, request, service, response, person)
        if body.blind is not None:
            service.log.add(session, person.name, "blind", on=body.blind)
    return describe(visitor, service)


@router.post("/logout", status_code=204, summary="End the session")
def logout(request: Request, response: Response, visitor: _Reader, service: Served) -> None:
    """End this browser's session."""
    if secret := request.cookies.get(service.cookie):
        with service.store.write() as session:
            end_visits(session, secret=secret)
            service.log.add(session, visitor.name, "logout")
    response.delete_cookie(service.cookie, path=service.settings.prefix or "/")


@router.put("/me/password", summary="Change my own password")
def change_password(
    body: NewPassword, request: Request, response: Response, visitor: _Reader, service: Served
) -> MeAnswer:
    """Change the password; every session of mine ends, and this browser gets a new one."""
    with service.store.read() as session:
        has_one = session.get_one(Person, visitor.person_id).password is not None
    if visitor.csrf is None or not has_one:
        raise Problem(
            409,
            "conflict",
            "only who signed in with a password may change it",
            hint="an administrator can give you one: hilum user change",
        )
    if _whose(request, service, visitor.name, body.old) is None:
        raise Problem(422, "invalid", "the current password is wrong", hint="type it again")
    with service.store.write() as session:
        person = session.get_one(Person, visitor.person_id)
        person.password = hash_password(body.new)
        end_visits(session, person_id=person.id)
        visit, secret = begin_visit(session, person, service.settings.session.idle_ms)
        service.log.add(session, person.name, "password-changed")
        set_cookie(service, response, secret)
        visitor = visitor_of(person, visit.csrf, service)
    return describe(visitor, service)


@router.put("/me/blind", summary="Switch blind first read on or off")
def blind(body: Blind, request: Request, visitor: _Reviewer, service: Served) -> MeAnswer:
    """While on, the machine's answer is shown only after one's own verdict."""
    with service.store.write() as session:
        choose_blind(session.get_one(Person, visitor.person_id), on=body.on)
        service.log.add(session, visitor.name, "blind", on=body.on)
    return describe(identify(request, service) or visitor, service)


@page.get("/open", dependencies=[public])
def open_link(
    request: Request, service: Served, key: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    """Turn a link into a session: once, in time, at this machine, while nobody can sign in."""
    response = RedirectResponse("./", 303)  # relative: a proxy may show the page under a path
    if identify(request, service) is not None:
        return response
    if service.link and is_at_this_machine(request) and may_open(service.store):
        with service.store.write() as session:
            if use_link(session, key):
                _enter(session, request, service, response, local_person(session))
                return response
    return RedirectResponse("./?link=used", 303)


def describe(visitor: Visitor, service: Service) -> MeAnswer:
    """Return what ``GET /me`` says."""
    try:
        bundle, error = describe_bundle(service.bundles.open()), None
    except BundleError as damaged:
        bundle, error = None, damaged.public
    return MeAnswer(
        name=visitor.name,
        role=visitor.role,
        local=visitor.local,
        blind=visitor.blind,
        csrf=visitor.csrf,
        notice=RESEARCH_USE,
        version=version("hilum"),
        bundle=bundle,
        bundle_error=error,
        labels=list(Label),
        idle_minutes=service.settings.session.idle_minutes,
        limits=LimitsAnswer.model_validate(service.settings.limits),
    )


def describe_bundle(bundle: Bundle) -> BundleAnswer:
    """Return what the page says of a bundle."""
    manifest = bundle.manifest
    labels = [
        LabelAnswer(
            label=output.label,
            calibration=output.calibration.method,
            prevalence=output.stated,
            coverage=output.conformal.coverage if output.conformal else None,
            operating_points=[PointAnswer.model_validate(each) for each in output.operating_points],
        )
        for output in manifest.labels
    ]
    return BundleAnswer(
        identity=bundle.identity,
        name=manifest.name,
        version=manifest.version,
        checksum=bundle.checksum,
        site=manifest.adaptations[-1].site if manifest.adaptations else None,
        calibrated=all(each.prevalence is not None for each in labels),
        intended_use=manifest.intended_use,
        labels=labels,
    )


def _whose(request: Request, service: Service, name: str, password: str) -> Person | None:
    """Return the person with this name and password; who was wrong too often must wait."""
    address = address_of(request)
    keys = (f"name:{name.lower()}", f"address:{address}")
    failures: Failures = request.app.state.failures
    failures.check(*keys)
    with failures.turn:
        failures.check(*keys)
        with service.store.read() as session:
            person = check_password(session, name, password)
        if person is None:
            failures.add(*keys)
    if person is None:
        with service.store.write() as session:
            tried = {"name": name[:LONGEST_NAME], "address": address}
            service.log.add(session, "hilum", "login-failed", **tried)
    return person


def _enter(
    session: Any, request: Request, service: Service, response: Response, person: Person
) -> Visitor:
    """Begin a session and set its cookie."""
    visit, secret = begin_visit(session, person, service.settings.session.idle_ms)
    service.log.add(session, person.name, "login", address=address_of(request))
    set_cookie(service, response, secret)
    return visitor_of(person, visit.csrf, service)


def set_cookie(service: Service, response: Response, secret: str) -> None:
    """Hand the browser its session: out of reach of scripts and of other sites."""
    response.set_cookie(
        service.cookie,
        secret,
        path=service.settings.prefix or "/",
        max_age=service.settings.session.whole_ms // 1000,
        httponly=True,
        samesite="strict",
        secure=service.settings.https,
    )

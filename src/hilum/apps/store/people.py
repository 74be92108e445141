"""People, their passwords, their scripts' tokens and their browsers' visits.

Passwords are kept as argon2id hashes, tokens and cookies as SHA-256: they are random, so that a
fast hash is enough. None of them can be read back from the store.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from enum import StrEnum
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from hilum.apps.store.store import Store
from hilum.apps.store.tables import Person, Token, Visit, now_ms
from hilum.core.errors import ConfigError

LOCAL = "local"
"""Who comes by the link that ``hilum serve`` prints on loopback."""
_RESERVED = (LOCAL, "hilum")
"""Names under which the log writes what no person of that name did."""
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1024
_NOTED_MS = 60_000
"""A session that is used is written down as used once a minute, not at every request."""
TOKEN_PREFIX = "hilum_"  # noqa: S105  (secret scanners look for such a prefix)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Role(StrEnum):
    """Each may do all that the one before it may; ``METRICS`` sees numbers and no film."""

    METRICS = "metrics"
    READER = "reader"
    REVIEWER = "reviewer"
    ADMINISTRATOR = "administrator"

    def covers(self, other: Role) -> bool:
        """Say whether this role may do what ``other`` may.

        >>> Role.REVIEWER.covers(Role.READER), Role.READER.covers(Role.REVIEWER)
        (True, False)
        """
        order = list(Role)
        return order.index(self) >= order.index(other)


def add_person(
    session: Session, name: str, role: Role, password: str | None = None, *, subject: str = ""
) -> Person:
    """Add a person.

    Raises:
        ConfigError: a name that is taken or not allowed, or a password that is too short.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "a name is 1 to 64 letters, digits and . _ @ -, beginning with a letter or digit",
            hint="choose another name",
        )
    if role is Role.METRICS and password is not None:
        raise ConfigError(
            "who may see metrics only has a token and no password",
            hint=f"hilum user add {name} --role metrics --token",
        )
    if not is_free(session, name):
        raise ConfigError(f"'{name}' is there already", hint="choose another name")
    return _add(session, name, role, password, subject)


def is_free(session: Session, name: str) -> bool:
    """Say whether a new person may have this name."""
    return name.lower() not in _RESERVED and find_person(session, name) is None


def _add(
    session: Session, name: str, role: Role, password: str | None = None, subject: str = ""
) -> Person:
    hashed = hash_password(password) if password is not None else None
    person = Person(name=name, role=role, password=hashed, subject=subject or None)
    session.add(person)
    session.flush()
    return person


def choose_blind(person: Person, *, on: bool) -> None:
    """Let a person read blind first, or not, whatever the site's setting."""
    person.blind, person.blind_chosen = on, True


def find_person(session: Session, name: str) -> Person | None:
    """Return a person by name."""
    return session.scalars(select(Person).where(Person.name == name)).first()


def any_person(session: Session) -> bool:
    """Say whether somebody can sign in with a password."""
    query = select(func.count()).select_from(Person).where(Person.password.is_not(None))
    return bool(session.scalar(query))


def local_person(session: Session) -> Person:
    """Return the administrator who comes by the printed link; add it the first time."""
    found = find_person(session, LOCAL)
    return found or _add(session, LOCAL, Role.ADMINISTRATOR)


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password.

    Raises:
        ConfigError: too short, or too long.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise ConfigError(
            f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters",
            hint="several words in a row are easy to remember",
        )
    return _hasher().hash(password)


def check_password(session: Session, name: str, password: str) -> Person | None:
    """Return the person whose name and password these are; it takes as long for a wrong name."""
    person = find_person(session, name)
    known = person.password if person is not None and person.password else _nobody()
    try:
        _hasher().verify(known, password)
    except (VerificationError, InvalidHashError):
        return None
    if person is None or person.password is None or person.disabled:
        return None
    return person


def add_token(session: Session, person: Person, name: str) -> tuple[Token, str]:
    """Make a token; the second value is the token itself, which is not kept."""
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = Token(person_id=person.id, name=name, digest=digest(secret))
    session.add(token)
    session.flush()
    return token, secret


def person_of_token(session: Session, secret: str) -> Person | None:
    """Return whose token this is, unless that person was disabled."""
    query = select(Person).join(Token, Token.person_id == Person.id)
    found = session.scalars(query.where(Token.digest == digest(secret))).first()
    return found if found is not None and not found.disabled else None


def begin_visit(session: Session, person: Person, idle_ms: int) -> tuple[Visit, str]:
    """Begin a browser's session; the second value is the cookie, which is not kept.

    Args:
        session: of ``Store.write``.
        person: whose it is.
        idle_ms: after which it ends if nobody uses it.
    """
    session.execute(delete(Visit).where(Visit.until_ms < now_ms()))
    secret = secrets.token_urlsafe(32)
    visit = Visit(
        digest=digest(secret),
        person_id=person.id,
        csrf=secrets.token_urlsafe(24),
        until_ms=now_ms() + idle_ms,
    )
    session.add(visit)
    return visit, secret


def find_visit(session: Session, secret: str) -> tuple[Visit, Person] | None:
    """Return the session of a cookie and whose it is, unless it has ended."""
    visit = session.get(Visit, digest(secret))
    if visit is None or visit.until_ms < now_ms():
        return None
    person = session.get_one(Person, visit.person_id)
    return None if person.disabled else (visit, person)


def prolong_visit(store: Store, visit: Visit, idle_ms: int, whole_ms: int) -> None:
    """Note that a session is used: it goes on for ``idle_ms``, in all for ``whole_ms``."""
    until_ms = min(now_ms() + idle_ms, visit.created_ms + whole_ms)
    if until_ms - visit.until_ms >= min(_NOTED_MS, idle_ms // 2):
        with store.write() as session:
            used = update(Visit).where(Visit.digest == visit.digest, Visit.until_ms < until_ms)
            session.execute(used.values(until_ms=until_ms))


def end_visits(
    session: Session, *, secret: str | None = None, person_id: str | None = None
) -> None:
    """End one session, or all of a person: after a new password or a new role."""
    if secret is not None:
        session.execute(delete(Visit).where(Visit.digest == digest(secret)))
    if person_id is not None:
        session.execute(delete(Visit).where(Visit.person_id == person_id))


def digest(secret: str) -> str:
    """Return the SHA-256 under which a secret is known."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    """Return a hash that no password has, to spend the same time on names that do not exist."""
    return _hasher().hash(secrets.token_urlsafe(32))

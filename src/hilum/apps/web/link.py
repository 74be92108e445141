"""The one-time link: who may use the folder of data may open the page, while nobody can sign in.

The store keeps the SHA-256 of the link's key and when it ends; the newest link is the only one.
"""

from __future__ import annotations

import hmac
import secrets

from sqlalchemy import delete
from sqlalchemy.orm import Session

from hilum.apps.store.people import any_person, digest
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Setting, now_ms
from hilum.core.errors import ConfigError

LINK_MINUTES = 10
_LINK = "one-time-link"
_SERVED_AT = "served-at"


def note_address(store: Store, base: str | None) -> None:
    """Note where the page is served, and forget the link of the server before this one.

    Args:
        store: of the workstation.
        base: "http://127.0.0.1:8337"; None where no link may open the page.
    """
    with store.write() as session:
        _put(session, _LINK, None)
        _put(session, _SERVED_AT, base)


def make_link(store: Store) -> str:
    """Return a new link, which ends after ``LINK_MINUTES`` or when it is used.

    Raises:
        ConfigError: somebody can sign in, or no server of this machine alone was started.
    """
    key = secrets.token_urlsafe(32)
    with store.write() as session:
        if any_person(session):
            raise ConfigError(
                "there is no link where people can sign in",
                hint="hilum user change NAME --password gives a new password",
            )
        served_at = session.get(Setting, _SERVED_AT)
        if served_at is None:
            raise ConfigError(
                "no server here can be opened by a link",
                hint="start 'hilum serve', or add a person: hilum user add NAME",
            )
        until_ms = now_ms() + LINK_MINUTES * 60_000
        _put(session, _LINK, {"digest": digest(key), "until_ms": until_ms})
        return f"{served_at.value}/open?key={key}"


def may_open(store: Store) -> bool:
    """Say whether a link could open the page now: not once somebody can sign in."""
    with store.read() as session:
        return not any_person(session)


def use_link(session: Session, key: str) -> bool:
    """Say whether this is the link's key, in time; if so it is no more.

    Args:
        session: of ``Store.write``, so that of two who use it at once one is let in.
        key: as it came.
    """
    kept = session.get(Setting, _LINK)
    if kept is None or any_person(session):
        return False
    same = hmac.compare_digest(str(kept.value["digest"]), digest(key))
    in_time = bool(now_ms() < kept.value["until_ms"])
    if same:
        session.delete(kept)
    return same and in_time


def _put(session: Session, key: str, value: object) -> None:
    if value is None:
        session.execute(delete(Setting).where(Setting.key == key))
    else:
        session.merge(Setting(key=key, value=value))

"""The one-time link: who can read the terminal of ``hilum serve`` may open the page."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable


class Link:
    """A link that works once; a fresh one is announced when it was used.

    Args:
        base: address of the page: "http://127.0.0.1:8337".
        announce: is told every new link; prints it.
    """

    def __init__(self, base: str, announce: Callable[[str], None]) -> None:
        self._base = base
        self._announce = announce
        self._lock = threading.Lock()
        self._key = secrets.token_urlsafe(32)

    @property
    def address(self) -> str:
        """The link as it stands."""
        return f"{self._base}/open?key={self._key}"

    def use(self, key: str) -> bool:
        """Say whether this is the key; if so it is no more."""
        with self._lock:
            if not hmac.compare_digest(self._key.encode(), key.encode("utf-8", "replace")):
                return False
            self._key = secrets.token_urlsafe(32)
        self._announce(self.address)
        return True

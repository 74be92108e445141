"""Looks: who looked at which film, a line of the log for each time that one was opened."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Film

if TYPE_CHECKING:
    from hilum.apps.web.access import Visitor

TOGETHER_S = 5.0
"""The page says that it opens a film while it fetches it: that is one opening."""
OPEN_S = 600.0
"""A film of which nothing was fetched for so long is opened anew."""
_MOST = 10_000


class Looks:
    """Which films are open with whom; the first request of an opening is written into the log.

    Args:
        store: of the films.
        log: that is written.
    """

    def __init__(self, store: Store, log: Log) -> None:
        self._store, self._log = store, log
        self._lock = threading.Lock()
        self._last: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._open: dict[str, tuple[str, float]] = {}
        self._before: dict[tuple[str, str], float] = {}

    def opened(self, visitor: Visitor, film: Film) -> None:
        """Write down that a person opened a film.

        Raises:
            StoreError: it could not be written.
        """
        self._look(visitor, film, TOGETHER_S)
        if self._open.get(visitor.person_id, ("",))[0] != film.id:  # else the page was loaded anew
            self._open[visitor.person_id] = film.id, time.monotonic()

    def seconds(self, visitor: Visitor, film_id: str) -> float | None:
        """Return how long the film was open that a person gives a verdict of; count anew then.

        Since it was opened, or since the verdict before, with what those took that were taken back;
        None where another film is open.
        """
        open_id, since = self._open.get(visitor.person_id, ("", 0.0))
        if open_id != film_id:
            return None
        now = time.monotonic()
        self._open[visitor.person_id] = film_id, now
        return now - since + self._before.pop((visitor.person_id, film_id), 0.0)

    def taken_back(self, visitor: Visitor, film_id: str, seconds: Iterable[float | None]) -> None:
        """Count what verdicts took that a person takes back with that person's next one."""
        key = visitor.person_id, film_id
        took = {each for each in seconds if each is not None}  # the same for those given together
        self._before[key] = self._before.get(key, 0.0) + sum(took)

    def note(self, visitor: Visitor, film: Film, *, ahead: bool = False) -> None:
        """Write down that something of a film is shown, unless it is open with this person.

        Args:
            visitor: who.
            film: which.
            ahead: it is fetched before it is opened: the line says so, and opening is another.

        Raises:
            StoreError: it could not be written: the film must not be shown.
        """
        self._look(visitor, film, OPEN_S, "fetched" if ahead else "viewed")

    def _look(self, visitor: Visitor, film: Film, seconds: float, action: str = "viewed") -> None:
        key, now = (visitor.person_id, film.id, action), time.monotonic()
        with self._lock:
            before = self._last.pop(key, None)
            self._last[key] = now
            while len(self._last) > _MOST:
                self._last.popitem(last=False)
        if before is not None and now - before < seconds:
            return
        try:
            with self._store.write() as session:
                ids = {"film_id": film.id, "study_id": film.study_id}
                self._log.add(session, visitor.name, action, **ids)
        except BaseException:
            with self._lock:
                self._last.pop(key, None)
            raise

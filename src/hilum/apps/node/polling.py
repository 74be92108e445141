"""Polling: films are looked for at a peer's DICOMweb server (QIDO-RS), and fetched (WADO-RS)."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import select

from hilum.apps.node import dicomweb
from hilum.apps.node.sender import delay
from hilum.apps.node.settings import Peer
from hilum.apps.node.taking import TakenObject
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Film, Setting
from hilum.core.errors import HilumError, PeerError

SEEN = "polled:"
"""The setting with what was fetched from a peer, by its name: {pseudonym of a SOP Instance UID:
ordinal of the day on which it was listed last}. So what was deleted here is not fetched again."""
_KEPT_DAYS = 30
"""At least; so long as a study is asked for, if that is longer."""
_LOOKS = 3
"""So often an object is asked for that the server lists, and does not give."""
_LOG = logging.getLogger("hilum.receiver")


class Poll:
    """One peer that is asked for films, again and again.

    Args:
        peer: with ``dicomweb`` and ``poll_s``.
        data: folder of data.
        store, log: what is known.
        receiving: where films are fetched to.
        largest: size of an object, in bytes.
        modalities: that are films.
        take: takes an object that came from a peer.
    """

    def __init__(
        self,
        peer: Peer,
        data: Path,
        store: Store,
        log: Log,
        receiving: Path,
        largest: float,
        modalities: tuple[str, ...],
        take: Callable[[str, Path], TakenObject],
    ) -> None:
        self._peer, self._data, self._store, self._log = peer, data, store, log
        self._receiving, self._largest, self._take = receiving, largest, take
        self._modalities = (None,) if "Modality" in peer.poll else modalities
        self._due, self._failures, self._error = 0.0, 0, ""
        self._seen: dict[str, int] = {}
        self._in_vain: dict[str, int] = {}
        self._later: dict[str, tuple[int, float]] = {}

    def look(self, may: Callable[[], bool]) -> None:
        """Fetch what is new, if it is time to; what fails is left alone for longer.

        Args:
            may: says before each object whether it may be fetched.
        """
        if time.monotonic() < self._due:
            return
        try:
            with dicomweb.opened(self._peer, self._data) as web:
                self._fetch_new(web, may)
        except Exception as error:  # of the server, or of the disk or the store here
            self._failures += 1
            wait = max(delay(self._failures), getattr(error, "after_s", 0.0))
            why = f"{self._peer.name}: {getattr(error, 'strerror', None) or type(error).__name__}"
            why = error.message if isinstance(error, HilumError) else why
            if why != self._error:
                _LOG.warning("films cannot be fetched: %s", why)
            self._error = why
        else:
            self._failures, self._error, wait = 0, "", float(self._peer.poll_s or 0)
        self._due = time.monotonic() + wait

    def _fetch_new(self, web: dicomweb.Web, may: Callable[[], bool]) -> None:
        today = date.today().toordinal()
        with self._store.read() as session:
            found = session.get(Setting, SEEN + self._peer.name)
        before: dict[str, int] = found.value if found else {}
        kept = max(_KEPT_DAYS, self._peer.poll_days)
        self._seen = before | self._seen  # which the store did not take, if it was busy
        seen = {name: day for name, day in self._seen.items() if today - day <= kept}
        self._seen = seen
        try:
            for uids in self._listed(web):
                if not may():
                    return
                name = self._log.pseudonym(uids[2])
                if name in seen or self._known(uids[2]) or self._fetch(web, *uids):
                    seen[name] = today
        finally:
            if seen != before:
                with self._store.write() as session:
                    session.merge(Setting(key=SEEN + self._peer.name, value=seen))

    def _listed(self, web: dicomweb.Web) -> Iterator[tuple[str, str, str]]:
        """Yield the UIDs of what the server has of these days; tomorrow's, where it lies east.

        Raises:
            PeerError: a modality was not listed; the others were yielded before.
        """
        ends = (timedelta(days=1 - self._peer.poll_days), timedelta(days=1))
        days = "-".join(f"{date.today() + each:%Y%m%d}" for each in ends)
        failed = None
        for modality in self._modalities:
            asked = {"StudyDate": days, **self._peer.poll}
            try:
                yield from web.find(asked | ({"Modality": modality} if modality else {}))
            except PeerError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _known(self, sop_uid: str) -> bool:
        with self._store.read() as session:
            query = select(Film.id).where(Film.instance_uid == sop_uid)
            return session.scalars(query).first() is not None

    def _fetch(self, web: dicomweb.Web, study: str, series: str, sop_uid: str) -> bool:
        """Fetch an object and take it; False where it is to be tried again."""
        tries, due = self._later.get(sop_uid, (0, 0.0))
        if time.monotonic() < due:
            return False
        with tempfile.NamedTemporaryFile(dir=self._receiving, delete=False) as file:
            path = Path(file.name)
        try:
            if web.fetch(study, series, sop_uid, path, self._largest):
                self._in_vain.pop(sop_uid, None)
                if self._take(self._peer.name, path).later:
                    self._later[sop_uid] = tries + 1, time.monotonic() + delay(tries + 1)
                    return False
                self._later.pop(sop_uid, None)
                return True
            tries = self._in_vain[sop_uid] = self._in_vain.get(sop_uid, 0) + 1
            if tries < _LOOKS:
                return False
            del self._in_vain[sop_uid]
            _LOG.warning("%s lists an object, and does not give it", self._peer.name)
            return True
        finally:
            path.unlink(missing_ok=True)

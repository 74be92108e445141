"""The sender: a process beside the server that brings results to archives.

    python -m hilum.apps.node.sender      started by the server, never by hand

It is told what to do by one line of JSON on its standard input, and stops when that closes. Each
peer has a thread, so that one that hangs keeps no other waiting. A peer that cannot be reached, or
refuses, is tried by one association at a time, more and more rarely, however much waits for it.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import generate_uid
from pynetdicom.events import Event

from hilum.apps.node import dicomweb, dimse, status
from hilum.apps.node.settings import Node, Peer
from hilum.apps.node.watching import put
from hilum.apps.store import outbox, takeback
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.outbox import Parcel
from hilum.apps.store.store import Store, open_store
from hilum.apps.store.tables import Setting, now_ms
from hilum.apps.store.wanted import MAX_ATTEMPTS
from hilum.apps.web.orders import Orders, until_closed
from hilum.apps.web.settings import load_settings
from hilum.core.errors import ConfigError, HilumError, PeerError, StoreError

FIRST_S, MOST_S, JITTER = 5.0, 600.0, 0.2
_POLL_S = 0.5
_LOOK_S = 0.2
_SAME_S = 2.0
"""How long a confirmation is waited for on the association on which it was asked for."""
_LOG = logging.getLogger("hilum.sender")


class PeerSender:
    """Sends to one peer until told to stop.

    Args:
        store, data: with what is sent.
        node: whose AE title it is.
        peer: to whom.
        stop: set to end after the object at hand.
        wait: waits so many seconds, or until told to stop.
    """

    def __init__(
        self, store: Store, data: Path, node: Node, peer: Peer, stop: threading.Event,
        wait: Callable[[float], object] | None = None,
    ) -> None:  # fmt: skip
        self._data, folder = data, FilmFolder(data)
        self._store, self._folder, self._node, self._peer = store, folder, node, peer
        self._stop, self._wait = stop, wait or stop.wait
        self._failures = 0
        self._undeleted, self._delete_ms = 0, 0
        self._begun = False
        self._answered = threading.Event()
        self._answers_here = self._calls_back = False

    def run(self) -> None:
        """Send what is due, until told to stop."""
        while not self._stop.is_set():
            try:
                busy = self.step()
            except StoreError as error:
                _LOG.warning("%s", error.message)
                busy = self._begun = False
            if not busy:
                self._wait(_POLL_S)

    def step(self) -> bool:
        """Send what is due of one study; False where nothing is."""
        if not self._begun:  # what was claimed before a kill, or while the store was away
            outbox.release(self._store, self._peer.name)
            self._begun = True
        begun_ms, stood = now_ms(), False
        outbox.give_up(self._store, self._peer.name, self._peer.give_up_h)
        parcels = outbox.claim(self._store, self._peer.name, self._peer.max_objects)
        asks = self._peer.commit and self._unconfirmed()
        if not (parcels or asks or (self._peer.delete and self._withdrawn())):
            return False
        left = list(parcels)
        # with verification, because who takes none of the others would end the association
        classes = [dimse.VERIFICATION, *(each.object.sop_class for each in parcels)]
        if self._peer.commit:
            classes.append(dimse.COMMITMENT)
        try:
            if self._peer.dicomweb:
                with dicomweb.opened(self._peer, self._data) as web:
                    stood = True
                    self._send(left, web.store)
                    if self._peer.commit:
                        self._look(web)
                    if self._peer.delete:
                        self._withdraw(web)
            elif self._peer.outbox:
                stood = True
                self._send(left, partial(put, self._peer, self._data))
            else:
                with dimse.associated(
                    self._node,
                    self._peer,
                    dimse.contexts_of(classes),
                    data=self._data,
                    on_report=self._reported,
                ) as association:
                    stood = True
                    self._send(left, partial(dimse.store, association, self._peer))
                    if self._peer.commit:
                        self._ask(association)
        except StoreError:
            raise
        except Exception as error:  # a thread that ended, or what it had claimed, would be missed
            why = f"unexpected: {type(error).__name__}"
            why = error.message if isinstance(error, HilumError) else why
            if stood and left:  # it may be this object that ended it: let the others go first
                first = left.pop(0)
                last = first.attempts + 1 >= MAX_ATTEMPTS and not isinstance(error, PeerError)
                self._not_sent(first, why, dead=last)
            self._put_back(left, why)
            permanent = getattr(error, "permanent", False)
            self._say(why, permanent=permanent)
            self._back_off(begun_ms, permanent=permanent)
            return True
        self._put_back(left, None)
        self._failures = 0
        self._say(None)
        return True

    def _send(self, left: list[Parcel], store: Callable[[Dataset], int | None]) -> None:
        """Send what is left, and close each delivery by what is answered."""
        while left and not self._stop.is_set():
            if (dataset := self._load(left[0])) is not None:
                self._close(left[0], store(dataset))
            left.pop(0)

    def _look(self, web: dicomweb.Web) -> None:
        """Look whether a DICOMweb server has what it was sent: that is its confirmation."""
        asked = self._unconfirmed()
        kept = {each.sop_uid for each in asked if web.has(each.sop_uid)}
        transaction = str(generate_uid(prefix=None))
        outbox.asked(self._store, [each.id for each in asked], transaction)
        lost = {each.sop_uid: outbox.NO_SUCH_OBJECT for each in asked if each.sop_uid not in kept}
        outbox.reported(self._store, self._peer.name, transaction, kept, lost)

    def _load(self, parcel: Parcel) -> Dataset | None:
        """Read the file of a delivery; None where it is gone or damaged, and made again."""
        try:
            return dcmread(self._folder.result(parcel.object.sha256))
        except (OSError, InvalidDicomError):
            self._folder.result(parcel.object.sha256).unlink(missing_ok=True)
            was = outbox.make_again(self._store, parcel)
            tries = parcel.attempts + (was == "made")  # while it is being made none is counted
            dead = was not in ("made", "to-make") or tries >= MAX_ATTEMPTS
            then = "could not be made again" if dead else "is made again"
            outbox.close(
                self._store, parcel, state="dead" if dead else "waiting", attempts=tries,
                error=f"its file was missing or damaged, and {then}",
                next_ms=now_ms() + round(1000 * delay(max(tries, 1))),
            )  # fmt: skip
            return None

    def _withdraw(self, web: dicomweb.Web) -> None:
        """Let a peer delete what was taken back; where that fails, nothing else waits for it."""
        for each in self._withdrawn():
            try:
                takeback.withdrew(self._store, each.id, web.delete(*each.place))
                self._undeleted = 0
            except PeerError as error:
                takeback.withdrew(self._store, each.id, error.message, answered=False)
                self._undeleted += 1
                self._delete_ms = now_ms() + round(1000 * delay(self._undeleted))
                return

    def _withdrawn(self) -> list[takeback.Withdrawn]:
        if now_ms() < self._delete_ms:
            return []
        with self._store.read() as session:
            return takeback.withdrawn(session, self._peer.name, self._peer.max_objects)

    def _unconfirmed(self) -> list[outbox.Unconfirmed]:
        with self._store.read() as session:
            return outbox.unconfirmed(session, self._peer.name, self._peer.max_objects)

    def _ask(self, association: Any) -> None:
        """Ask for confirmation of what was sent; the answer may come at once, or call back."""
        asked = self._unconfirmed()
        if not asked:
            return
        if any(each.unanswered for each in asked):  # it may answer on the association by now
            self._calls_back = False
        transaction = str(generate_uid(prefix=None))
        outbox.asked(self._store, [each.id for each in asked], transaction)
        self._answered.clear()
        objects = [(each.sop_class, each.sop_uid) for each in asked]
        if not dimse.ask_commitment(association, transaction, objects):
            _LOG.warning("%s does not do storage commitment", self._peer.name)
            return
        until = time.monotonic() + _SAME_S
        while not self._calls_back and time.monotonic() < until:  # else the next study waits for it
            if self._answered.wait(_LOOK_S):
                return
            with self._store.read() as session:
                answered = outbox.is_answered(session, transaction)
            self._calls_back = answered and not self._answers_here

    def _reported(self, event: Event) -> tuple[int, None]:
        self._answers_here, self._calls_back = True, False
        try:
            outbox.reported(self._store, self._peer.name, *dimse.report_of(event))
        except Exception as error:
            _LOG.error("a storage commitment: %s", type(error).__name__)
            return 0x0110, None
        self._answered.set()
        return 0x0000, None

    def _close(self, parcel: Parcel, answered: int | None) -> None:
        """Write what a peer's answer makes of a delivery; None: it does not take this class."""
        attempts = parcel.attempts + 1
        if answered is None:
            why = "the peer does not take this class of objects"
            outbox.close(self._store, parcel, state="dead", error=why)
            return
        if answered in dimse.SENT:
            outbox.close(self._store, parcel, state="sent", status=answered, attempts=attempts)
            return
        dead = not dimse.is_temporary(answered) and attempts >= MAX_ATTEMPTS
        self._not_sent(
            parcel, f"the peer answered 0x{answered:04X}",
            dead=dead or answered == dimse.NOT_SUPPORTED, status=answered,
        )  # fmt: skip

    def _not_sent(
        self, parcel: Parcel, error: str, *, dead: bool, status: int | None = None
    ) -> None:
        """Count an attempt that failed: a delivery is tried again later, or is dead."""
        attempts = parcel.attempts + 1
        outbox.close(
            self._store, parcel, state="dead" if dead else "waiting", status=status, error=error,
            attempts=attempts, next_ms=now_ms() + round(1000 * delay(attempts)),
        )  # fmt: skip

    def _put_back(self, parcels: list[Parcel], error: str | None) -> None:
        for each in parcels:
            outbox.close(self._store, each, state="waiting", error=error, next_ms=now_ms())

    def _back_off(self, begun_ms: int, *, permanent: bool) -> None:
        """Wait before the next association; who has said "retry" since then ends the waiting."""
        self._failures += 1
        left = MOST_S if permanent else delay(self._failures)
        while left > 0 and not self._stop.is_set():
            self._wait(min(left, _POLL_S))
            left -= _POLL_S
            with self._store.read() as session:
                if outbox.hurried(session, self._peer.name, begun_ms):
                    return

    def _say(self, error: str | None, *, permanent: bool = False) -> None:
        """Note how the peer is: since when it is up, or down and why."""
        with self._store.read() as session:
            found = session.get(Setting, status.SENDER + self._peer.name)
        if found is not None and found.value["error"] == error:
            return
        with self._store.write() as session:
            value = {"error": error, "since_ms": now_ms(), "permanent": permanent}
            session.merge(Setting(key=status.SENDER + self._peer.name, value=value))


def delay(failures: int) -> float:
    """Return seconds to wait after so many failures: 5, 10, 20, ... 600, and a fifth up or down."""
    plain: float = min(MOST_S, FIRST_S * 2 ** min(failures - 1, 10))
    return plain * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - so that not all come at once


def main() -> None:
    """Take orders from standard input and send."""
    os.umask(0o077)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # its lines hold headers
    orders = Orders.of(sys.stdin.buffer.readline())
    stop = threading.Event()
    threading.Thread(target=until_closed, args=(stop,), daemon=True).start()
    try:
        data = Path(orders.data)
        node = load_settings(data).node
        if node is None:
            raise ConfigError(f"{data}: hilum.toml has no [node]", hint="hilum node init")
        store = open_store(orders.store, upgrade=False)
        reached = [each for each in node.peers if each.is_reached]
        outbox.keep_peers(store, [each.name for each in reached])
        senders = [PeerSender(store, data, node, each, stop) for each in reached]
        threads = [threading.Thread(target=each.run, daemon=True) for each in senders]
        for thread in threads:
            thread.start()
        stop.wait()
        for thread in threads:
            thread.join(5)
    except HilumError as error:
        _LOG.error("%s", error.message)
        sys.exit(1)


if __name__ == "__main__":
    main()

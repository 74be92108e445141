"""The worker: a process beside the server that takes films from the queue and reads them.

Where results go to an archive it makes them, too, when no film waits.

    python -m hilum.apps.web.worker      started by the server, never by hand

It is told what to do by one line of JSON on its standard input, and stops when that closes, which
also happens when the server is killed. Whatever happens to it, a film is read exactly once: see
``hilum.apps.store.queue``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.apps.node.making import Maker
from hilum.apps.store import queue
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import open_log
from hilum.apps.store.store import Store, open_store
from hilum.apps.store.tables import Setting, now_ms
from hilum.apps.store.wanted import Making
from hilum.apps.web.bundles import Bundles, Choice
from hilum.apps.web.evidence import corrections, pack
from hilum.apps.web.orders import Orders, until_closed
from hilum.apps.web.settings import load_settings
from hilum.core.errors import (
    BundleError,
    HilumError,
    StoreBusyError,
    StoreError,
    StoreFullError,
)
from hilum.core.reading import Reading, Status
from hilum.serve.reader import Reader, load_bundle

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from hilum.serve.dicom import MadeObject, Sent

STATE = "worker"
"""The setting in which a worker says how it is: {"bundle": identity or None, "error", "at_ms"}."""
POLL_S = 0.1
RENEW_S = queue.LEASE_MS / 1000 / 3
RETRY_S = 1.0
FILM_LIMIT_S = 300.0
"""A film that takes longer has caught its decoder: the process ends, the film is tried again."""
_NICE = 10
_LOG = logging.getLogger("hilum.worker")


class Worker:
    """Reads films until it is told to stop.

    Args:
        orders: what to do.
        store: opened.
        stop: set to end after the film at hand.
    """

    def __init__(self, orders: Orders, store: Store, stop: threading.Event) -> None:
        data = Path(orders.data)
        settings = load_settings(data)
        self._settings, self._megapixels = settings, settings.limits.megapixels
        self._name, self._store, self._stop = orders.name, store, stop
        self._folder, self._log = FilmFolder(data), open_log(store, data)
        base = Path(orders.bundle) if orders.bundle else None
        self._bundles = Bundles(store, base, data)
        self._maker: Maker | None = None
        if (node := settings.node) is not None:
            self._maker = Maker(store, self._folder, self._log, node, self._make, self._reject)
        self._routed = node is not None and bool(node.routes)
        self._form = node.objects if node is not None else None
        self._reader: Reader | None = None
        self._choice: Choice | None = None
        self._said: str | None = ""
        self._began: float | None = None
        self._claimed: queue.Claim | None = None

    def run(self) -> None:
        """Work until told to stop."""
        threading.Thread(target=self._hold, daemon=True).start()
        while not self._stop.is_set():
            try:
                busy = self.step()
            except StoreError as error:
                _LOG.warning("%s", error.message)
                self._stop.wait(1)
                continue
            if not busy:
                self._stop.wait(POLL_S)

    def step(self) -> bool:
        """Read one film; False where none waits, or the bundle is damaged."""
        reader = self._ready()
        if reader is None:
            self._stop.wait(1)
            return False
        waiting = queue.waiting(self._store)
        if self._maker is not None and (waiting == 0 or self._maker.presses()):
            self._began = time.monotonic()
            try:
                if self._maker.step():
                    return True
            finally:
                self._began = None
        if waiting == 0:
            return False
        claimed = queue.claim(self._store, self._name)
        if claimed is None:
            return False
        self._claimed, self._began = claimed, time.monotonic()
        try:
            answer = self._read(reader, claimed)
            self._began = None
            self._keep(claimed, answer)
        finally:  # a film that is not held is free again when its lease ends
            self._claimed = self._began = None
        return True

    def _ready(self) -> Reader | None:
        """Return a reader of the bundle that is active now; None where it is damaged."""
        try:
            choice = self._bundles.choose()
            if self._reader is None or choice != self._choice:
                self._reader = self._choice = None
                reader = load_bundle(choice.root, max_megapixels=self._megapixels)
                bundle = reader.bundle
                manifest = bundle.manifest.model_dump(mode="json")
                queue.know_model(self._store, bundle.checksum, bundle.identity, manifest)
                self._reader, self._choice = reader, choice  # now that the store knows it
        except BundleError as error:
            self._say(None, error.public)
            return None
        self._say(self._reader.bundle.identity, None)
        return self._reader

    def _read(self, reader: Reader, claimed: queue.Claim) -> queue.WorkerAnswer:
        checksum = reader.bundle.checksum
        if claimed.attempts > queue.MAX_ATTEMPTS:
            return queue.WorkerAnswer(_given_up(reader, claimed), checksum)
        path = self._folder.path(claimed.sha256)
        examined = next(
            reader.examine([path], force=claimed.forced, details=True, batch_size=1, workers=1)
        )
        reading = examined.reading.model_copy(update={"path": claimed.name})
        return queue.WorkerAnswer(
            reading,
            checksum,
            pack(examined),
            corrections(reading.history),
            results=self._routed,
            refusals=self._form is not None and self._form.refusals != "none",
        )

    def _make(self, making: Making, film: Path, kinds: tuple[str, ...]) -> Iterator[MadeObject]:
        """Make results of a reading for the archive."""
        from hilum.serve.dicom import objects_of

        bundle = self._reader.bundle if self._reader is not None else None
        read_at = self._settings.moment(making.read_ms)
        return objects_of(
            making.reading,
            film,
            kinds,
            read_at=read_at,
            bundle=bundle,
            max_megapixels=self._megapixels,
            former=making.former,
            form=self._form,
        )

    def _reject(self, making: Making, film: Path, reason: str, sent: tuple[Sent, ...]) -> Dataset:
        """Make a note by which an archive takes out of sight what it was sent."""
        from hilum.serve.dicom import rejection_of

        at = self._settings.moment(making.wanted_ms)
        return rejection_of(
            making.reading,
            film,
            reason,
            sent,
            at=at,
            max_megapixels=self._megapixels,
            form=self._form,
        )

    def _keep(self, claimed: queue.Claim, answer: queue.WorkerAnswer) -> None:
        """Write what was found; while the store does not answer, or is full, try again."""
        while True:
            try:
                queue.finish(self._store, self._log, claimed, self._name, answer)
                return
            except (StoreBusyError, StoreFullError) as error:
                _LOG.warning("%s; the reading is held until it can be written", error.message)
                if self._stop.wait(RETRY_S):
                    return

    def _hold(self) -> None:
        """Renew the lease of the film at hand; end the process if one never ends."""
        while not self._stop.wait(RENEW_S):
            began = self._began
            if began is not None and time.monotonic() - began > FILM_LIMIT_S:
                _LOG.error("a film took longer than %g s", FILM_LIMIT_S)
                os._exit(1)
            if (claimed := self._claimed) is not None:
                with contextlib.suppress(StoreError):
                    queue.renew(self._store, self._name, claimed.job_id)

    def _say(self, identity: str | None, error: str | None) -> None:
        if self._said == (error or identity):
            return
        with self._store.write() as session:
            value = {"bundle": identity, "error": error, "at_ms": now_ms()}
            session.merge(Setting(key=STATE, value=value))
        self._said = error or identity


def main() -> None:
    """Take orders from standard input and work."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    with contextlib.suppress(OSError):
        os.nice(_NICE)  # the page answers while films are read
    orders = Orders.of(sys.stdin.buffer.readline())
    stop = threading.Event()
    threading.Thread(target=until_closed, args=(stop,), daemon=True).start()
    try:
        Worker(orders, open_store(orders.store, upgrade=False), stop).run()
    except HilumError as error:
        _LOG.error("%s", error.message)
        sys.exit(1)


def _given_up(reader: Reader, claimed: queue.Claim) -> Reading:
    return Reading(
        path=claimed.name,
        status=Status.ERROR,
        reason=f"reading it ended the worker {claimed.attempts - 1} times",
        hint="keep the file and report it, if you may share it",
        bundle=reader.bundle.identity,
        elapsed_ms=0.0,
    )


if __name__ == "__main__":
    main()

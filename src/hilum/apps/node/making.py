"""Making: results of a reading for the archive, by the route that its film's sender has."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.apps.node.settings import Node, Route
from hilum.apps.store import wanted
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.wanted import Making, Object
from hilum.core.errors import HilumError, StoreError
from hilum.core.reading import Status
from hilum.serve.dicom import KINDS, NOTE, Sent

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Make = Callable[[Making, Path, tuple[str, ...]], Iterable[tuple[str, "Dataset | None", str]]]
"""Makes objects of a reading and its film: (kind, data set or None, why there is none) each, of
the kinds that are asked for; the same bytes and UIDs whenever it is called."""
Reject = Callable[[Making, Path, str, tuple[Sent, ...]], "Dataset"]
"""Makes a rejection note of what was sent of a film, for a reason."""
_MANY = 50
_LOG = logging.getLogger("hilum.worker")


class Maker:
    """Makes results.

    Args:
        store, folder, log: where they go.
        node: whose routes say which.
        make, reject: make them.
    """

    def __init__(
        self, store: Store, folder: FilmFolder, log: Log, node: Node, make: Make, reject: Reject
    ) -> None:
        self._store, self._folder, self._log = store, folder, log
        self._node, self._make, self._reject = node, make, reject
        self._held: Making | None = None

    def presses(self) -> bool:
        """Say whether so many readings wait, or urgent ones, that they come before any film."""
        with self._store.read() as session:
            count, urgent = wanted.to_make(session)
        return count >= _MANY or urgent > 0

    def step(self) -> bool:
        """Make the results of one reading; False where there is none.

        Raises:
            StoreError: they cannot be kept now; the next step tries the same reading again.
        """
        making = self._held = self._held or wanted.claim_making(self._store)
        if making is None:
            return False
        self._finish(making)
        self._held = None
        return True

    def _finish(self, making: Making) -> None:
        if making.attempts > wanted.MAX_ATTEMPTS:
            wanted.fail(
                self._store, self._log, making, "making its results ended the worker each time"
            )
            return
        path, objects = self._folder.path(making.sha256), []
        left_out: dict[str, str] = {}
        notes = []
        try:
            for rejected in self._to_reject(making):
                reason = making.reject[0] if making.reject else "quality"
                note = self._reject(making, path, reason, rejected.sent)
                notes.append((self._keep(NOTE, note), rejected))
            route = self._route(making)
            only = self._takes(route)
            kinds = tuple(kind for kind in KINDS if any(kind in each for each in only.values()))
            for kind, dataset, why in self._make(making, path, kinds) if kinds else ():
                if dataset is None:
                    left_out[kind] = why
                else:
                    objects.append(self._keep(kind, dataset))
        except StoreError:
            raise
        except HilumError as error:
            wanted.fail(self._store, self._log, making, error.public.removeprefix(f"{path.name}: "))
            return
        except Exception as error:
            _LOG.error("results could not be made: %s", type(error).__name__)
            wanted.fail(self._store, self._log, making, f"unexpected: {type(error).__name__}")
            return
        urgent = route is not None and route.urgent
        wanted.put(
            self._store, self._log, making, objects, tuple(only), left_out, notes, only, urgent
        )

    def _takes(self, route: Route | None) -> dict[str, tuple[str, ...]]:
        """Return for each peer of a route the kinds that it is sent."""
        names = route.to if route is not None else ()
        return {name: self._node.kinds(route, self._node.peer(name)) for name in names if route}

    def _to_reject(self, making: Making) -> list[wanted.Rejected]:
        if making.reject is None and self._node.objects.supersede == "keep":
            return []
        return wanted.to_reject(self._store, making)

    def _route(self, making: Making) -> Route | None:
        reading = making.reading
        sent = [Status.READ] + [Status.REFUSED] * (self._node.objects.refusals != "none")
        if making.reject is not None or reading["status"] not in sent:
            return None
        fits = (
            each for each in self._node.routes if each.takes(making.sources, reading["findings"])
        )
        return next(fits, None)

    def _keep(self, kind: str, dataset: Dataset) -> Object:
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        buffer.seek(0)
        kept = self._folder.keep(buffer, result=True)
        return Object(
            kind=kind,
            sop_class=str(dataset.SOPClassUID),
            sop_uid=str(dataset.SOPInstanceUID),
            series_uid=str(dataset.SeriesInstanceUID),
            study_uid=str(dataset.StudyInstanceUID),
            sha256=kept.sha256,
            size=kept.size,
        )

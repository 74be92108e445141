"""Taking: an object that lies on disk becomes a film, or is answered for, by whatever way it came.

C-STORE, STOW-RS and watched folders are three ways to one place: what is a film, what is kept, and
which status says so is decided here. Success is said only of what is on disk and in the store.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from hilum.apps.node.settings import Node
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.intake import Arrival, Sender, shortened, take
from hilum.apps.store.log import Log
from hilum.apps.store.resent import Resent
from hilum.apps.store.store import Store
from hilum.core.errors import (
    HilumError,
    RejectedImageError,
    StoreError,
    UnreadableImageError,
    UnsupportedImageError,
)
from hilum.image import decoders
from hilum.image.dicom import Header, read_dicom_file
from hilum.serve.dicom.common import MANUFACTURER, MODEL

SUCCESS, OTHER_PIXELS, OUT_OF_RESOURCES, PROCESSING_FAILURE = 0x0000, 0xC001, 0xA700, 0x0110
NOT_AUTHORIZED = 0x0124
REFUSED = UnsupportedImageError.c_store_status
_LOG = logging.getLogger("hilum.receiver")


class TakenObject(NamedTuple):
    """What became of an object.

    Attributes:
        status: as a C-STORE answers it (PS3.4 table B.2-1).
        outcome: a word for counts: "accepted", "duplicate", "ignored", "own", ...
        header: what its header says; None where that cannot be read.
        error: why it was not kept, where an error says so.
    """

    status: int
    outcome: str
    header: Header | None = None
    error: HilumError | None = None

    @property
    def later(self) -> bool:
        """The same object may be taken later: there is no space, or the store does not answer."""
        return self.status in (OUT_OF_RESOURCES, PROCESSING_FAILURE)


class Taker:
    """Takes objects.

    Args:
        store, folder, log: where films go.
        node: which modalities are films, and what becomes of the rest.
        max_megapixels: of a film.
    """

    def __init__(
        self, store: Store, folder: FilmFolder, log: Log, node: Node, max_megapixels: float
    ) -> None:
        self._store, self._folder, self._log = store, folder, log
        self._node, self._megapixels = node, max_megapixels

    def take(
        self, path: Path, sender: Sender, who: str, *, study: str | None = None
    ) -> TakenObject:
        """Keep an object that is a film; never an exception, for which senders give up for good.

        Args:
            path: of the object, in the folder of data; a film is moved from there.
            sender: application that sent it.
            who: for the log.
            study: Study Instance UID that it must be of; None for any.
        """
        header = None
        try:
            header = self._header(path)
            status, outcome = self._keep(path, header, sender, who, study)
        except HilumError as error:
            if isinstance(error, StoreError):
                _LOG.warning("an object of %s was not kept: %s", sender.peer, error.message)
            return TakenObject(error.c_store_status, type(error).__name__, header, error)
        except Exception as error:
            _LOG.error("an object of %s: %s", sender.peer, type(error).__name__)
            return TakenObject(PROCESSING_FAILURE, "unexpected", header)
        return TakenObject(status, outcome, header)

    def _header(self, path: Path) -> Header:
        arguments = (str(path), "the object", self._node.read, self._megapixels)
        return decoders.run(
            read_dicom_file, "the object", path.stat().st_size, self._megapixels, *arguments
        )

    def _keep(
        self, path: Path, header: Header, sender: Sender, who: str, study: str | None
    ) -> tuple[int, str]:
        if study is not None and header.study_uid != study:
            raise RejectedImageError("the object: of another study than the one it was sent to")
        if (header.maker, header.model) == (MANUFACTURER, MODEL):  # results are no films
            return SUCCESS, "own"
        if header.modality is None:  # of every object; without it nobody knows what this is
            raise UnreadableImageError("the object: no Modality (0008,0060)")
        if header.film is None:
            return (SUCCESS, "ignored") if self._node.others == "ignore" else (REFUSED, "refused")
        form, metadata = header.film
        name = f"{header.modality} {header.instance_uid or ''}".strip()
        name = "".join(each for each in name if each.isprintable())[:255]
        kept = self._folder.adopt(path)
        arrival = Arrival(kept, name, form[:64], shortened(metadata), sender)
        accepted = take(self._store, self._folder, self._log, arrival, who)
        if accepted.differs is Resent.PIXELS:  # this film is not here: it must not be said to be
            return OTHER_PIXELS, "other-pixels"
        return SUCCESS, "duplicate" if accepted.duplicate else "accepted"

"""Upload: what a sender calls films, taken apart, judged by content, and kept one by one.

Each file is answered for by itself: whatever one does, the others are taken.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import BinaryIO

from hilum.apps.store.intake import Accepted, Arrival, shortened, take
from hilum.apps.store.resent import Resent
from hilum.apps.store.store import is_full
from hilum.apps.web.answers.films import AcceptedFilm, RejectedFilm, Uploaded
from hilum.apps.web.problems import Problem, problem_of, too_large
from hilum.apps.web.service import Service
from hilum.apps.web.unzip import is_zip, members, read_most
from hilum.core.errors import HilumError, StoreError, StoreFullError
from hilum.core.radiograph import Metadata
from hilum.image.open import read_header
from hilum.image.sniff import SNIFFED_BYTES, FileKind, describe, encryption, sniff

_LOG = logging.getLogger("hilum.web")
_NAME_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a request: the sender's name for it, and its bytes."""

    name: str
    stream: BinaryIO


class Intake:
    """Takes the files of one request.

    Args:
        service: that keeps them.
        who: sends them.
        patient_id: for pictures that carry none.
    """

    def __init__(self, service: Service, who: str, patient_id: str | None) -> None:
        self._service, self._who, self._patient_id = service, who, patient_id
        self._limits = service.settings.limits
        self._bytes, self._files = 0, 0
        self.outcome = Uploaded()

    def take(self, part: Part) -> None:
        """Take a file or a ZIP of files; a refusal is written down, not raised.

        Raises:
            StoreError: nothing more can be kept; what was accepted before stays accepted.
        """
        name = short_name(part.name)
        with self._answering(name):
            head = part.stream.read(SNIFFED_BYTES)
            part.stream.seek(0)
            if not is_zip(head):
                self._film(name, read_most(part.stream, self._limits.file_mb))
                return
            for filename, unpack in members(part.stream, self._limits):
                member = short_name(filename)
                with self._answering(member):
                    self._film(member, unpack())

    @contextlib.contextmanager
    def _answering(self, name: str) -> Iterator[None]:
        """Make of whatever goes wrong with one file that file's row; the others go on."""
        try:
            yield
        except StoreError:
            raise
        except (HilumError, Problem) as error:
            self._reject(name, error)
        except Exception as error:  # of a decoder, at a file that nobody has thought of
            if is_full(error):
                raise StoreFullError("no space left on the disk", hint="make space") from error
            _LOG.error("a file could not be judged: %s", type(error).__name__, exc_info=error)
            self._reject(name, _not_judged(error))

    def give_up(self, parts: Iterable[Part], error: StoreError) -> None:
        """Write down that these files were not taken, because nothing more can be kept."""
        for part in parts:
            self._reject(short_name(part.name), error)

    def _film(self, name: str, data: bytes) -> None:
        self._count(len(data))
        format_, metadata = self._judge(name, data)
        service = self._service
        arrival = Arrival(service.folder.keep(io.BytesIO(data)), name, format_, metadata)
        accepted = take(service.store, service.folder, service.log, arrival, self._who)
        if accepted.differs is Resent.PIXELS:
            self._reject(name, _other_pixels(accepted))
            return
        (service.meter.duplicates if accepted.duplicate else service.meter.accepted).inc()
        self.outcome.accepted.append(AcceptedFilm(name=name, **asdict(accepted)))

    def _judge(self, name: str, data: bytes) -> tuple[str, Metadata]:
        kind_of(data, name)
        format_, metadata = read_header(data, name, max_megapixels=self._limits.megapixels)
        if metadata.patient_id is None and self._patient_id:
            metadata = replace(metadata, patient_id=self._patient_id)
        return format_[:64], shortened(metadata)

    def _count(self, size: int) -> None:
        self._bytes, self._files = self._bytes + size, self._files + 1
        if self._files > self._limits.files:
            raise too_large(f"more than {self._limits.files} films in one request")
        if self._bytes > self._limits.request_mb * 1e6:
            raise too_large(f"more than {self._limits.request_mb:g} MB in one request")

    def _reject(self, name: str, error: HilumError | Problem) -> None:
        problem = problem_of(error)
        detail = str(problem["detail"]).removeprefix(f"{name}: ")
        self._service.meter.rejected.labels(problem["code"]).inc()
        ids = {"film_id": None, "study_id": None}
        self.outcome.rejected.append(
            RejectedFilm.model_validate({"name": name, **ids, **problem, "detail": detail})
        )


def kind_of(data: bytes, name: str) -> FileKind:
    """Say by content what a film is.

    Raises:
        Problem: 415, it is none.
    """
    head = data[:SNIFFED_BYTES]
    kind = sniff(head)
    if kind is not None:
        return kind
    if not data:
        raise Problem(415, "not-a-film", "zero bytes", hint="copy or export the file again")
    found, hint = describe(head)
    if locked := encryption(head):
        found, hint = locked, "decrypt it first"
    raise Problem(415, "not-a-film", f"{name}: {found}; expected a film", hint=hint)


def _other_pixels(kept: Accepted) -> Problem:
    """Return the 409 of a film whose UID is another film's."""
    return Problem(
        409,
        "other-pixels",
        "a film with other pixels is kept under this SOP Instance UID; this one was left out",
        hint="look at the one that is kept; if this is the right one, delete that study first, "
        "else give it its own UID",
        film_id=kept.film_id,
        study_id=kept.study_id,
    )


def _not_judged(error: Exception) -> Problem:
    return Problem(
        422,
        "unreadable",
        f"this file cannot be judged ({type(error).__name__})",
        hint="export it again; please report it",
    )


def short_name(name: str) -> str:
    """Return the last part of a name, printable, at most 255 characters.

    >>> short_name("ward/a\\x00b.dcm"), short_name("")
    ('ab.dcm', 'film')
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = last.encode("utf-8", "replace").decode("utf-8")
    printable = "".join(letter for letter in plain if letter.isprintable())
    return printable[-_NAME_LENGTH:] or "film"

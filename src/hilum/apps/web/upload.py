"""Upload: what a sender calls films, taken apart, judged by content, and kept one by one.

A ZIP is read in memory bounds: its table of contents says what it would unpack to, and nothing that
says too much is unpacked; what unpacks to more than it said is stopped there.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from hilum.apps.store.intake import Accepted, Arrival, accept, drop
from hilum.apps.store.resent import Resent
from hilum.apps.web.problems import Problem, problem_of
from hilum.apps.web.service import Service
from hilum.apps.web.settings import Limits
from hilum.core.errors import HilumError, ImageError, StoreError
from hilum.core.radiograph import Metadata
from hilum.image.raster import check_raster
from hilum.image.sniff import SNIFFED_BYTES, Kind, describe, encryption, sniff

_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_ZIP64 = b"PK\x06\x07"
_ENCRYPTED_FLAG = 0x1
_LONGEST_TAIL = 65_535 + 22 + 20
_LARGEST_TABLE = 4_000_000
"""Bytes of a ZIP's table of contents; the 500 films of a request need 50,000."""
_NAME_LENGTH = 255
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a request: the sender's name for it, and its bytes."""

    name: str
    stream: BinaryIO


@dataclass
class Outcome:
    """What became of the files of a request, as the API says it."""

    accepted: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)


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
        self.outcome = Outcome()

    def take(self, part: Part) -> None:
        """Take a file or a ZIP of files; a refusal is written down, not raised.

        Raises:
            StoreError: nothing more can be kept; what was accepted before stays accepted.
        """
        name = short_name(part.name)
        try:
            head = part.stream.read(SNIFFED_BYTES)
            part.stream.seek(0)
            if head.startswith((_ZIP, _EMPTY_ZIP)):
                for member_name, data in members(part.stream, name, self._limits):
                    self._film(member_name, data)
            else:
                self._film(name, _read(part.stream, name, self._limits.file_mb))
        except StoreError:
            raise
        except (HilumError, Problem) as error:
            self._reject(name, error)

    def give_up(self, parts: Iterable[Part], error: StoreError) -> None:
        """Write down that these files were not taken, because nothing more can be kept."""
        for part in parts:
            self._reject(short_name(part.name), error)

    def _film(self, name: str, data: bytes) -> None:
        try:
            self._count(len(data))
            format_, metadata = self._judge(name, data)
        except (HilumError, Problem) as error:
            self._reject(name, error)
            return
        service = self._service
        arrival = Arrival(service.folder.keep(io.BytesIO(data)), name, format_, metadata)
        try:
            accepted = accept(service.store, service.folder, service.log, arrival, self._who)
        except ImageError as error:
            self._reject(name, error)
            return
        except StoreError:
            drop(service.store, service.folder, arrival.kept)
            raise
        if accepted.differs is Resent.PIXELS:
            self._reject(name, _other_pixels(accepted))
            return
        (service.meter.duplicates if accepted.duplicate else service.meter.accepted).inc()
        self.outcome.accepted.append({"name": name, **asdict(accepted)})

    def _judge(self, name: str, data: bytes) -> tuple[str, Metadata]:
        kind = kind_of(data, name)
        megapixels = self._limits.megapixels
        if kind is Kind.DICOM:
            from hilum.image.dicom import read_dicom_header

            format_, metadata = read_dicom_header(data, name, megapixels)
        else:
            check_raster(data, kind, name, megapixels)
            format_, metadata = kind.value, Metadata()
        if metadata.patient_id is None and self._patient_id:
            metadata = replace(metadata, patient_id=self._patient_id)
        return format_[:64], _shortened(metadata)

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
        self.outcome.rejected.append({"name": name, **ids, **problem, "detail": detail})


def kind_of(data: bytes, name: str) -> Kind:
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


def members(stream: BinaryIO, name: str, limits: Limits) -> Iterator[tuple[str, bytes]]:
    """Unpack a ZIP member by member, within limits; folders and hidden files are passed over.

    Raises:
        Problem: broken, encrypted, a bomb, or a name that leads out of its folder.
    """
    _check_table(stream, limits)
    try:
        with zipfile.ZipFile(stream) as archive:
            chosen = [info for info in archive.infolist() if not _passed_over(info.filename)]
            _check_zip(chosen, name, limits)
            for info in chosen:
                with archive.open(info) as member:
                    yield short_name(info.filename), _read(member, name, limits.file_mb)  # type: ignore[arg-type]
    except (RuntimeError, *_BROKEN_ZIP) as error:  # RuntimeError: a member turns out encrypted
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise Problem(
            422, "unreadable", f"broken ZIP: {reason}", hint="make the ZIP again"
        ) from None


def _check_table(stream: BinaryIO, limits: Limits) -> None:
    """Judge a ZIP's table of contents by its size, before it is read into memory.

    APPNOTE 4.3.16: the record at the end, before a comment of up to 65535 bytes, has the size of
    the table at byte 12. A ZIP64, whose locator goes before it, is for more than one may send.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - _LONGEST_TAIL))
    tail = stream.read(_LONGEST_TAIL)
    stream.seek(0)
    bare = len(tail) - 22  # zipfile takes a record without a comment there, else the last one
    plain = tail[bare : bare + 4] == _EMPTY_ZIP and tail.endswith(b"\0\0")
    place = bare if plain else tail.rfind(_EMPTY_ZIP)
    if place >= 0:
        table = int.from_bytes(tail[place + 12 : place + 16], "little")
        if table > _LARGEST_TABLE or tail[:place][-20:].startswith(_ZIP64):
            raise too_large(f"the ZIP lists more than its {limits.files} films")


def _check_zip(infos: list[zipfile.ZipInfo], name: str, limits: Limits) -> None:
    """Judge a ZIP by its table of contents."""
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise Problem(
                422, "invalid", "a name in the ZIP leads out of its folder", hint="make it again"
            )
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise Problem(422, "unreadable", "the ZIP is encrypted", hint="decrypt it first")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Problem(
                422,
                "unreadable",
                "the ZIP is packed in a way that is not read here",
                hint="make it with the method 'deflate'",
            )
        if info.file_size > limits.file_mb * 1e6:
            raise too_large(f"a film in the ZIP is larger than {limits.file_mb:g} MB")
        if info.file_size > limits.zip_ratio * max(info.compress_size, 1) + 100_000:
            raise too_large(f"a film in the ZIP unpacks to {info.file_size / 1e6:.0f} MB: a bomb")
    if len(infos) > limits.files:
        raise too_large(f"the ZIP holds {len(infos)} files; the limit is {limits.files}")
    if sum(info.file_size for info in infos) > limits.request_mb * 1e6:
        raise too_large(f"the ZIP unpacks to more than {limits.request_mb:g} MB")
    if not infos:
        raise Problem(415, "not-a-film", f"{name}: an empty ZIP", hint="put the films into it")


def _passed_over(filename: str) -> bool:
    parts = PurePosixPath(filename.replace("\\", "/")).parts
    hidden = any(part.startswith(".") and part not in ("..", ".") for part in parts)
    index = bool(parts) and parts[-1].upper() == "DICOMDIR"
    return filename.endswith("/") or "__MACOSX" in parts or hidden or index or not parts


def _read(stream: BinaryIO, name: str, file_mb: float) -> bytes:
    most = int(file_mb * 1e6)
    data = stream.read(most + 1)
    if len(data) > most:
        raise too_large(f"{name}: larger than {file_mb:g} MB")
    return data


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


def too_large(detail: str) -> Problem:
    """Return the 413."""
    return Problem(413, "too-large", detail, hint="send fewer or smaller films at once")


def short_name(name: str) -> str:
    """Return the last part of a name, printable, at most 255 characters.

    >>> short_name("ward/a\\x00b.dcm"), short_name("")
    ('ab.dcm', 'film')
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = last.encode("utf-8", "replace").decode("utf-8")
    printable = "".join(letter for letter in plain if letter.isprintable())
    return printable[-_NAME_LENGTH:] or "film"


def _shortened(metadata: Metadata) -> Metadata:
    """Cut texts of a header to what the store holds; drop what no text may contain."""

    def cut(text: str | None, most: int) -> str | None:
        if text is None:
            return None
        plain = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
        return plain[:most] or None

    return replace(
        metadata,
        patient_id=cut(metadata.patient_id, 128),
        study_uid=cut(metadata.study_uid, 128),
        instance_uid=cut(metadata.instance_uid, 128),
        sex=cut(metadata.sex, 1),
    )

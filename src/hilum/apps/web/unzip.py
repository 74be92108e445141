"""ZIP files of a request, unpacked within bounds.

The table of contents says what a ZIP would unpack to, and nothing that says too much is unpacked;
what unpacks to more than it said is stopped there. A member that cannot be had is that member's
refusal, and the others are taken.
"""

from __future__ import annotations

import contextlib
import errno
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO

from hilum.apps.web.problems import Problem, too_large
from hilum.apps.web.settings import Limits

_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_ZIP64 = b"PK\x06\x07"
_ENCRYPTED_FLAG = 0x1
_LONGEST_TAIL = 65_535 + 22 + 20
_LARGEST_TABLE = 4_000_000
"""Bytes of a ZIP's table of contents; the 500 films of a request need 50,000."""
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)


def is_zip(head: bytes) -> bool:
    """Say whether a file begins as a ZIP does."""
    return head.startswith((_ZIP, _EMPTY_ZIP))


def members(stream: BinaryIO, limits: Limits) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Give the films of a ZIP, each with what unpacks it; folders and hidden files are passed over.

    Nothing is written under a name of the ZIP: they lead nowhere. One that should is refused whole.

    Raises:
        Problem: broken, too much in all, or a name that leads out of its folder; what unpacks a
            member raises it for that member.
    """
    _check_table(stream, limits)
    with _explained(), zipfile.ZipFile(stream) as archive:
        chosen = [info for info in archive.infolist() if not _passed_over(info.filename)]
        _check_zip(chosen, limits)
        for info in chosen:
            yield info.filename, partial(_unpack, archive, info, limits)


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: Limits) -> bytes:
    _check_member(info, limits)
    with _explained(), archive.open(info) as member:
        return read_most(member, limits.file_mb)  # type: ignore[arg-type]


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, *_BROKEN_ZIP) as error:  # RuntimeError: a member turns out encrypted
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # the disk's fault; a table that names a place before the file is EINVAL
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


def _check_zip(infos: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Judge a ZIP as a whole by its table of contents."""
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise Problem(
                422, "invalid", "a name in the ZIP leads out of its folder", hint="make it again"
            )
    if len(infos) > limits.files:
        raise too_large(f"the ZIP holds {len(infos)} files; the limit is {limits.files}")
    sound = (info.file_size for info in infos if not _is_bomb(info, limits))
    if sum(sound) > limits.request_mb * 1e6:
        raise too_large(f"the ZIP unpacks to more than {limits.request_mb:g} MB")
    if not infos:
        raise Problem(415, "not-a-film", "an empty ZIP", hint="put the films into it")


def _check_member(info: zipfile.ZipInfo, limits: Limits) -> None:
    """Judge a member of a ZIP by what the table of contents says of it."""
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
    if _is_bomb(info, limits):
        raise too_large(f"a film in the ZIP unpacks to {info.file_size / 1e6:.0f} MB: a bomb")


def _is_bomb(info: zipfile.ZipInfo, limits: Limits) -> bool:
    return info.file_size > limits.zip_ratio * max(info.compress_size, 1) + 100_000


def _passed_over(filename: str) -> bool:
    parts = PurePosixPath(filename.replace("\\", "/")).parts
    hidden = any(part.startswith(".") and part not in ("..", ".") for part in parts)
    index = bool(parts) and parts[-1].upper() == "DICOMDIR"
    return filename.endswith("/") or "__MACOSX" in parts or hidden or index or not parts


def read_most(stream: BinaryIO, file_mb: float) -> bytes:
    """Read a file to its end.

    Raises:
        Problem: 413, it has more than ``file_mb`` times 10^6 bytes.
    """
    most = int(file_mb * 1e6)
    data = stream.read(most + 1)
    if len(data) > most:
        raise too_large(f"larger than {file_mb:g} MB")
    return data

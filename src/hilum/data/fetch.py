"""Fetch: download a collection, resumed where it broke off, checked, from its home or a mirror.

A mirror is a server or a folder that holds ``NAME/FILE``, e.g. of a hospital without an internet
connection. If it has ``NAME/SHA256SUMS`` (as ``sha256sum`` writes it), that says which files there
are and what they must hash to. Otherwise the files of the catalog are taken, checked against the
catalog where it has a checksum. What was fetched, with its checksum, stands in ``fetched.json``.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from hilum.core.errors import CohortError
from hilum.core.files import sha256_of, write_text
from hilum.data.catalog import CatalogEntry, Remote

MIRROR_VARIABLE = "HILUM_MIRROR"
SUMS = "SHA256SUMS"
RECORD = "fetched.json"

Progress = Callable[[str, int, int | None], None]
"""Called with (file, bytes so far, bytes in all or None)."""

_CHUNK = 1 << 18
_TRIES = 5
_TIMEOUT_S = 60.0
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one file: where it is, its SHA-256, and whether that was compared.

    Attributes:
        new: it was downloaded by this call; else it was here already.
        checked: its checksum was known beforehand and agreed.
    """

    file: str
    sha256: str
    new: bool
    checked: bool


def fetch(
    entry: CatalogEntry,
    root: Path,
    *,
    accept_licence: bool,
    mirror: str | None = None,
    progress: Progress | None = None,
    patience_s: float = _PATIENCE_S,
) -> list[Fetched]:
    """Download a collection into ``root``; a second call goes on where the first broke off.

    Args:
        entry: of the catalog.
        root: folder to fill.
        accept_licence: the person accepts ``entry.licence``.
        mirror: address or folder that holds ``NAME/FILE``; default ``HILUM_MIRROR``, else the
            collection's own address.
        progress: called while bytes arrive.
        patience_s: first pause before another try, in seconds; doubled each time.

    Raises:
        CohortError: licence not accepted, no public address, no such file, a checksum that
            differs, or a connection that kept breaking.
    """
    if not accept_licence:
        raise CohortError(
            f"{entry.name}: licence not accepted ({entry.licence}); nothing was fetched",
            hint="read it, then use --accept-licence",
        )
    mirror = mirror if mirror is not None else os.environ.get(MIRROR_VARIABLE, "")
    root.mkdir(parents=True, exist_ok=True)
    line = _Line(progress or (lambda file, done, total: None), patience_s)
    remotes = _remotes(entry, mirror, root, line)
    if not remotes:
        raise CohortError(
            f"{entry.name}: no address to fetch it from without a login",
            hint=f"{entry.how} ({entry.address}), or name a --mirror",
        )
    return [_fetch_one(remote, root, line) for remote in remotes]


@dataclass(frozen=True, slots=True)
class _Line:
    progress: Progress
    patience_s: float


def _remotes(entry: CatalogEntry, mirror: str, root: Path, line: _Line) -> list[Remote]:
    if not mirror:
        return list(entry.remotes)
    base = f"{_as_url(mirror)}/{entry.name}"
    known = {remote.file: remote for remote in entry.remotes}
    sums = _sums(base, root, line)
    if sums is None:
        return [replace(each, url=f"{base}/{quote(each.file)}") for each in entry.remotes]
    return [
        replace(known.get(file, Remote(file, "")), url=f"{base}/{quote(file)}", sha256=digest)
        for file, digest in sums.items()
    ]


def _as_url(mirror: str) -> str:
    scheme = urlsplit(mirror).scheme
    if scheme in {"http", "https", "file"}:
        return mirror.rstrip("/")
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        raise CohortError(
            f"mirror {mirror}: no such folder", hint="name a folder or an http(s) address"
        )
    return folder.resolve().as_uri()


def _sums(base: str, root: Path, line: _Line) -> dict[str, str] | None:
    path = root / f".{SUMS}"
    path.unlink(missing_ok=True)
    try:
        _download(f"{base}/{SUMS}", path, SUMS, line)
        text = path.read_text(encoding="utf-8")
    except _NotThereError:
        return None
    finally:
        path.unlink(missing_ok=True)
    sums: dict[str, str] = {}
    for number, entry in enumerate(text.splitlines(), start=1):
        digest, _, file = entry.strip().partition(" ")
        file = file.strip().removeprefix("*").removeprefix("./")
        if not entry.strip():
            continue
        if len(digest) != 64 or not _safe(file):
            raise CohortError(
                f"{base}/{SUMS} line {number}: {entry!r}; expected SHA-256 and a relative path"
            )
        sums[file] = digest.lower()
    return sums


def _fetch_one(remote: Remote, root: Path, line: _Line) -> Fetched:
    done = _recorded(root).get(remote.file)
    target = root / remote.file
    if done and (not remote.sha256 or done["sha256"] == remote.sha256):
        if done["unpacked"] or (target.is_file() and sha256_of(target) == done["sha256"]):
            return Fetched(remote.file, done["sha256"], new=False, checked=bool(remote.sha256))
        target.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _download(remote.url, part, remote.file, line)
    except _NotThereError as error:
        raise CohortError(
            f"{remote.url}: {error}", hint="the address may have moved; see `hilum cohort list`"
        ) from None
    digest = _check(remote, part)
    part.replace(target)
    if remote.unpack:
        _unpack(target, root, remote.strip)
    _record(root, remote, digest)
    return Fetched(remote.file, digest, new=True, checked=bool(remote.sha256))


def _check(remote: Remote, part: Path) -> str:
    digest = sha256_of(part)
    if remote.sha256 and digest != remote.sha256:
        part.unlink()
        raise CohortError(
            f"{remote.file}: SHA-256 is {digest[:16]}..., expected {remote.sha256[:16]}...; "
            "the file was deleted",
            hint="fetch again; if it stays so, the server holds another version",
        )
    return digest


class _NotThereError(Exception):
    """The server or folder has no such file."""


def _download(url: str, part: Path, name: str, line: _Line) -> None:
    """Fill ``part`` from ``url``, going on from the bytes that it has."""
    for attempt in range(_TRIES):
        try:
            if _one_try(url, part, name, line):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in {408, 416, 429}:
                raise _NotThereError(f"the server answers {error.code} {error.reason}") from None
            reason = f"the server answers {error.code}"
            if error.code == 416:  # what is here does not fit what is there: start afresh
                part.unlink(missing_ok=True)
        except (OSError, HTTPException) as error:
            if _no_such_file(url):
                raise _NotThereError("no such file") from None
            reason = str(error) or type(error).__name__
        if attempt + 1 < _TRIES:
            time.sleep(line.patience_s * 2**attempt)
    raise CohortError(
        f"{url}: {reason}, {_TRIES} times", hint="run the same command again; it goes on from there"
    )


def _one_try(url: str, part: Path, name: str, line: _Line) -> bool:
    """Return True when the whole file is here."""
    mark = part.with_name(part.name + ".etag")
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "hilum"})  # noqa: S310
    if have:
        request.add_header("Range", f"bytes={have}-")
        if mark.is_file():  # a file that changed since is sent whole
            request.add_header("If-Range", mark.read_text(encoding="utf-8"))
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        start = have if _goes_on_at(answer, have) else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else None
        if tag := answer.headers.get("ETag"):
            mark.write_text(tag, encoding="utf-8")
        with part.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            done = start
            while chunk := answer.read(_CHUNK):
                stream.write(chunk)
                done += len(chunk)
                line.progress(name, done, total)
    complete = total is None or done == total
    if complete:
        mark.unlink(missing_ok=True)
    return complete


def _goes_on_at(answer: Any, have: int) -> bool:
    span = answer.headers.get("Content-Range", "")
    return getattr(answer, "status", None) == 206 and span.startswith(f"bytes {have}-")


def _no_such_file(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "file" and not Path(url2pathname(parts.path)).is_file()


def _unpack(archive: Path, root: Path, strip: int) -> None:
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [each for each in packed.infolist() if not each.is_dir()]
            need, free = sum(each.file_size for each in members), shutil.disk_usage(root).free
            if need > free:
                raise CohortError(
                    f"{archive}: unpacks to {need >> 20} MB, {free >> 20} MB are free"
                )
            for member in members:
                _unpack_one(packed, member, root, strip)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        archive.unlink()
        raise CohortError(
            f"{archive.name}: not a sound zip archive: {error}; the file was deleted",
            hint="fetch again",
        ) from None
    archive.unlink()


def _unpack_one(packed: zipfile.ZipFile, member: zipfile.ZipInfo, root: Path, strip: int) -> None:
    name = "/".join(PurePosixPath(member.filename).parts[strip:])
    if not name or member.filename.startswith("__MACOSX/"):
        return
    if not _safe(name):
        raise CohortError(f"{packed.filename}: member {member.filename!r} leaves the folder")
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with packed.open(member) as source, target.open("wb") as stream:
        shutil.copyfileobj(source, stream)


def _safe(name: str) -> bool:
    path = PurePosixPath(name)
    odd = "\\" in name or ":" in name
    return bool(name) and not odd and not path.is_absolute() and ".." not in path.parts


def _recorded(root: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads((root / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _record(root: Path, remote: Remote, digest: str) -> None:
    known = _recorded(root)
    known[remote.file] = {"sha256": digest, "url": remote.url, "unpacked": remote.unpack}
    write_text(root / RECORD, json.dumps(known, indent=2) + "\n")

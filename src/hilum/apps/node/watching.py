"""Watching: folders that films are put into, and folders that results are put into."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset

from hilum.apps.node.settings import Peer
from hilum.apps.node.taking import TakenObject
from hilum.apps.store.folder import sync_folder
from hilum.core.errors import PeerError, UnreadableImageError

DONE, FAILED = "done", "failed"
_WRITTEN = (".part", ".tmp", ".filepart", ".crdownload", "~")
"""Names end so while another program is writing."""
_AGAIN_S = 30.0
_LOOKS = 3
"""So often a file is looked at that cannot be read: it may be half written."""
_PLAIN = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")
)
"""How a file is opened that may have become a link, or a pipe that nobody writes."""
_LOG = logging.getLogger("hilum.receiver")


class _Signature(NamedTuple):
    """What changes when a file does; ``inode``, since films of one detector all have one size."""

    inode: int
    size: int
    modified_ns: int


class _Seen(NamedTuple):
    """A file, when it is to be looked at (seconds, monotonic), and how often it was in vain."""

    signature: _Signature
    due: float
    looks: int = 0


class Inbox:
    """One folder in which a peer puts films.

    What stands still is copied and taken; then it is moved into ``done``, or into ``failed`` with
    the reason beside it. Where a kill, or a folder that cannot be written, keeps it where it was,
    it is taken again, and is known: nothing is lost, and no film is there twice.

    Args:
        peer: with ``inbox``.
        data: folder of data.
        receiving: where copies are made.
        largest: size of a file, in bytes.
        take: takes a copy that came from a peer.
    """

    def __init__(
        self,
        peer: Peer,
        data: Path,
        receiving: Path,
        largest: float,
        take: Callable[[str, Path], TakenObject],
    ) -> None:
        self._root, self._peer = data / str(peer.inbox), peer
        self._receiving, self._largest, self._take = receiving, largest, take
        self._seen: dict[Path, _Seen] = {}
        self._stuck: dict[Path, _Signature] = {}
        self._error = ""

    def look(self, may: Callable[[], bool]) -> None:
        """Take what has stood still since an earlier look, as long as ``may`` says so."""
        now = time.monotonic()
        try:
            found = dict(self._files())
        except OSError as error:
            self._say(f"the inbox of {self._peer.name} cannot be read: {error.strerror}")
            return
        self._say("")
        self._stuck = {path: was for path, was in self._stuck.items() if found.get(path) == was}
        self._seen = {
            path: self._seen[path]
            if path in self._seen and self._seen[path].signature == signature
            else _Seen(signature, now + self._peer.settle_s)
            for path, signature in found.items()
        }
        for path, seen in sorted(self._seen.items()):
            if seen.due <= now and path not in self._stuck:
                if not may():
                    return
                self._one(path, seen)

    def _files(self) -> Iterator[tuple[Path, _Signature]]:
        """Yield the files, with what changes when they do."""
        apart = (self._root / DONE, self._root / FAILED)
        with os.scandir(self._root):  # a folder that is gone is an error; below it, it is not
            pass
        for folder, folders, names in os.walk(self._root):
            here = Path(folder)
            folders[:] = [
                each for each in folders if not each.startswith(".") and here / each not in apart
            ]
            for name in names:
                if name.startswith(".") or name.lower().endswith(_WRITTEN):
                    continue
                with contextlib.suppress(OSError):
                    if signature := _signature((here / name).lstat()):
                        yield here / name, signature

    def _one(self, path: Path, seen: _Seen) -> None:
        signature, _, looks = seen
        if signature.size > self._largest:
            self._move(path, signature, FAILED, f"larger than {self._largest / 1e6:g} MB")
            return
        copy = None
        try:
            handle, copy = tempfile.mkstemp(dir=self._receiving)
            with (
                os.fdopen(handle, "wb") as target,
                os.fdopen(os.open(path, _PLAIN), "rb") as source,
            ):
                if _signature(os.fstat(source.fileno())) != signature:
                    return
                shutil.copyfileobj(source, target, 1 << 20)
            if _signature(path.lstat()) != signature:
                return  # it is looked at again
            answer = self._take(self._peer.name, Path(copy))
        except OSError as error:
            self._seen[path] = _Seen(signature, time.monotonic() + _AGAIN_S, looks + 1)
            if not looks:
                _LOG.warning(
                    "a file in the inbox of %s cannot be read: %s", self._peer.name, error.strerror
                )
            return
        finally:
            if copy is not None:
                Path(copy).unlink(missing_ok=True)
        unreadable = isinstance(answer.error, UnreadableImageError)
        if answer.later:
            self._seen[path] = _Seen(signature, time.monotonic() + _AGAIN_S, looks)
        elif unreadable and looks + 1 < _LOOKS:  # half written, or its decoder was ended
            self._seen[path] = _Seen(signature, time.monotonic() + self._peer.settle_s, looks + 1)
        elif answer.status == 0:
            self._move(path, signature, DONE)
        else:
            self._move(path, signature, FAILED, _reason(answer))

    def _move(self, path: Path, signature: _Signature, where: str, reason: str = "") -> None:
        """Move a file that is still the one that was looked at out of the way."""
        try:
            if _signature(path.lstat()) == signature:
                self._rename(path, where, reason)
        except OSError as error:
            self._stuck[path] = signature  # until it changes, or the receiver starts again
            _LOG.warning(
                "a file in the inbox of %s cannot be moved: %s", self._peer.name, error.strerror
            )

    def _rename(self, path: Path, where: str, reason: str) -> None:
        """Rename a file to a name that nothing has there."""
        target = self._root / where / path.relative_to(self._root)
        root = self._root.resolve()
        if target.parent.resolve() != root / target.parent.relative_to(self._root):
            raise OSError(errno.ELOOP, f"'{where}' there is, or has, a link")
        for folder in (*reversed(target.parent.relative_to(self._root).parents), target.parent):
            _make_shared(self._root / folder, self._root.stat())
        plain, number = target, 1
        while os.path.lexists(target) or os.path.lexists(f"{target}.txt"):
            number += 1
            target = plain.with_name(f"{plain.stem}-{number}{plain.suffix}")
        if reason:
            said = target.with_name(f"{target.name}.txt")
            with said.open("x", encoding="utf-8") as out:
                out.write(reason + "\n")
            _share(said, self._root.stat())
        path.rename(target)

    def _say(self, error: str) -> None:
        """Say once what is wrong with the folder."""
        if error and error != self._error:
            _LOG.warning("%s", error)
        self._error = error


def _signature(about: os.stat_result) -> _Signature | None:
    """Return that of a plain file; None of a link, which could point anywhere, and of others."""
    if not stat.S_ISREG(about.st_mode):
        return None
    return _Signature(about.st_ino, about.st_size, about.st_mtime_ns)


def _make_shared(folder: Path, above: os.stat_result) -> None:
    """Make a folder unless it is there, for whom the folder above is for."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        _share(folder, above)


def _share(path: Path, above: os.stat_result) -> None:
    """Give a file or folder the group and the rights of the folder above, whatever the umask."""
    if not hasattr(os, "chown"):
        return
    with contextlib.suppress(OSError):  # a group that this node is not in
        os.chown(path, -1, above.st_gid)
    mode = stat.S_IMODE(above.st_mode) & (0o7777 if path.is_dir() else 0o666)
    if path.stat().st_gid != above.st_gid:
        mode &= ~0o070
    with contextlib.suppress(OSError):  # a share that has no modes
        path.chmod(mode)


def _reason(answer: TakenObject) -> str:
    if answer.error is not None:
        error = answer.error
        return error.message + (f"\n{error.hint}" if error.hint else "")
    return {
        "other-pixels": "a film with other pixels is kept under its SOP Instance UID",
        "refused": "its modality is none of those that are read",
    }.get(answer.outcome, answer.outcome)


def put(peer: Peer, data: Path, dataset: Dataset) -> int:
    """Put a file that was read into the outbox of a peer: ``<study>/<SOP Instance UID>.dcm``.

    Returns:
        0x0000: it is on disk.

    Raises:
        PeerError: the folder is not there, or cannot be written.
    """
    root = data / str(peer.outbox)
    folder = root / str(dataset.StudyInstanceUID)
    name = f"{dataset.SOPInstanceUID}.dcm"
    written = folder / f".{name}.part"
    try:
        above = root.stat()  # a drive that is not mounted must not become a folder
        _make_shared(folder, above)
        with written.open("wb") as out:
            out.write(Path(dataset.filename).read_bytes())
            out.flush()
            _share(written, above)
            os.fsync(out.fileno())
        written.replace(folder / name)
        sync_folder(folder)
        sync_folder(root)
    except OSError as error:
        raise PeerError(
            f"{peer.name}: its outbox cannot be written: {error.strerror}",
            hint="make the folder, and let this node write there",
        ) from None
    return 0


def check_folders(peer: Peer, data: Path) -> str:
    """Say what a peer's folders are for.

    Raises:
        PeerError: one is not there, or this node may not write there.
    """
    words = []
    for name, folder in (("inbox", peer.inbox), ("outbox", peer.outbox)):
        if folder is None:
            continue
        if not os.access(data / folder, os.R_OK | os.W_OK | os.X_OK):
            raise PeerError(
                f"{peer.name}: its {name} is not there, or cannot be written",
                hint=f"make {data / folder}, and let this node read and write there",
            )
        words.append(f"its {name} is there")
    return ", ".join(words)

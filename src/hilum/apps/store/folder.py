"""The folder of films: each file under the SHA-256 of its content, on disk before it counts.

films/9f/9f2c...   the bytes as they came
incoming/...       what is being written; left behind by a kill, swept at the next start
results/9f/9f2c... objects that go to the archive
receiving/...      what the receiver of the node is writing; its own, and swept by it
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hilum.apps.store.store import explain

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A file in the folder: SHA-256 of its content, and its size in bytes."""

    sha256: str
    size: int


class FilmFolder:
    """Films by content.

    Args:
        data: folder of data; ``films`` and ``incoming`` are made in it.
    """

    def __init__(self, data: Path) -> None:
        self.root = data / "films"
        self.incoming = data / "incoming"
        self.receiving = data / "receiving"
        self.results = data / "results"
        for folder in (self.root, self.incoming, self.receiving, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        self._synced: set[Path] = set()

    def path(self, sha256: str) -> Path:
        """Return where the film of this checksum lies."""
        return self.root / sha256[:2] / sha256

    def result(self, sha256: str) -> Path:
        """Return where the result of this checksum lies."""
        return self.results / sha256[:2] / sha256

    def keep(self, stream: BinaryIO, *, result: bool = False) -> Kept:
        """Copy a stream into the folder; when this returns it is on disk, synced with its folder.

        Args:
            stream: a film, or where ``result`` is true what was made of one.

        Raises:
            StoreFullError: no space; nothing is left behind.
        """
        temporary = None
        try:
            handle, temporary = tempfile.mkstemp(dir=self.incoming)
            with os.fdopen(handle, "wb") as out:
                kept = _copy(stream, out)
                out.flush()
                os.fsync(out.fileno())
            target = self.result(kept.sha256) if result else self.path(kept.sha256)
            self._place(Path(temporary), target)
        except OSError as error:
            raise explain(error) from error
        finally:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
        return kept

    def adopt(self, path: Path) -> Kept:
        """Move a file that lies in ``receiving`` into the folder; synced as ``keep`` does.

        Raises:
            StoreError: it stays where it was.
        """
        try:
            with path.open("r+b") as stream:
                kept = Kept(hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell())
                os.fsync(stream.fileno())
            self._place(path, self.path(kept.sha256))
        except OSError as error:
            raise explain(error) from error
        return kept

    def _place(self, path: Path, target: Path) -> None:
        folder = target.parent
        folder.mkdir(exist_ok=True)
        path.replace(target)
        sync_folder(folder)
        if folder not in self._synced:  # by this process; another may have made it just now
            sync_folder(folder.parent)
            self._synced.add(folder)

    def remove(self, checksums: Iterable[str]) -> None:
        """Delete films; one that is gone already is fine."""
        for sha256 in checksums:
            self.path(sha256).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what a killed process was writing; call it before the first ``keep``."""
        for left in self.incoming.iterdir():
            left.unlink(missing_ok=True)


def _copy(stream: BinaryIO, out: BinaryIO) -> Kept:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        out.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return Kept(digest.hexdigest(), size)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to disk (POSIX; elsewhere the file's own sync must do)."""
    with contextlib.suppress(PermissionError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

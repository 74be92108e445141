"""Files: written whole or not at all, and their checksums."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block ends well.

    A killed process or a full disk leaves the old file, never half of the new one. The suffix is
    kept, because many writers choose the format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix or ".tmp"
    )
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.chmod(0o666 & ~_umask())
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to ``path``, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class Walked(NamedTuple):
    """What lies beneath a folder.

    Attributes:
        files: sorted by folder and name.
        folders: that were entered, the first being the folder itself.
        lost: folders that were not entered, and why.
    """

    files: list[Path]
    folders: list[Path]
    lost: dict[Path, str]


def walk(root: Path, *, but: frozenset[str] = frozenset()) -> Walked:
    """List what lies beneath a folder; what is hidden or named in ``but`` is passed over.

    A linked folder is not entered, so that a ring of links ends; one that leads to a place beneath
    ``root`` hides nothing, and is not told of.
    """
    walked, home = Walked([], [], {}), root.resolve()

    def lose(error: OSError) -> None:
        walked.lost[Path(error.filename)] = (error.strerror or str(error)).lower()

    for at, folders, names in os.walk(root, onerror=lose):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in but
        )
        walked.folders.append(Path(at))
        walked.files.extend(Path(at, name) for name in sorted(names) if name[0] != ".")
        links = (Path(at, name) for name in folders if Path(at, name).is_symlink())
        away = (link for link in links if not link.resolve().is_relative_to(home))
        walked.lost.update(dict.fromkeys(away, "a linked folder"))
    return walked

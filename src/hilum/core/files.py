"""Files: written whole or not at all, and their checksums."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hilum.core.errors import ConfigError

WRITER = "Hilum"
"""Stands in every file that is made of one film, so that it can be told from somebody else's."""

_LONGEST_NAME = 255
_LONG_SUFFIX = 16


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block ends well.

    A killed process or a full disk leaves the old file, never half of the new one. The suffix is
    kept, because many writers choose the format by it; the name is not, which may be as long as a
    name can be.

    Raises:
        ConfigError: there is something that is no file: a folder, or a device, which the file
            would replace.
    """
    _refuse_other_kinds(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix if 1 < len(path.suffix) < _LONG_SUFFIX else ".tmp"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".hilum.", suffix=suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.chmod(0o666 & ~_umask())
        yield temporary
        temporary.replace(path)
    except OSError as error:
        first = error.__context__
        if error.errno is None and isinstance(first, OSError):  # pydicom puts another in its place
            error.errno, error.strerror = first.errno, first.strerror
        error.filename = error.filename or str(path)  # a full disk does not say whose
        raise
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


class Stems:
    """Names for the files that are made from films: each once in its folder, and no longer than it
    allows.

    Films of one name from different folders are numbered: film, film-2, film-3; also those that
    differ in capitals or in the composition of letters alone, which is one name to some file
    systems. A name that is too long is cut, and ends in ten digits of its SHA-256.

    Args:
        folder: where the files go; it need not exist.
        tails: what follows the name in its files: ".pdf", ".covid-19.png".
    """

    def __init__(self, folder: Path, tails: Sequence[str]) -> None:
        self._folder = folder
        self._tails = tails
        self._room = _longest_name(folder) - max(len(os.fsencode(tail)) for tail in tails)
        self._taken: set[str] = set()

    def check(self, films: Iterable[Path]) -> None:
        """Make sure that the files of these films replace only what Hilum wrote before.

        What Hilum writes of a film names Hilum in plain bytes, whatever its format.

        Raises:
            ConfigError: a file of such a name is there, and somebody else's.
        """
        if not self._folder.is_dir():
            return
        names = Stems(self._folder, self._tails)
        for stem in map(names.of, films):
            for place in (self._folder / f"{stem}{tail}" for tail in self._tails):
                if place.is_file() and WRITER.encode() not in place.read_bytes():
                    raise ConfigError(
                        f"{place}: is there, was not written by Hilum, and would be replaced",
                        hint="name another folder, or move the file away",
                    )

    def of(self, path: str | Path) -> str:
        """Return the name for the next film."""
        stem = Path(path).stem
        name, number = self._fitted(stem, ""), 1
        while (key := unicodedata.normalize("NFC", name).casefold()) in self._taken:
            number += 1
            name = self._fitted(stem, f"-{number}")
        self._taken.add(key)
        return name

    def _fitted(self, stem: str, number: str) -> str:
        encoded = os.fsencode(stem)
        if len(encoded) + len(number) <= self._room:
            return stem + number
        end = f"-{hashlib.sha256(encoded).hexdigest()[:10]}{number}"
        return encoded[: self._room - len(end)].decode("utf-8", "ignore") + end


def check_writable(path: Path, *, file: bool = True, folder: bool = True) -> None:
    """Make sure that ``path`` can be written later; nothing is left there.

    Args:
        path: it need not exist.
        file, folder: what it may be.

    Raises:
        ConfigError: it cannot, or is of another kind.
    """
    if not (folder and path.is_dir()):
        _refuse_other_kinds(path)
    place = _existing(path.parent if file and not path.is_dir() else path)
    try:
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{place} is a file")
        with tempfile.TemporaryFile(dir=place):
            return
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"{path}: cannot be written: {reason}", hint="check the path, space and rights"
        ) from None


def check_spared(output: Path, inputs: Iterable[Path], option: str = "the output") -> None:
    """Make sure that writing a file replaces nothing that is read.

    Args:
        output: it need not exist.
        inputs: files, and folders of which everything is read.
        option: that names the output, for the error.

    Raises:
        ConfigError: it is one of the files, or lies in one of the folders.
    """
    if not output.is_file():
        return
    for each in inputs:
        if os.path.isdir(each):  # noqa: PTH112 (Path.is_dir may raise)
            read = output.resolve().is_relative_to(each.resolve())
        else:
            read = os.path.exists(each) and output.samefile(each)  # noqa: PTH110
        if read:
            within = "" if output == each else f" (by {each})"
            raise ConfigError(
                f"{output}: is read{within}, and {option} would replace it",
                hint=f"name a file for {option} that is not read",
            )


def _refuse_other_kinds(path: Path) -> None:
    if path.exists() and not path.is_file():
        found = "a folder" if path.is_dir() else "a device or pipe"
        raise ConfigError(f"{path}: {found}; expected the name of a file", hint="name a file")


def _existing(path: Path) -> Path:
    return next((each for each in (path, *path.parents) if each.exists()), Path())


def _longest_name(folder: Path) -> int:
    """Bytes that a name in a folder may have."""
    if not hasattr(os, "pathconf"):
        return _LONGEST_NAME
    try:
        return os.pathconf(_existing(folder), "PC_NAME_MAX")
    except OSError:
        return _LONGEST_NAME


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

"""Which films a person means: files, folders and patterns, in a fixed order."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from hilum.core.errors import ConfigError
from hilum.core.files import walk


def find_films(named: Iterable[str | Path]) -> list[Path]:
    """List the files that the arguments of ``hilum read`` name.

    A file stays as it is named, even if it does not exist: it becomes a row with an error. A folder
    gives every file beneath it, sorted; hidden files and folders are skipped. A pattern (``*``,
    ``?``, ``[...]``, ``**``) gives what it matches, sorted. Whether a file is a film is decided by
    its content when it is opened, never by its name.

    A folder on the way that cannot be listed, or is a link that leads elsewhere, is itself among
    the files: it, too, becomes a row with an error.

    Raises:
        ConfigError: the arguments name no file at all.
    """
    words = [str(name) for name in named]
    films = [film for word in words for film in _films_of(word)]
    if not films:
        raise ConfigError(
            f"{', '.join(words) or 'no path'}: no files found",
            hint="name films, folders that hold some, or patterns such as 'FOLDER/**/*.png'",
        )
    return films


def _films_of(word: str) -> Iterable[Path]:
    path = Path(word)
    if path.is_dir():
        return _beneath(path)
    if not glob.has_magic(word) or os.path.lexists(path):
        return [path]
    lost: list[Path] = []
    anchor = Path(path.anchor)
    found = sorted(set(_matches(anchor, path.relative_to(anchor).parts, lost)))
    films = (_beneath(match) if match.is_dir() else [match] for match in found)
    return dict.fromkeys([*chain.from_iterable(films), *lost])


def _beneath(folder: Path) -> list[Path]:
    walked = walk(folder)
    return [*walked.files, *walked.lost]


def _matches(at: Path, pattern: tuple[str, ...], lost: list[Path]) -> Iterator[Path]:
    """Yield what a pattern matches beneath ``at``; folders that cannot be entered go to ``lost``.

    ``glob.glob`` passes over those in silence, and goes round a ring of links for ever.
    """
    if not pattern:
        yield at
    elif pattern[0] == "**":
        walked = walk(at)
        lost += walked.lost
        for folder in walked.folders if pattern[1:] else ():
            yield from _matches(folder, pattern[1:], lost)
        yield from () if pattern[1:] else walked.files
    else:
        for child in _children(at, pattern[0], lost):
            if not pattern[1:] or os.path.isdir(child):  # noqa: PTH112 (Path.is_dir may raise)
                yield from _matches(child, pattern[1:], lost)


def _children(at: Path, pattern: str, lost: list[Path]) -> list[Path]:
    if not glob.has_magic(pattern):
        return [at / pattern] if os.path.lexists(at / pattern) else []
    try:
        names = sorted(os.listdir(at))  # noqa: PTH208 (names, to be compared with the pattern)
    except OSError:
        lost.append(at)
        return []
    seen = (name for name in names if pattern.startswith(".") or not name.startswith("."))
    return [at / name for name in seen if fnmatch.fnmatch(name, pattern)]

"""Which films a person means: files, folders and patterns, in a fixed order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from hilum.core.errors import ConfigError


def find_films(named: Iterable[str | Path]) -> list[Path]:
    """List the files that the arguments of ``hilum read`` name.

    A file stays as it is named, even if it does not exist: it becomes a row with an error. A folder
    gives every file beneath it, sorted; hidden files and folders are skipped. A pattern (``*``,
    ``?``, ``[...]``, ``**``) gives what it matches, sorted. Whether a file is a film is decided by
    its content when it is opened, never by its name.

    Raises:
        ConfigError: the arguments name no file at all.
    """
    words = [str(name) for name in named]
    films = [film for word in words for film in _films_of(word)]
    if not films:
        raise ConfigError(
            f"{', '.join(words) or 'no path'}: no files found",
            hint="name films, folders or patterns: hilum read FILM.dcm FOLDER 'FOLDER/**/*.png'",
        )
    return films


def _films_of(word: str) -> Iterator[Path]:
    path = Path(word)
    if path.is_dir():
        yield from _beneath(path)
    elif glob.has_magic(word) and not os.path.lexists(path):
        for match in sorted(glob.glob(word, recursive=True)):  # noqa: PTH207 (Path.glob: no absolute ones)
            yield from _beneath(Path(match)) if Path(match).is_dir() else [Path(match)]
    else:
        yield path


def _beneath(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(files) if not name.startswith("."))

"""What a source holds: the address of every film, in a fixed order, wherever they lie.

An address is a path or what fsspec opens: ``s3://``, ``https://``, ``gs://``, ``az://``, and
``zip://NAME::ARCHIVE`` for a film in an archive.
"""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pyarrow
import pyarrow.parquet

from hilum.core.errors import ConfigError
from hilum.core.textfile import read_text
from hilum.serve.inputs import find_films

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
TABLES = (".csv", ".tsv", ".parquet")
STORES = ("http", "https", "s3", "gs", "gcs", "az", "abfs")
"""What the list of a server may name."""
COLUMNS = ("address", "path")
"""Columns of a table that may hold addresses; the first that is there does."""


def is_remote(address: str) -> bool:
    """Tell whether fsspec opens an address; a path is opened as it stands."""
    return "://" in address


def is_archive(address: str) -> bool:
    """Tell by its name whether an address is an archive of films."""
    return named(address).endswith(ARCHIVES) and "::" not in address


def named(address: str) -> str:
    """Return what tells the kind of a file: small letters, and not what signs a web address.

    >>> named("https://host/Ward.ZIP?X-Amz-Signature=0f")
    'https://host/ward.zip'
    """
    lower = address.lower()
    return lower.partition("?")[0] if lower.startswith(("http://", "https://")) else lower


def filesystem(address: str) -> tuple[Any, str]:
    """Return fsspec's file system for an address, and the path in it.

    Raises:
        ConfigError: no such protocol, or the package for it is not installed.
    """
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"{address}: {error}",
            hint="s3:// comes with hilum[batch]; gs:// needs gcsfs, az:// adlfs",
        ) from None
    return found


def addresses(source: str) -> Iterator[str]:
    """Yield the address of every film and archive that a source names; paths are made absolute.

    Args:
        source: a folder, here or at an address; a list (``.txt``, one a line; ``.csv``, ``.tsv`` or
            ``.parquet`` with a column ``address`` or ``path``), whose relative names are relative
            to its folder; an archive; a film; a pattern.

    Raises:
        ConfigError: it is not there, names nothing, or its table has no such column.
        CohortError: the table cannot be read.
    """
    if not (is_remote(source) or glob.has_magic(source) or os.path.lexists(source)):
        raise ConfigError(
            f"{source}: no such folder or file",
            hint="look at the name, and whether the share is mounted",
        )
    if named(source).endswith((".txt", *TABLES)):
        return _listed(source)
    if is_remote(source):
        return _beneath(source)
    return (os.path.abspath(film) for film in find_films([source]))  # noqa: PTH100


def shards(found: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield ``size`` addresses at a time, in order; an archive is a shard of its own.

    >>> list(shards(["a.png", "b.png", "c.png", "d.zip", "e.png"], 2))
    [['a.png', 'b.png'], ['c.png'], ['d.zip'], ['e.png']]
    """
    waiting: list[str] = []
    for address in found:
        if waiting and (len(waiting) == size or is_archive(address)):
            yield waiting
            waiting = []
        if is_archive(address):
            yield [address]
        else:
            waiting.append(address)
    if waiting:
        yield waiting


def _beneath(source: str) -> Iterator[str]:
    system, root = filesystem(source)
    try:
        files = [root] if system.isfile(root) else sorted(system.find(root))
    except Exception as error:  # each file system has errors of its own
        raise ConfigError(
            f"{source}: cannot be listed: {error}", hint="check the address and the credentials"
        ) from None
    for name in files:
        parts = PurePosixPath(name.removeprefix(root)).parts
        if not any(part.startswith(".") for part in parts):
            yield system.unstrip_protocol(name)


def _listed(source: str) -> Iterator[str]:
    at = source[: len(named(source))]
    folder = at.rpartition("/")[0] if is_remote(source) else Path(source).absolute().parent
    with tempfile.TemporaryDirectory(prefix="hilum-") as temporary:
        path = Path(source)
        if is_remote(source):
            path = Path(temporary, PurePosixPath(at).name)
            system, place = filesystem(source)
            try:
                system.get_file(place, str(path))
            except Exception as error:
                raise ConfigError(
                    f"{source}: cannot be read: {error}",
                    hint="check the address and the credentials",
                ) from None
        for name in _names_in(path, source):
            if not name:
                continue
            if is_remote(source):
                _check_stays(name, source)
                yield name if is_remote(name) else f"{folder}/{name}"
            else:
                yield name if is_remote(name) else os.path.join(folder, name)  # noqa: PTH118


def _check_stays(name: str, source: str) -> None:
    """Refuse what leads from the list of a server to files of this machine."""
    *packed, last = (part.partition("://") for part in name.split("::"))
    stores = {source.partition("://")[0], *STORES}
    inside = all(kind in ("zip", "tar") and mark for kind, mark, _ in packed)
    if packed or last[1]:
        stays = inside and bool(last[1]) and last[0] in stores
    else:
        stays = not name.startswith(("/", "\\"))
    if not stays:
        raise ConfigError(
            f"{source}: names {name}; expected a name relative to the list, or an address",
            hint="copy the list to this machine, if it is to be trusted",
        )


def _names_in(path: Path, source: str) -> Iterator[str]:
    suffix = path.suffix.lower()
    if suffix == ".txt":
        lines = (line.strip() for line in read_text(path, ConfigError).splitlines())
        yield from (line for line in lines if not line.startswith("#"))
    elif suffix == ".parquet":
        try:
            table = pyarrow.parquet.ParquetFile(path)
        except (OSError, pyarrow.ArrowInvalid) as error:
            raise ConfigError(f"{source}: no Parquet file: {error}") from None
        with table:
            column = _column(table.schema_arrow.names, source)
            for batch in table.iter_batches(columns=[column]):
                yield from (_text(name, source) for name in batch.column(0).to_pylist())
    else:
        from hilum.core.csvtable import read_table

        cells = read_table(path)
        yield from cells[_column([str(name) for name in cells], source)]


def _text(name: Any, source: str) -> str:
    if not isinstance(name, str | bytes | None):
        raise ConfigError(f"{source}: {name!r}; expected an address", hint="name films as text")
    return os.fsdecode(name or "")


def _column(names: list[str], source: str) -> str:
    for column in COLUMNS:
        if column in names:
            return column
    raise ConfigError(
        f"{source}: no column address or path; found {', '.join(names)}",
        hint="name the column that holds the films 'path'",
    )

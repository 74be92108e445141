"""Catalog: what each collection is, who may use it, how to cite it, and where it is."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Remote:
    """One file of a collection on a server.

    Attributes:
        file: its name here and on a mirror.
        url: its public address.
        sha256: 64 hexadecimal digits, or "" where none is known.
        unpack: it is an archive to unpack; ``strip`` leading folders are taken off its names.
    """

    file: str
    url: str
    sha256: str = ""
    unpack: bool = False
    strip: int = 0


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One collection.

    Attributes:
        name: the adapter that reads it.
        what: one line.
        films: how many images, about.
        size: on disk, in words.
        licence, citation, address: as the collection states them.
        remotes: what ``fetch`` downloads; empty where there is no address without a login.
        how: how a person gets it where ``fetch`` cannot.
    """

    name: str
    what: str
    films: int
    size: str
    licence: str
    citation: str
    address: str
    remotes: tuple[Remote, ...] = ()
    how: str = ""


def _entry(name: str, said: dict[str, Any]) -> CatalogEntry:
    remotes = tuple(Remote(**each) for each in said.pop("remotes", ()))
    return CatalogEntry(name, **said, remotes=remotes)


_SAID = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

CATALOG = {name: _entry(name, said) for name, said in _SAID.items()}
"""Adapter name -> what is known of the collection; ``csv`` and ``folders`` are no collections."""

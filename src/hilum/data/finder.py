"""Finder: which file on disk a name in a table means. It never guesses between two films.

The path as it stands comes first. Else the file whose path has the longest end in common with the
name, in whole components: a table may say more than the disk (an archive's prefix, another
machine's folders) or less (the bare name). Only where no file has that name, case is ignored; only
then, the extension. Where the folder speaks for one film and the name for another, it is neither.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".dcm", ".dicom"}
)
Parts = tuple[str, ...]
EXACT = (9, 0)
"""Strength of a match with the very path that a table gives."""


class Found(NamedTuple):
    """What a name may mean.

    Attributes:
        path: the file, or None where none or more than one may be meant.
        strength: how well it fits: a closer name first, then more components in common.
        candidates: the files that it may be, where there is more than one.
    """

    path: Path | None
    strength: tuple[int, int] = (0, 0)
    candidates: Sequence[Path] = ()


def parts_of(name: str) -> Parts:
    """Return the components of a path that was written on any system.

    >>> parts_of(".\\\\films\\\\a.png"), parts_of("../x/./b.png")
    (('films', 'a.png'), ('x', 'b.png'))
    """
    parts: list[str] = []
    for part in _nfc(name).replace("\\", "/").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return tuple(parts)


def stem_of(name: str) -> str:
    """Return a file's name without the extension of an image; other dots are part of the name.

    >>> stem_of("a.PNG"), stem_of("CR.1.2.840")
    ('a', 'CR.1.2.840')
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 (a table may have a million names)
    return stem if suffix.lower() in IMAGE_SUFFIXES else name


class Finder:
    """The files of a folder, to be found by what a table calls them.

    Args:
        root: the folder that names are relative to.
        files: beneath it, absolute.
    """

    def __init__(self, root: Path, files: Iterable[Path]) -> None:
        self._root = root
        self._depth = len(root.parts)
        self._by_stem: dict[str, list[Path]] = {}
        self._groups: dict[tuple[str, Parts], dict[str, list[Path]]] = {}
        self._alike: dict[str, _Alike] = {}
        for file in files:
            self._by_stem.setdefault(_stem(file.name), []).append(file)

    def find(self, name: str) -> Found:
        """Find the file that a table calls ``name``."""
        direct = self._root / name
        if os.path.isfile(direct):  # noqa: PTH113 (Path.is_file raises on a name that is too long)
            return Found(Path(os.path.normpath(direct)), EXACT)
        parts = parts_of(name)
        if not parts or _stem(parts[-1]) not in self._by_stem:
            return Found(None)
        return self._choose(parts, self._named(parts[-1]))

    def _choose(self, parts: Parts, named: _Alike) -> Found:
        fitting = self._narrowed(parts)
        whole = [file for file in fitting if _parts(file)[self._depth :] == parts]
        if len(whole) == 1:
            return Found(whole[0], EXACT)
        closest = [file for file in fitting if file in named.files]
        if not closest:  # the folder says one film, the name another
            return Found(None, candidates=[*fitting, *list(named.files)[:1]])
        if len(closest) > 1:
            return Found(None, candidates=closest)
        common = _common(_parts(closest[0]), parts)
        if common < min(len(closest[0].parts) - named.shared, len(parts)):
            return Found(None, candidates=closest)  # disk and table name two different folders
        return Found(closest[0], (named.closeness, common))

    def _narrowed(self, parts: Parts) -> list[Path]:
        """Keep the files with the longest end in common; their case decides between the last."""
        stem = _stem(parts[-1])
        found, end = self._by_stem[stem], Parts()
        for part in reversed(parts[:-1]):
            if len(found) == 1:
                return found
            closer = self._grouped(stem, end, found).get(part.casefold())
            if closer is None:
                break
            found, end = closer, (*end, part.casefold())
        exact = [file for file in found if _parts(file)[-len(end) - 1 : -1] == _above(parts, end)]
        return exact or found

    def _grouped(self, stem: str, end: Parts, files: list[Path]) -> dict[str, list[Path]]:
        """Group files by the folder above those that were compared; once, since many rows ask."""
        groups = self._groups.get((stem, end))
        if groups is None:
            groups = self._groups[stem, end] = {}
            for file in files:
                if above := _parts(file)[: -len(end) - 1]:
                    groups.setdefault(above[-1].casefold(), []).append(file)
        return groups

    def _named(self, name: str) -> _Alike:
        """Return the files that are called so; else but for case; else but for extension."""
        if name not in self._alike:
            stem = self._by_stem[_stem(name)]
            same = [file for file in stem if _nfc(file.name) == name]
            folded = [file for file in stem if _nfc(file.name).casefold() == name.casefold()]
            files = same or folded or stem
            shared = Path(os.path.commonpath([min(files).parent, max(files).parent]))
            closeness = 3 if same else 2 if folded else 1
            self._alike[name] = _Alike(dict.fromkeys(files), closeness, len(shared.parts))
        return self._alike[name]


class _Alike(NamedTuple):
    """Files that a bare name may mean, how close it is, and the depth of the folder above all."""

    files: dict[Path, None]
    closeness: int
    shared: int


def _stem(name: str) -> str:
    return stem_of(_nfc(name)).casefold()


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _parts(file: Path) -> Parts:
    return tuple(map(_nfc, file.parts))


def _above(parts: Parts, end: Parts) -> Parts:
    return parts[-len(end) - 1 : -1]


def _common(file: Parts, name: Parts) -> int:
    """Count the components that two paths end with in common; the name itself is one."""
    folders = zip(reversed(file[:-1]), reversed(name[:-1]), strict=False)
    differs = (place for place, (ours, theirs) in enumerate(folders) if _differ(ours, theirs))
    return 1 + next(differs, min(len(file), len(name)) - 1)


def _differ(one: str, other: str) -> bool:
    return one.casefold() != other.casefold()

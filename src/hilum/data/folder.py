"""Folder: the images and tables of a collection on disk, and what was odd about them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hilum.core.case import LABEL_COLUMNS
from hilum.core.csvtable import rows_of
from hilum.core.errors import CohortError
from hilum.core.files import walk
from hilum.data.cohort import Cohort, ReadReport
from hilum.data.finder import EXACT, IMAGE_SUFFIXES, Finder, Found, Parts, parts_of, stem_of
from hilum.data.header import head_of
from hilum.data.table import arrange, check_cases
from hilum.image.sniff import sniff

_MASKS = re.compile(r"masks?$", re.IGNORECASE)
_DRAWN = re.compile(r"segmentations?|ground[ _-]?truths?", re.IGNORECASE)
_MASK_OF = re.compile(r"[_-](masks?|seg|segmentation)$|^masks?[_-]", re.IGNORECASE)
_SHOWN = 3

Record = dict[str, Any]
"""One row of a cases table: column -> value; what is not there is unknown."""


class Folder:
    """The films beneath a folder, found by what a table calls them.

    A file is a film by its extension, else by its content. Masks are none: what lies in a folder
    called ``masks``, ``lung_masks`` and the like, or just there in ``Segmentation`` or
    ``Ground-truths``; and ``NAME_mask.png``, ``NAME_seg.png`` or ``mask_NAME.png`` beside
    ``NAME.png``.

    Attributes:
        root: the folder.
        missing, ambiguous, resolved, skipped, notes: become the ``ReadReport``.
        others: files that are no films.
        numbers: rows of the table whose film ``rows`` gave so far.
    """

    def __init__(self, root: Path, *, but: Sequence[str] = (), keep: Iterable[str] = ()) -> None:
        """List the films beneath ``root``.

        Args:
            root: the folder.
            but: names of folders to leave out.
            keep: names of folders that hold films, though they are called like those of masks.

        Raises:
            CohortError: there is no such folder.
        """
        if not root.is_dir():
            raise CohortError(f"{root}: no such folder", hint="check the path of the collection")
        self.root = root.resolve()  # once, so that every path is absolute
        self.missing: list[str] = []
        self.ambiguous: list[str] = []
        self.resolved: list[str] = []
        self.skipped: list[str] = []
        self.notes: list[str] = []
        self.numbers: list[int] = []
        found, _, lost = walk(self.root, but=frozenset(but))
        self._lost = [f"{self._name(path)}: {reason}" for path, reason in lost.items()]
        unnamed = [path for path in found if not _is_text(path)]
        self.skipped += [f"{self._name(each)!a}: no name in UTF-8; rename it" for each in unnamed]
        found = [path for path in found if _is_text(path)]
        images = sorted(path for path in found if _is_film(path))
        self.others = sorted(set(found) - set(images))
        masks = masks_among(images, self.root, frozenset(map(str.casefold, keep)))
        self.notes += [f"masks, no films: {line}" for line in self._counted(masks)]
        self._files = [path for path in images if path not in masks]
        self._finder = Finder(self.root, self._files)
        self._taken: set[Path] = set()

    @property
    def files(self) -> list[Path]:
        """Every film, sorted by path."""
        return list(self._files)

    def find(self, name: str, where: str) -> Path | None:
        """Find the film that one row calls ``name``; see ``find_all``."""
        return self.find_all([(name, where)])[0]

    def find_all(self, named: Sequence[tuple[str, str]]) -> list[Path | None]:
        """Find the films that the rows of a table name; write down what is not there as named.

        A name that fits several films, or a film that another row names better, is nobody's: such
        a row is ``ambiguous``. See ``Finder``.

        Args:
            named: file name, with or without folder or extension, and the row that names it.
        """
        found = [self._finder.find(name) for name, _ in named]
        claims: dict[Path, dict[Parts, tuple[int, int]]] = {}
        for (name, _), each in zip(named, found, strict=True):
            if each.path is not None:
                claims.setdefault(each.path, {})[parts_of(name)] = each.strength
        return [
            self._told(name, where, each, claims)
            for (name, where), each in zip(named, found, strict=True)
        ]

    def _told(
        self,
        name: str,
        where: str,
        found: Found,
        claims: dict[Path, dict[Parts, tuple[int, int]]],
    ) -> Path | None:
        path = found.path
        if path is None and not found.candidates:
            self.missing.append(f"{where}: {name}")
        elif path is None:
            self.ambiguous.append(f"{where}: {name}: is it {self._some(found.candidates)}?")
            self._taken.update(found.candidates)
        elif not _is_best(found.strength, claims[path]):
            ours = self._name(path)
            self.ambiguous.append(f"{where}: {name}: is it {ours}, which another row names better?")
            path = None
        else:
            self._resolve(name, path)
            self._taken.add(path)
        return path

    def _resolve(self, name: str, path: Path) -> None:
        """Write down where the name of the file differs, or its folder is another one."""
        wanted, ours = parts_of(name), parts_of(self._name(path))
        if stem_of(wanted[-1]) == wanted[-1]:  # an extension that was not given differs from none
            ours = (*ours[:-1], stem_of(ours[-1]))
        if path.is_relative_to(self.root) and wanted[-len(ours) :] != ours[-len(wanted) :]:
            self.resolved.append(f"{name} -> {self._name(path)}")

    def _name(self, path: Path) -> str:
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )

    def _some(self, paths: Sequence[Path]) -> str:
        names = " or ".join(self._name(path) for path in paths[:_SHOWN])
        return f"{names} or {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else names

    def _counted(self, paths: Iterable[Path]) -> list[str]:
        counts = Counter(self._name(path.parent) for path in paths)
        return [f"{folder} ({number} files)" for folder, number in sorted(counts.items())]

    def left(self) -> list[Path]:
        """Return the images that no row names, not even as one of several."""
        return [path for path in self._files if path not in self._taken]

    def rows(
        self, rows: pd.DataFrame, path: Path, name_of: Callable[[dict[str, str], str], str]
    ) -> Iterable[tuple[str, dict[str, str], Path]]:
        """Yield place, row and film of the rows whose film is here.

        Args:
            rows, path: the table and where it lies.
            name_of: from a row and its place to what it calls its film.
        """
        listed = list(rows_of(rows, path))
        films = self.find_all([(name_of(row, where), where) for where, row in listed])
        for number, (where, row), film in zip(rows.index, listed, films, strict=True):
            if film is not None:
                self.numbers.append(int(number))
                yield where, row, film

    def listed(
        self,
        name: str,
        rows: pd.DataFrame,
        path: Path,
        column: str,
        record: Callable[[dict[str, str], Path, str], Record],
    ) -> Cohort:
        """Make the cohort of a table whose ``column`` names images; images without a row too.

        Args:
            name: of the cohort.
            rows, path: the table and where it lies.
            record: from row (empty for an image that has none), image and name to a record.
        """
        found = list(self.rows(rows, path, lambda row, _: row[column]))
        records = [record(row, image, name) for _, row, image in found]
        unnamed = self.left()
        records += [record({}, image, name) for image in unnamed]
        return self.cohort(
            name, records, rows=len(rows), without_row=[image.name for image in unnamed]
        )

    def cohort(
        self,
        name: str,
        records: Iterable[Record],
        *,
        rows: int,
        without_row: Sequence[str] = (),
        place: tuple[str, Sequence[int]] | None = None,
    ) -> Cohort:
        """Make the cohort of ``records``, checked, with the report of this folder.

        A record is of an X-ray, and the cohort is its source, unless it says otherwise.

        Args:
            name: of the cohort.
            records: one a film.
            rows: of the collection's table.
            without_row: names of images that no row names.
            place: the table's name and the row of each record, for errors; else the cohort's name
                and the place of the record stand there.
        """
        common: Record = {"cohort": name, "source": name, "modality": "X-ray"}
        cases = _without_empty_labels(arrange(pd.DataFrame([common | each for each in records])))
        if cases.empty:
            raise CohortError(
                f"{self.root}: no film of {name} found{self._why_none()}",
                hint="name the folder that the collection unpacks to"
                if place is None
                else "films that lie elsewhere: --set images=FOLDER",
            )
        where, numbers = (name, None) if place is None else place
        check_cases(cases, where, rows=numbers)
        report = ReadReport(
            rows=rows,
            missing=tuple(self.missing),
            ambiguous=tuple(self.ambiguous),
            passed_over=tuple(self._lost),
            resolved=tuple(self.resolved),
            without_row=tuple(without_row),
            skipped=tuple(self.skipped),
            notes=tuple(self.notes),
        )
        return Cohort(name=name, cases=cases, report=report)

    def _why_none(self) -> str:
        """Say what there is in place of films."""
        said = {
            "rows name images that are not here": self.missing,
            "rows have names that fit several files": self.ambiguous,
            "folders could not be entered": self._lost,
        }
        found = [f"{len(texts)} {kind}, e.g. {texts[0]}" for kind, texts in said.items() if texts]
        return "".join(f"; {each}" for each in [*found, *self.notes])


def beside(root: Path, *places: str) -> Path | None:
    """Return the first of ``places`` that exists in ``root`` or beside it, or None."""
    found = (base / place for place in places for base in (root, root.parent))
    return next((path for path in found if path.exists()), None)


def first_folder(root: Path, *names: str) -> Path:
    """Return the first subfolder of ``root`` that exists, else ``root`` itself."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def _without_empty_labels(cases: pd.DataFrame) -> pd.DataFrame:
    silent = [name for name in LABEL_COLUMNS if name in cases and cases[name].isna().all()]
    return cases.drop(columns=silent)


def masks_among(images: Sequence[Path], root: Path, keep: frozenset[str]) -> set[Path]:
    """Return the images that are masks by their folder, or by their name beside their film's."""
    stems = {(path.parent, stem_of(path.name)) for path in images}
    return {path for path in images if _in_masks(path, root, keep) or _masks_film(path, stems)}


def _in_masks(path: Path, root: Path, keep: frozenset[str]) -> bool:
    folders = [each for each in path.relative_to(root).parts[:-1] if each.casefold() not in keep]
    last = path.parent.name
    return any(_MASKS.search(each) or (each == last and _DRAWN.fullmatch(each)) for each in folders)


def _masks_film(path: Path, stems: set[tuple[Path, str]]) -> bool:
    film, marks = _MASK_OF.subn("", stem_of(path.name))
    return bool(marks) and (path.parent, film) in stems


def _is_film(path: Path) -> bool:
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return path.is_file()  # no pipe, and no link to what is gone
    head = head_of(path)
    return sniff(head) is not None and b"\0" in head  # a text may begin with BM, as a BMP does


def _is_text(path: Path) -> bool:
    """Say whether the name can stand in a table: a name of other bytes than UTF-8 cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in str(path))


def _is_best(strength: tuple[int, int], claims: dict[Parts, tuple[int, int]]) -> bool:
    others = list(claims.values())
    return strength == EXACT or (strength == max(others) and others.count(strength) == 1)

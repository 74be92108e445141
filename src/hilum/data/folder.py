"""Folder: the images and tables of a collection on disk, and what was odd about them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hilum.core.case import LABEL_COLUMNS
from hilum.core.errors import CohortError, ImageError
from hilum.data.cohort import Cohort, ReadReport
from hilum.data.table import arrange, check_cases
from hilum.image.open import MAX_MEGAPIXELS
from hilum.image.raster import check_raster
from hilum.image.sniff import SNIFFED_BYTES, Kind, sniff

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".dcm", ".dicom"}
)
Record = dict[str, Any]
"""One row of a cases table: column -> value; what is not there is unknown."""


class Folder:
    """The images beneath a folder, found by name in spite of case and extension.

    Attributes:
        root: the folder.
        missing, resolved, skipped, notes: become the ``ReadReport``.
    """

    def __init__(self, root: Path, *, but: Sequence[str] = ()) -> None:
        """List the image files beneath ``root``, outside folders named in ``but``.

        Raises:
            CohortError: there is no such folder.
        """
        if not root.is_dir():
            raise CohortError(f"{root}: no such folder", hint="check the path of the collection")
        root = root.resolve()  # once, so that every path is absolute
        self.root = root
        self.missing: list[str] = []
        self.resolved: list[str] = []
        self.skipped: list[str] = []
        self.notes: list[str] = []
        self._files = sorted(_images(root, frozenset(but)))
        self._exact = {path.name: path for path in self._files}
        self._lower = _unique((path.name.lower(), path) for path in self._files)
        self._stems = _unique((path.stem.lower(), path) for path in self._files)
        self._taken: set[Path] = set()

    @property
    def files(self) -> list[Path]:
        """Every image file, sorted by path."""
        return list(self._files)

    def find(self, name: str, where: str) -> Path | None:
        """Find the image that a table calls ``name``; write down if it is not there as named.

        The same name in other case comes first, then the same stem with another extension, both
        only where they are unambiguous.

        Args:
            name: file name, with or without folder or extension.
            where: the row that names it, for the report.
        """
        wanted = Path(name).name
        path = self._exact.get(wanted)
        if path is None:
            path = self._lower.get(wanted.lower()) or self._stems.get(_stem(wanted))
            if path is None:
                self.missing.append(f"{where}: {name}")
                return None
            if Path(wanted).suffix:
                self.resolved.append(f"{wanted} -> {path.name}")
        self._taken.add(path)
        return path

    def left(self) -> list[Path]:
        """Return the images that ``find`` has not handed out."""
        return [path for path in self._files if path not in self._taken]

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
        found = [(row, self.find(row[column], where)) for where, row in rows_of(rows, path)]
        records = [record(row, image, name) for row, image in found if image is not None]
        unnamed = self.left()
        records += [record({}, image, name) for image in unnamed]
        return self.cohort(
            name, records, rows=len(rows), without_row=[image.name for image in unnamed]
        )

    def cohort(
        self, name: str, records: Iterable[Record], *, rows: int, without_row: Sequence[str] = ()
    ) -> Cohort:
        """Make the cohort of ``records``, checked, with the report of this folder."""
        cases = _without_empty_labels(arrange(pd.DataFrame(list(records))))
        if cases.empty:
            raise CohortError(
                f"{self.root}: no film of {name} found"
                + (
                    f"; {len(self.missing)} rows name images that are not here" * bool(self.missing)
                ),
                hint="name the folder that the collection unpacks to",
            )
        check_cases(cases, name)
        report = ReadReport(
            rows=rows,
            missing=tuple(self.missing),
            resolved=tuple(self.resolved),
            without_row=tuple(without_row),
            skipped=tuple(self.skipped),
            notes=tuple(self.notes),
        )
        return Cohort(name=name, cases=cases, report=report)


def read_table(path: Path, columns: Sequence[str] = (), **options: Any) -> pd.DataFrame:
    """Read a collection's table as text, stripped; unknown is "".

    Raises:
        CohortError: no such file, no table, or one of ``columns`` is not there.
    """
    try:
        table = pd.read_csv(
            path,
            dtype="str",
            keep_default_na=False,
            encoding="utf-8-sig",
            encoding_errors="replace",
            **options,
        )
    except OSError as error:
        raise CohortError(
            f"{path}: {error.strerror}", hint="name the folder that the collection unpacks to"
        ) from None
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise CohortError(f"{path}: not the table that was expected: {reason}") from None
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        raise CohortError(
            f"{path}: no column {', '.join(lacking)}; found {', '.join(table.columns)}",
            hint="is this the right collection?",
        )
    return pd.DataFrame({name: table[name].str.strip() for name in table.columns})


def rows_of(table: pd.DataFrame, path: Path) -> Iterable[tuple[str, dict[str, str]]]:
    """Yield ("metadata.csv row 2", {column: text}) for each row; row 1 is the header."""
    for number, row in enumerate(table.to_dict("records"), start=2):
        yield f"{path.name} row {number}", {str(key): text for key, text in row.items()}


def number_in(row: dict[str, str], column: str, where: str) -> float:
    """Return the number in a column of a row; raise ``CohortError`` where there is none."""
    try:
        return float(row[column])
    except ValueError:
        raise CohortError(f"{where}, column {column}: {row[column]!r}; expected a number") from None


def beside(root: Path, *places: str) -> Path | None:
    """Return the first of ``places`` that exists in ``root`` or beside it, or None."""
    found = (base / place for place in places for base in (root, root.parent))
    return next((path for path in found if path.exists()), None)


def first_folder(root: Path, *names: str) -> Path:
    """Return the first subfolder of ``root`` that exists, else ``root`` itself."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def image_size(path: Path) -> tuple[int, int]:
    """Return (width, height) in pixels from the header; no pixel is decoded.

    Raises:
        CohortError: the header cannot be read.
    """
    try:
        data = path.read_bytes()
        kind = sniff(data[:SNIFFED_BYTES])
        if kind is None or kind is Kind.DICOM:
            raise CohortError(f"{path}: size cannot be read: no picture")
        return check_raster(data, kind, str(path), MAX_MEGAPIXELS)
    except OSError as error:
        raise CohortError(f"{path}: size cannot be read: {error.strerror}") from None
    except ImageError as error:
        reason = error.message.removeprefix(f"{path}: ")
        raise CohortError(f"{path}: size cannot be read: {reason}", hint=error.hint) from None


def _without_empty_labels(cases: pd.DataFrame) -> pd.DataFrame:
    silent = [name for name in LABEL_COLUMNS if name in cases and cases[name].isna().all()]
    return cases.drop(columns=silent)


def _images(root: Path, but: frozenset[str]) -> Iterable[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in but and not name.startswith(".")]
        for name in files:
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                yield Path(folder) / name


def _stem(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return (Path(name).stem if suffix in IMAGE_SUFFIXES else name).lower()


def _unique(pairs: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    twice: set[str] = set()
    for key, path in pairs:
        if found.setdefault(key, path) != path:
            twice.add(key)
    return {key: path for key, path in found.items() if key not in twice}

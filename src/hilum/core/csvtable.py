"""CSV table: the one reader of every table that a person or another program wrote.

Everything is text until somebody asks for a number: an id of "007", "1e5" or "NA" stays what it is.
Cells and names are stripped, and in Unicode's composed form (NFC), so that one name is one name.
Row 1 is the header, as in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import math
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from hilum.core.config import did_you_mean
from hilum.core.errors import CohortError
from hilum.core.textfile import read_text

SEPARATORS: dict[str, str] = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What may stand between cells; the header alone says which."""

MAX_COLUMNS = 2000
"""No table of films has more; every verb would take minutes for one that has."""

_EXCEL = re.compile(r'"?sep=([,;\t])"?[\r\n]*', re.IGNORECASE)
_UNSEEN = "\ufeff\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u2060\u2066\u2067\u2068\u2069"
"""Marks of bytes, width and direction, which copying from other programs leaves around names."""

_QUOTES = "a cell that holds the separator or a line break needs double quotes around it"
_CLOSED = "close the quote; a quote inside a quoted cell is doubled"


def read_table(path: Path, columns: Sequence[str] = (), *, comments: bool = False) -> pd.DataFrame:
    """Read a table as text.

    Args:
        path: CSV, TSV or semicolons; UTF-8, or UTF-16 with a byte-order mark. Excel's own first
            line, "sep=;", is understood.
        columns: that must be there.
        comments: lines before the header that begin with "#" are passed over.

    Returns:
        Every cell as text, "" where it is blank; the index is the row as a spreadsheet counts it
        (the first below the header is 2). A column without a name is left out where it is blank,
        and called "unnamed N" where it is not. Empty lines, and blank rows at the end, are left
        out.

    Raises:
        CohortError: no such file, no text, a header in which a name stands twice or two separators
            do, or of more than ``MAX_COLUMNS``, a row with more or fewer cells than the header, a
            quote that is not closed, or one of ``columns`` is not there. The message names the row.
    """
    return parse_table(read_text(path, CohortError), str(path), columns, comments=comments)


def parse_table(
    text: str, where: str, columns: Sequence[str] = (), *, comments: bool = False
) -> pd.DataFrame:
    """Read a table from memory; ``where`` stands for it in messages. See ``read_table``."""
    lines = io.StringIO(text, newline="").readlines()
    told = _EXCEL.fullmatch(lines[0]) if lines else None
    passed = 1 if told else 0
    while comments and passed < len(lines) and lines[passed].startswith("#"):
        passed += 1
    lines = lines[passed:]
    if not lines or not lines[0].strip():
        found = "an empty file" if not "".join(lines).strip() else f"row {passed + 1} is blank"
        raise CohortError(f"{where}: {found}; expected a header", hint="name the columns first")
    separator = told[1] if told else _separator(lines, columns, where)
    records = _records(lines, separator, where, passed + 1)
    _, header = next(records)
    names = [plain(name) for name in header]
    _check_names(names, where)
    numbered = _rows(records, len(names), where)
    table = pd.DataFrame(
        list(numbered.values()), index=list(numbered), columns=range(len(names)), dtype="str"
    )
    return require(_named(table, names), columns, where)


def require(table: pd.DataFrame, columns: Iterable[str], where: str) -> pd.DataFrame:
    """Return ``table``; raise ``CohortError`` where it lacks one of ``columns``."""
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        found = [str(name) for name in table.columns]
        raise CohortError(
            f"{where}: no column {', '.join(lacking)}; found {', '.join(found)}",
            hint=did_you_mean(look_alike(lacking[0], found) or lacking[0], found),
        )
    return table


def look_alike(name: str, known: Iterable[str]) -> str | None:
    """Return the name of ``known`` that ``name`` differs from in case and punctuation only.

    >>> look_alike("COVID 19", ["path", "covid-19"])
    'covid-19'
    """
    return next((each for each in known if each != name and _bare(each) == _bare(name)), None)


def refuse_look_alikes(
    names: Iterable[str], known: Iterable[str], where: str, *, what: str = "column"
) -> None:
    """Raise ``CohortError`` where one of ``names`` differs from a known one as in ``look_alike``.

    Args:
        names: as they are found in a table.
        known: what they may be; names that resemble none of these are let be.
        where: what to call the table in an error.
        what: a name is of: a column or a label.
    """
    known = list(known)
    for name in names:
        if twin := look_alike(name, known):
            raise CohortError(
                f"{where}: {what} '{name}' is not known", hint=f"did you mean '{twin}'? Rename it"
            )


def rows_of(table: pd.DataFrame, path: Path) -> Iterable[tuple[str, dict[str, str]]]:
    """Yield ("metadata.csv row 2", {column: text}) for each row of what ``read_table`` returns."""
    for number, row in zip(table.index, table.to_dict("records"), strict=True):
        yield f"{path.name} row {number}", {str(key): text for key, text in row.items()}


def plain(text: str) -> str:
    """Return a cell stripped, also of what is not seen, with line feeds, and composed (NFC).

    >>> plain(" Mu\u0308ller ") == "M\u00fcller"
    True
    """
    text = text.strip()
    if not text.isascii():
        text = text.strip(f"{_UNSEEN}{string.whitespace}\u00a0")
    if "\r" in text:  # which csv writers do not quote
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def number_of(text: str) -> float:
    """Return the finite number that a cell holds, or NaN where it holds none.

    >>> number_of(" 1e-3 "), number_of("1_000"), number_of("inf"), number_of("0,5")
    (0.001, nan, nan, nan)
    """
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def number_in(row: dict[str, str], column: str, where: str) -> float:
    """Return the number in a column of a row; raise ``CohortError`` where there is none."""
    number = number_of(row[column])
    if math.isnan(number):
        raise CohortError(f"{where}, column {column}: {row[column]!r}; expected a number")
    return number


def numbers_in(table: pd.DataFrame, column: str, where: str) -> pd.Series[float]:
    """Return a column of ``read_table`` as float64; blank and "nan" are NaN.

    Raises:
        CohortError: a cell is neither; its row is named.
    """
    numbers = pd.Series([number_of(text) for text in table[column]], table.index, dtype="float64")
    wrong = numbers.isna() & ~table[column].str.lower().isin(["", "nan"])
    if wrong.any():
        place = int(wrong.to_numpy().argmax())
        row, found = table.index[place], table[column].iloc[place]
        raise CohortError(
            f"{where} row {row}, column {column}: {found!r}; expected a number or blank"
        )
    return numbers.rename(column)


def _separator(lines: list[str], columns: Sequence[str], where: str) -> str:
    headers = {}
    for separator in SEPARATORS:
        try:
            header = next(csv.reader(iter(lines), delimiter=separator, strict=True))
        except csv.Error as error:
            unread = error
        else:
            headers[separator] = [plain(name) for name in header]
    if not headers:
        raise CohortError(f"{where} row 1: {_reason(unread)}", hint=_CLOSED)
    several = [separator for separator, names in headers.items() if len(names) > 1]
    if len(several) > 1 and columns:
        fitting = [each for each in several if set(columns) <= set(headers[each])]
        several = fitting or several
    if len(several) > 1:
        raise CohortError(
            f"{where}: the header holds {' and '.join(SEPARATORS[each] for each in several)}; "
            "expected one separator",
            hint="put double quotes around a name that holds one",
        )
    return several[0] if several else next(iter(headers))


def _records(
    lines: list[str], separator: str, where: str, first: int
) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(iter(lines), delimiter=separator, strict=True)
    number = first - 1
    while True:
        number += 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise CohortError(f"{where} row {number}: {_reason(error)}", hint=_CLOSED) from None
        yield number, record


def _rows(records: Iterable[tuple[int, list[str]]], width: int, where: str) -> dict[int, list[str]]:
    rows: dict[int, list[str]] = {}
    for number, record in records:
        if width > 1 and len(record) == 1 and not plain(record[0]):
            continue  # a line of blanks
        if record and len(record) != width:
            raise CohortError(
                f"{where} row {number}: {len(record)} cells; the header has {width}", hint=_QUOTES
            )
        if record:
            rows[number] = [plain(cell) for cell in record]
    while rows and not any(next(reversed(rows.values()))):
        rows.popitem()
    return rows


def _named(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    kept = [place for place, name in enumerate(names) if name or (table[place] != "").any()]
    return table[kept].set_axis([names[place] or f"unnamed {place + 1}" for place in kept], axis=1)


def _check_names(names: list[str], where: str) -> None:
    if len(names) > MAX_COLUMNS:
        raise CohortError(
            f"{where}: {len(names):,} columns; expected {MAX_COLUMNS:,} at most",
            hint="one row a film; keep the columns that Hilum is to read",
        )
    first_of: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        first = first_of.setdefault(name, place)
        if name and first < place:
            raise CohortError(
                f"{where}: column '{name}' stands twice: columns {first} and {place}",
                hint="rename or delete one of them",
            )


def _reason(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end" in text:
        return "a quote that is never closed"
    if "field limit" in text:
        return f"a cell of more than {csv.field_size_limit():,} characters; a quote not closed?"
    return f"a quote that closes inside a cell ({text})"


def _bare(name: str) -> str:
    return "".join(each for each in name.casefold() if each.isalnum())

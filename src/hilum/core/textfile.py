"""Text file: a table, a recipe or a JSON that somebody else wrote, decoded strictly.

UTF-8 (with or without a byte-order mark) and UTF-16 with one are read. Anything else is refused,
with the line: a name in a wrong encoding is another name, and two patients would become one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hilum.core.errors import HilumError

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_EXPORT = "open it in the program that made it, and save it as 'CSV UTF-8'"
_BINARY: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "an Excel workbook or another ZIP archive", _EXPORT),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", _EXPORT),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"PAR1", "a Parquet file", _EXPORT),
)


def read_text(path: Path, kind: type[HilumError]) -> str:
    """Return the text of a file.

    Args:
        path: the file.
        kind: what to raise.

    Raises:
        HilumError: of ``kind``: no such file, a folder, or not text in UTF-8 or UTF-16.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise kind(f"{path}: {reason}".replace("\0", "\\0"), hint="check the path") from None
    return decode(data, str(path), kind)


def decode(data: bytes, where: str, kind: type[HilumError]) -> str:
    """Return the text of ``data``; raise ``kind`` where it is none, with the line."""
    for magic, name, hint in _BINARY:
        if data.startswith(magic):
            raise kind(f"{where}: {name}; expected text", hint=hint)
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _undecodable(data, error, where, kind) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise kind(
            f"{where} line {line}: a NUL byte; no text, or UTF-16 without a byte-order mark",
            hint="save it as UTF-8",
        )
    return text


def read_json(path: Path, kind: type[HilumError]) -> Any:
    """Read a JSON file strictly: no key twice in an object, no NaN and no Infinity.

    Raises:
        HilumError: of ``kind``: no such file, or no such JSON.
    """
    text = read_text(path, kind)
    try:
        return parse_json(text)
    except ValueError as error:
        raise kind(f"{path}: not JSON: {error}", hint="check how it was exported") from None


def parse_json(text: str) -> Any:
    """Return what a JSON text holds; raise ``ValueError`` as ``read_json`` raises its error."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("too deep a nest of lists and objects") from None


def _undecodable(
    data: bytes, error: UnicodeDecodeError, where: str, kind: type[HilumError]
) -> HilumError:
    if error.encoding != "utf-8":
        return kind(f"{where}: begins like UTF-16, but is none", hint="save it as UTF-8")
    if b"\0" in data:
        return kind(f"{where}: no text, but other bytes; expected text", hint="look at the name")
    line = data.count(b"\n", 0, error.start) + 1
    return kind(
        f"{where} line {line}: byte 0x{data[error.start]:02x} is no UTF-8; "
        "expected text in UTF-8, or UTF-16 with a byte-order mark",
        hint=f"if it is Windows' Western European: iconv -f WINDOWS-1252 -t UTF-8 '{where}'",
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key '{next(key for key in keys if keys.count(key) > 1)}' stands twice")
    return found


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")

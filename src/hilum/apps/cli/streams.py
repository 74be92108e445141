"""Streams: one rule for what a terminal, a file or a pipe cannot take.

- A letter that the encoding of stdout or stderr lacks (cp1252, latin-1, ASCII: Windows, or
  ``PYTHONIOENCODING``) is written as a look-alike if it is an ornament, else as ``\\u0428``.
- JSON is written in ASCII there, so that nothing of it is lost, and in UTF-8 elsewhere.
- A stream that is closed takes nothing, and no file is given its number.
- Who reads stderr or stdout may go away: what is said there is dropped, and the command goes on to
  its end and its exit code. Only one that works for stdout alone (``stop_unheard``) ends then.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import typer

_RULE = "hilum"
_LINES = dict.fromkeys(range(0x2500, 0x2580), "+")
_ALIKE = str.maketrans(_LINES) | str.maketrans("█░▓▒…–—‘’“”×≥≤→•─━│┃", "#.%-.--''\"\"x><>*--||")  # noqa: RUF001


def settle() -> None:
    """Apply the rule to this process, and to Python processes that it starts."""
    codecs.register_error(_RULE, _escaped)
    codecs.register(_plain_ascii)
    _take_numbers()
    for name, number in (("stdout", 1), ("stderr", 2)):
        setattr(sys, name, _settled(getattr(sys, name), number))
    os.environ["PYTHONIOENCODING"] = f"{_encoding(sys.stdout)}:backslashreplace"


@contextmanager
def notes() -> Iterator[None]:
    """Print warnings of the code within as one line each, to stderr, as they come."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        typer.secho(f"note: {message}", fg="yellow", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def print_json(value: Any, *, indent: int | None = None, to: TextIO | None = None) -> None:
    """Print a model of pydantic, or what is made of models and JSON's types; NaN is null."""
    from pydantic_core import to_json

    text = to_json(value, indent=indent, inf_nan_mode="null").decode("utf-8")
    typer.echo(json_text(text, to), file=to)


def tell(line: str) -> None:
    """Say on stderr what is being done."""
    typer.secho(line, fg="bright_black", err=True)


def tell_not_restated(labels: Sequence[str], by: str = "--prevalence") -> None:
    """Say which labels a stated prevalence leaves as they are; see ``check_prevalence``."""
    if labels:
        tell(
            f"{by} leaves {', '.join(labels)} as it is: no calibration was fitted, so the "
            "probability holds for no known prevalence ('hilum calibrate' fits one)"
        )


def say(line: str) -> None:
    """Say a line on stdout at once, also into a pipe."""
    typer.echo(line)
    sys.stdout.flush()


def json_text(text: str, stream: TextIO | None = None) -> str:
    """Return JSON as a stream takes it, stdout if none is named: in ASCII where that is not UTF-8.

    >>> json_text('{"path": "Ш"}') in ('{"path": "Ш"}', '{"path": "\\\\u0428"}')
    True
    """
    if _encoding(stream or sys.stdout).lower().replace("-", "") == "utf8":
        return text
    return re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], text)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end].translate(_ALIKE)
    return letters.encode("ascii", "backslashreplace").decode("ascii"), error.end


def _settled(stream: Any, number: int) -> Any:
    if stream is None:  # it was closed when this process began
        file = io.FileIO(number, "w", closefd=False)
        return io.TextIOWrapper(io.BufferedWriter(file), "utf-8", _RULE)
    if not hasattr(stream, "reconfigure"):  # another program's own
        return stream
    stream.reconfigure(encoding=_named(stream.encoding), errors=_RULE)
    if number == 2 and not stream.isatty():
        buffer = io.BufferedWriter(_Unheard())
        return io.TextIOWrapper(buffer, stream.encoding, _RULE, line_buffering=True)
    if number == 1 and not stream.isatty():
        return io.TextIOWrapper(io.BufferedWriter(_Answers()), stream.encoding, _RULE)
    return stream


def stop_unheard() -> None:
    """End the command when nobody reads stdout any more: it works for that alone."""
    _Answers.stops = True


class _Answers(io.RawIOBase):
    """Standard output; what nobody takes any more is dropped, or ends the command.

    A fault is raised once: what is left in buffers is dropped after it.
    """

    stops = False
    _lost = False

    def write(self, data: Any) -> int:
        if self._lost:
            return len(data)
        try:
            return os.write(1, data)
        except OSError as error:
            self._lost = True
            if isinstance(error, BrokenPipeError) and not self.stops:
                return len(data)
            raise

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


class _Unheard(io.RawIOBase):
    """Standard error; what nobody takes any more is dropped."""

    def write(self, data: Any) -> int:
        try:
            return os.write(2, data)
        except OSError:
            return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


def _take_numbers() -> None:
    """Open what is closed of 0, 1 and 2, lest a database be opened there and be printed into."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _named(encoding: str) -> str:
    """Return the encoding; for ASCII one of another name, since typer puts UTF-8 in its place."""
    return _PLAIN if codecs.lookup(encoding).name == "ascii" else encoding


def _encoding(stream: Any) -> str:
    found = getattr(stream, "encoding", None) or "utf-8"
    return "ascii" if found == _PLAIN else found


_PLAIN = "plain-ascii"


def _plain_ascii(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != _PLAIN:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_.encode,
        ascii_.decode,
        ascii_.streamreader,
        ascii_.streamwriter,
        ascii_.incrementalencoder,
        ascii_.incrementaldecoder,
        name=_PLAIN,
    )

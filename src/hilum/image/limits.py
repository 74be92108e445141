"""Limits and manners that every decoder shares."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hilum.core.errors import UnreadableImageError, UnsupportedImageError

LARGER = "export it smaller, or, if the file is sound, raise max_megapixels"
"""What to do about a film beyond the limit."""

_LOGGERS = ("tifffile", "pydicom")
_GATHERED: ContextVar[list[str] | None] = ContextVar("gathered", default=None)


class _Gathering(logging.Handler):
    """Give what a parser logs to whoever gathers warnings in this thread; nobody else hears it."""

    def emit(self, record: logging.LogRecord) -> None:
        _take(record.getMessage())


for _name in _LOGGERS:
    logging.getLogger(_name).addHandler(_Gathering(logging.WARNING))
    logging.getLogger(_name).propagate = False


def check_size(width: int, height: int, name: str, max_megapixels: float) -> None:
    """Refuse a film before it is decoded: no pixels at all, or more than the limit.

    Raises:
        UnreadableImageError: a side of 0 pixels.
        UnsupportedImageError: more than ``max_megapixels`` million pixels.
    """
    if width < 1 or height < 1:
        raise UnreadableImageError(f"{name}: {width} x {height} pixels; expected a film")
    if width * height > max_megapixels * 1e6:
        raise UnsupportedImageError(
            f"{name}: {width} x {height} = {width * height / 1e6:.1f} megapixels; "
            f"the limit is {max_megapixels:g}",
            hint=LARGER,
        )


def most_bytes(max_megapixels: float) -> int:
    """Return how large the file of a film can be, in bytes: 16 a pixel, and its header."""
    return int(max_megapixels * 1e6) * 16 + 64_000_000


def one_line(said: BaseException | str) -> str:
    r"""Return what an error or a library says as one line that is not too long.

    >>> one_line("bad\n  data"), one_line(KeyError())
    ('bad data', 'KeyError')
    """
    return " ".join(str(said).split())[:200] or type(said).__name__


def check_frames(frames: int, name: str) -> None:
    """Refuse a file of several pictures: nobody said which of them is the film.

    Raises:
        UnsupportedImageError: more than one frame.
    """
    if frames > 1:
        raise UnsupportedImageError(
            f"{name}: {frames} frames; expected one", hint="export the frontal film by itself"
        )


@contextmanager
def gathered_warnings() -> Iterator[list[str]]:
    """Collect what libraries warn of and log in this thread while a film is opened, a line each.

    Warnings about a film belong to that film, not to stderr. Python keeps its filters and its
    ``showwarning`` in one place for all threads: the first film that is opened replaces them, the
    last one puts them back, and what a thread warns of goes to the film that it is at.
    """
    lines: list[str] = []
    token = _GATHERED.set(lines)
    _REPLACED.enter()
    try:
        yield lines
    finally:
        _REPLACED.leave()
        _GATHERED.reset(token)
        lines[:] = dict.fromkeys(lines)


class _Replaced:
    """Python's ``warnings`` while any thread opens a film."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._before = warnings.catch_warnings()
        self._shown = warnings.showwarning

    def enter(self) -> None:
        with self._lock:
            self._open += 1
            if self._open > 1:
                return
            self._before = warnings.catch_warnings()
            self._before.__enter__()
            self._shown = warnings.showwarning
            warnings.simplefilter("always")
            warnings.showwarning = self._show

    def leave(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0:
                self._before.__exit__(None, None, None)

    def _show(self, message: Warning | str, *where: Any, **how: Any) -> None:
        if not _take(str(message)):
            self._shown(message, *where, **how)


def _take(line: str) -> bool:
    """Add a line to those of the film that this thread is at; False if it is at none."""
    lines = _GATHERED.get()
    if lines is not None:
        lines.append(one_line(line))
    return lines is not None


_REPLACED = _Replaced()

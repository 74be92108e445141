"""Limits and manners that every decoder shares."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hilum.core.errors import UnreadableImageError, UnsupportedImageError

LARGER = "export it smaller, or, if the file is sound, raise max_megapixels"
"""What to do about a film beyond the limit."""

_LOCK = threading.Lock()
_LOGGERS = ("tifffile", "pydicom")
_LOGGED: ContextVar[list[str] | None] = ContextVar("logged", default=None)


class _Gathering(logging.Handler):
    """Give what a parser logs to whoever gathers warnings in this thread; nobody else hears it."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = _LOGGED.get()
        if lines is not None:
            lines.append(record.getMessage())


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
    """Collect what libraries warn of and log while they parse a header, one line each.

    Warnings about a film belong to that film, not to stderr. Python keeps its filters in one
    place for all threads, hence the lock: hold it for headers only, never while decoding.
    """
    lines: list[str] = []
    logged: list[str] = []
    token = _LOGGED.set(logged)
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield lines
        finally:
            _LOGGED.reset(token)
            found = (*(str(warning.message) for warning in caught), *logged)
            lines.extend(dict.fromkeys(" ".join(text.split())[:200] for text in found))

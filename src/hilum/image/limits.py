"""Limits and manners that every decoder shares."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from hilum.core.errors import UnreadableImageError, UnsupportedImageError

_LOCK = threading.Lock()


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
            hint="if the file is sound, raise max_megapixels (--max-megapixels)",
        )


@contextmanager
def gathered_warnings() -> Iterator[list[str]]:
    """Collect what libraries warn of while they parse a header, one line each.

    Warnings about a film belong to that film, not to stderr. Python keeps its filters in one
    place for all threads, hence the lock: hold it for headers only, never while decoding.
    """
    lines: list[str] = []
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield lines
        finally:
            texts = (" ".join(str(warning.message).split()) for warning in caught)
            lines.extend(dict.fromkeys(text[:200] for text in texts))

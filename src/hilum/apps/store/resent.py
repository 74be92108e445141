"""Resent: a film that comes under the SOP Instance UID of one that is kept, beside that one.

A UID is for one content. What comes again may be the same film with another header or in another
transfer syntax, the whole of a film that came truncated before, or, by a mistake of a device,
another film; each has an answer of its own.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import numpy as np

from hilum.core.errors import ImageError
from hilum.image.stored import Stored, open_stored


class Resent(StrEnum):
    """What a film that was sent under a known UID is to the one that is kept.

    ``header``: the same pixels. ``pixels``: other ones, and both films can be opened, or only the
    kept one. ``repair``: only the new one can be opened. ``broken``: neither can.
    """

    HEADER = "header"
    PIXELS = "pixels"
    REPAIR = "repair"
    BROKEN = "broken"


def compare(kept: Path | None, sent: Path) -> Resent:
    """Open both files and say what the new one is.

    Args:
        kept: the file that is kept; None if it must not be opened.
        sent: the file that came.
    """
    one = _opened(kept) if kept is not None else None
    two = _opened(sent)
    if one is None:
        return Resent.BROKEN if two is None else Resent.REPAIR
    if two is not None and np.array_equal(one.values, two.values) and one.top == two.top:
        return Resent.HEADER
    return Resent.PIXELS


def _opened(path: Path) -> Stored | None:
    """Return what a reader of the film would open; None where it cannot."""
    try:
        return open_stored(path)
    except (ImageError, OSError):  # gone from the disk is as bad as torn
        return None

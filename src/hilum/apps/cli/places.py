"""Places that a verb writes to: looked at before it works for hours, not after."""

from __future__ import annotations

from pathlib import Path

from hilum.core.files import check_writable


def writable(path: Path | None) -> Path | None:
    """Return the value of an option, a file or a folder; the ``callback`` of such options.

    Raises:
        ConfigError: it cannot be written.
    """
    if path is not None:
        check_writable(path)
    return path

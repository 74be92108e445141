"""Places that a verb writes to: looked at before it works for hours, not after.

What cannot be written, or is of another kind, is a ``ConfigError`` before the verb begins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from hilum.core.files import check_writable


def out_file(text: str, *names: str) -> Any:
    """Return the option of a file to write.

    Args:
        text: for --help.
        names: of the option; "--out" and "-o" where none is given.
    """
    return _option(text, names, folder=False)


def out_folder(text: str, *names: str, show_default: bool = True) -> Any:
    """Return the option of a folder to write into, which need not exist; see ``out_file``."""
    return _option(text, names, file=False, show_default=show_default)


def out_path(text: str, *names: str) -> Any:
    """Return the option of a file for one film or a folder for many; see ``out_file``."""
    return _option(text, names)


def _option(
    text: str,
    names: tuple[str, ...],
    *,
    file: bool = True,
    folder: bool = True,
    show_default: bool = True,
) -> Any:
    def look(path: Path | None) -> Path | None:
        if path is not None:
            check_writable(path, file=file, folder=folder)
        return path

    named = names or ("--out", "-o")
    return typer.Option(*named, callback=look, help=text, show_default=show_default)

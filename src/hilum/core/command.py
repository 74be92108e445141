"""The command that was typed, as a report or a bundle keeps it: no folder of any machine."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def command_line(arguments: list[str] | None = None) -> str:
    """Return the command; of a path outside the current folder only its last part is kept.

    >>> command_line(["/a/bin/hilum", "train", "recipes/quick.toml", "--data=/a/b/films"])
    'hilum train recipes/quick.toml --data=films'
    """
    program, *rest = sys.argv if arguments is None else arguments
    return shlex.join([Path(program).name, *(_without_place(text) for text in rest)])


def _without_place(text: str) -> str:
    head, equals, tail = text.rpartition("=")
    path = Path(tail)
    inside = not path.is_absolute() and ".." not in path.parts
    return text if inside else f"{head}{equals}{path.name or tail}"

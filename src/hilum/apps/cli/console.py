"""What is printed for a person: every word as it is, be it in brackets or between colons."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_OF_PIPE = 140


def plain(*, err: bool = False) -> Console:
    """Return a console that prints every word as it is, say the name of a film ":x:[b].png".

    Args:
        err: print on stderr.
    """
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    return Console(
        stderr=err,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else _WIDTH_OF_PIPE,
    )

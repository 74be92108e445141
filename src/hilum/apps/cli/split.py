"""``hilum split``."""

from __future__ import annotations

import typer


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""

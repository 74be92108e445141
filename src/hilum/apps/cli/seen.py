"""The one option by which a verb is asked to judge a bundle on films that it has seen."""

from __future__ import annotations

from typing import Annotated

import typer

AllowSeen = Annotated[
    bool,
    typer.Option(
        "--allow-seen",
        help="Take films, too, that the bundle was trained on; the result counts them.",
    ),
]

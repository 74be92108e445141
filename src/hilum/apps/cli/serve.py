"""``hilum serve``: the reading room in the browser, and the API under it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of films and keys; default: the user's own.")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="HILUM_STORE",
        help="Store: sqlite:///... or postgresql://...; default: SQLite in --data.",
    ),
]


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.command("serve", rich_help_panel=panel)(serve)


def serve(
    store: Address = None,
    data: Data = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", "-b", help="Bundle folder; default: the built-in.")
    ] = None,
    collection: Annotated[
        Path | None,
        typer.Option(metavar="CASES.csv", help="Show similar films of the training as pictures."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8337,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Begin with the built-in virtual films, in a folder apart."),
    ] = False,
) -> None:
    """Open the workstation: worklist, viewer, readings, verdicts, reports.

    On loopback (the default), while nobody can sign in, it shows in a terminal
    a link that works once; 'hilum user link' gives another. To be reached from
    other machines it needs people who can sign in ('hilum user add') and should
    stand behind a proxy that speaks https (https = true in DATA/hilum.toml).
    Limits, alarm, idle time and an OpenID provider are set there too.

    With --collection, the cases table that the bundle was trained with, the
    similar films of a reading are shown with small pictures; without it, with
    what is known of them.

    Every film that is accepted is on disk before the answer, and is read
    exactly once, whatever is killed meanwhile.

    [bold]Example:[/bold] hilum serve --demo
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.web.serve import Place
    from hilum.apps.web.serve import serve as run
    from hilum.core.reading import RESEARCH_USE

    typer.echo(RESEARCH_USE)
    place = Place.of(data, store, demo=demo)
    run(
        place,
        bundle=bundle,
        collection=collection,
        host=host,
        port=port,
        demo=demo,
        say=_say,
    )


def _say(line: str) -> None:
    typer.echo(line)
    import sys

    sys.stdout.flush()

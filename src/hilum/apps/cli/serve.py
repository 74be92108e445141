"""``hilum serve``: the reading room in the browser, and the API under it."""

from __future__ import annotations

from typing import Annotated

import typer

from hilum.apps.cli.options import Bundle, Cases, Home, Store
from hilum.apps.cli.streams import say


def serve(
    store: Store = None,
    home: Home = None,
    bundle: Bundle = None,
    cases: Cases = None,
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
    stand behind a proxy that speaks https (https = true in HOME/hilum.toml).
    Limits, alarm, idle time and an OpenID provider are set there too.

    With --cases, the table that the bundle was trained with, the
    similar films of a reading are shown with small pictures; without it, with
    what is known of them.

    Every film that is accepted is on disk before the answer, and is read
    exactly once, whatever is killed meanwhile.

    \b
    Example:
      hilum serve --demo
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.web.serve import Place
    from hilum.apps.web.serve import serve as run
    from hilum.core.reading import RESEARCH_USE

    typer.echo(RESEARCH_USE)
    place = Place.of(home, store, demo=demo)
    run(
        place,
        bundle=bundle,
        collection=cases,
        host=host,
        port=port,
        demo=demo,
        say=say,
    )

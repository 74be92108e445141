"""``hilum log``: the workstation's log, and whether it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from hilum.apps.cli.serve import Address, Data


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    logs = typer.Typer(no_args_is_help=True, help="The workstation's log.")
    logs.command("verify")(verify)
    logs.command("show")(show)
    app.add_typer(logs, name="log", rich_help_panel=panel)


def verify(store: Address = None, data: Data = None) -> None:
    """Find a line that was changed, inserted or removed; exit code 11 if there is one.

    Every line is sealed with a key in the folder of data, over the line
    before it. Keep that folder and the database apart from one another to
    make sure that nobody can change both.

    [bold]Example:[/bold] hilum log verify
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.web.serve import Place, open_place
    from hilum.core.errors import StoreError

    opened, log = open_place(Place.of(data, store), make=False)
    found = log.verify()
    opened.close()
    if not found.ok:
        raise StoreError(
            f"the log is broken: {found.problem}",
            hint=f"{found.lines} lines before it are whole; compare with a backup",
        )
    typer.echo(f"the log is whole: {found.lines} lines")


def show(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many.")] = 20,
    store: Address = None,
    data: Data = None,
) -> None:
    """Print the newest lines, one JSON object each, the oldest first.

    [bold]Example:[/bold] hilum log show -n 100
    """
    from hilum.core.extras import require

    require("web")
    import json

    from hilum.apps.web.serve import Place, open_place

    opened, log = open_place(Place.of(data, store), make=False)
    for line in reversed(log.lines(limit=lines)):
        said = {
            "seq": line.seq,
            "at": line.at,
            "who": line.who,
            "action": line.action,
            "film_id": line.film_id,
            "study_id": line.study_id,
            "bundle": line.bundle,
            "data": json.loads(line.data),
        }
        typer.echo(json.dumps(said))
    opened.close()

"""``hilum delete``: studies, all that is known of a patient, or what is old, from a workstation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.serve import Address, Data

if TYPE_CHECKING:
    from collections.abc import Callable

    from hilum.apps.store.deletion import Chosen, Going


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.command("delete", rich_help_panel=panel)(delete)


def delete(
    study: Annotated[list[str] | None, typer.Option(help="Id of a study; may be repeated.")] = None,
    patient: Annotated[
        str | None, typer.Option(help="Erase everything of the patient with this id.")
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="What came more than so many days ago."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: Address = None,
    data: Data = None,
) -> None:
    """Delete from a workstation: films, readings, verdicts, marks and reports.

    Shows what would go and asks. The log keeps that it happened, without the
    patient's id. Backups, and copies in browsers, are not reached. The server
    need not be stopped.

    [bold]Example:[/bold] hilum delete --patient P-104
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.store import deletion
    from hilum.apps.store.folder import FilmFolder
    from hilum.apps.web.serve import Place, open_place

    chosen = _chosen(study or [], patient, older_than)
    place = Place.of(data, store)
    opened, log = open_place(place, make=False)
    try:
        with opened.read() as session:
            shown = deletion.preview(session, chosen)
        typer.echo(_words(shown))
        if shown.studies and (yes or typer.confirm("delete for good?")):
            folder = FilmFolder(place.data)
            agreed = _agreed_to(shown)
            deletion.delete(opened, folder, log, chosen, "command line", agreed=agreed)
            typer.echo("deleted")
    finally:
        opened.close()


def _chosen(study: list[str], patient: str | None, older_than: float | None) -> Chosen:
    from hilum.apps.store.deletion import Chosen
    from hilum.apps.store.tables import now_ms
    from hilum.core.errors import ConfigError

    if [bool(study), patient is not None, older_than is not None].count(True) != 1:
        raise ConfigError("say what to delete", hint="--study, --patient or --older-than")
    before_ms = None if older_than is None else now_ms() - round(older_than * 86_400_000)
    return Chosen(tuple(study), patient, before_ms)


def _words(going: Going) -> str:
    from hilum.apps.store.tables import iso

    came = f", came {iso(going.first_ms)} to {iso(going.last_ms)}" if going.studies else ""
    return (
        f"{going.studies} studies{came}: {going.films} films, {going.readings} readings, "
        f"{going.verdicts} verdicts with {going.marks} marks, "
        f"{going.references} reference standards, {going.reports} reports"
    )


def _agreed_to(shown: Going) -> Callable[[Going], None]:
    from hilum.core.errors import ConfigError

    def agreed(going: Going) -> None:
        if going.mark != shown.mark:
            raise ConfigError("something came to it meanwhile", hint="look again")

    return agreed

"""``hilum store``: what a workstation keeps: its log, and what is deleted from it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.options import REASON, Home, Json, Limit, Store
from hilum.apps.cli.streams import print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from hilum.apps.store.deletion import Chosen, Going

store_app = typer.Typer(
    no_args_is_help=True, help="What a workstation keeps: its log, and what is deleted."
)


@store_app.command("verify")
def verify(store: Store = None, home: Home = None, as_json: Json = False) -> None:
    """Find a line that was changed, inserted or removed; exit code 11 if there is one.

    Every line is sealed with a key in the folder of data, over the line
    before it. Keep that folder and the database apart from one another to
    make sure that nobody can change both.

    \b
    Example:
      hilum store verify
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.web.serve import Place, open_place
    from hilum.core.errors import StoreError

    opened, log = open_place(Place.of(home, store), make=False)
    found = log.verify()
    opened.close()
    if not found.ok:
        raise StoreError(
            f"the log is broken: {found.problem}",
            hint=f"{found.lines} lines before it are whole; "
            + (
                "if a backup was restored, its log.head is newer than its database: put back the "
                "log.head that was copied before it, or remove log.head; else compare with a backup"
                if found.unfit
                else "compare with a backup"
            ),
        )
    if as_json:
        print_json({"ok": True, "lines": found.lines})
    else:
        typer.echo(f"the log is whole: {found.lines} lines")


@store_app.command("log")
def log(
    limit: Limit = 20,
    after: Annotated[
        int | None,
        typer.Option(min=0, metavar="SEQ", help="Every line after this number, oldest first."),
    ] = None,
    store: Store = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Print the newest lines of the log, the oldest first; --json: one object a line.

    It says who looked at which film, and all else that was done. For a
    collector of logs (SIEM) ask for what came after the last line that it
    has: --json --after SEQ. Each line carries its seal ("hash"), which the
    key in the folder of data proves.

    \b
    Example:
      hilum store log -n 100
      hilum store log --json --after 0
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.web.serve import Place, open_place

    opened, whole = open_place(Place.of(home, store), make=False)
    lines = reversed(whole.lines(limit=limit)) if after is None else whole.after(after)
    for line in lines:
        said = {
            "seq": line.seq,
            "at": line.at,
            "who": line.who,
            "action": line.action,
            "film_id": line.film_id,
            "study_id": line.study_id,
            "bundle": line.bundle,
            "data": json.loads(line.data),
            "hash": line.hash,
        }
        if as_json:
            print_json(said)
        else:
            words = (str(line.seq), line.at, line.who, line.action, line.study_id, line.film_id)
            typer.echo("  ".join(filter(None, (*words, line.data))))
    opened.close()


@store_app.command("delete")
def delete(
    study: Annotated[
        list[str] | None, typer.Option(help="Id or Study Instance UID of a study.")
    ] = None,
    patient: Annotated[
        str | None, typer.Option(help="Erase everything of the patient with this id.")
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="What came more than so many days ago."),
    ] = None,
    reason: Annotated[str, typer.Option(help=REASON)] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    trash: Annotated[
        bool, typer.Option("--trash", help="Studies only: let them be put back for some days.")
    ] = False,
    store: Store = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Delete from a workstation: films, readings, verdicts, marks and reports.

    Shows what would go and asks; a patient or a study that is not there is an
    error (exit code 6). It goes for good, unless studies are put into the trash.
    The log keeps that it happened, without the patient's id. Backups, and copies
    in browsers, are not reached. The server need not be stopped.

    \b
    Example:
      hilum store delete --patient P-104
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.store import deletion
    from hilum.apps.store.folder import FilmFolder
    from hilum.apps.web.serve import Place, open_place

    chosen = _chosen(study or [], patient, older_than, trash=trash)
    place = Place.of(home, store)
    opened, log = open_place(place, make=False)
    try:
        with opened.read() as session:
            shown = deletion.preview(session, chosen)
            _refuse_unknown(chosen, shown, deletion.unknown(session, chosen.study_ids))
        typer.echo(_words(shown), err=as_json)
        asked = "into the trash?" if trash else "delete for good?"
        there = shown.studies + shown.trashed > 0
        sure = there and (yes or _confirmed(asked, err=as_json))
        if sure:
            folder = FilmFolder(place.data)
            agreed = _agreed_to(shown)
            why = {"reason": reason} if reason else {}
            deletion.delete(
                opened, folder, log, chosen, "command line", agreed=agreed, restorable=trash, **why
            )
            typer.echo("deleted", err=as_json)
        if as_json:
            print_json(asdict(shown) | {"deleted": sure})
    finally:
        opened.close()


def _chosen(
    study: list[str], patient: str | None, older_than: float | None, *, trash: bool
) -> Chosen:
    from hilum.apps.store.deletion import Chosen
    from hilum.apps.store.tables import now_ms
    from hilum.core.errors import ConfigError

    if [bool(study), patient is not None, older_than is not None].count(True) != 1:
        raise ConfigError("say what to delete", hint="--study, --patient or --older-than")
    if trash and not study:
        raise ConfigError("only studies go into the trash", hint="leave --trash out, or --study ID")
    before_ms = None if older_than is None else now_ms() - round(older_than * 86_400_000)
    return Chosen(tuple(study), patient, before_ms)


def _refuse_unknown(chosen: Chosen, shown: Going, studies: list[str]) -> None:
    """Raise where who or what was named is not there: a slip of the pen must not look erased."""
    from hilum.core.errors import ConfigError

    if studies:
        raise ConfigError(f"there is no study '{studies[0]}'", hint="nothing was deleted")
    if chosen.patient_id is not None and not shown.studies + shown.trashed:
        raise ConfigError(
            f"there is nothing of a patient '{chosen.patient_id}'",
            hint="give the whole id, as the films have it",
        )


def _confirmed(asked: str, *, err: bool) -> bool:
    from hilum.core.errors import ConfigError

    try:
        return typer.confirm(asked, err=err)
    except typer.Abort:
        if sys.stdin is not None and sys.stdin.isatty():  # Ctrl-C
            raise
        raise ConfigError("nobody is there to answer", hint="add --yes") from None


def _words(going: Going) -> str:
    from hilum.apps.store.tables import iso

    came = f", came {iso(going.first_ms)} to {iso(going.last_ms)}" if going.studies else ""
    return (
        f"{going.studies} studies{came}: {going.films} films, {going.readings} readings, "
        f"{going.verdicts} verdicts with {going.marks} marks, "
        f"{going.references} reference standards, {going.reports} reports, "
        f"{going.desks} films with unfinished work, {going.rulers} known lengths"
        + (f"; figures of {going.kept} verdicts stay in reading lists" if going.kept else "")
        + (f"; {going.trashed} more studies in the trash" if going.trashed else "")
    )


def _agreed_to(shown: Going) -> Callable[[Going], None]:
    from hilum.core.errors import ConfigError

    def agreed(going: Going) -> None:
        if going.mark != shown.mark:
            raise ConfigError("something came to it meanwhile", hint="look again")

    return agreed

"""``hilum node``: films come by DICOM, in a hospital's network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.serve import Address, Data

if TYPE_CHECKING:
    from hilum.apps.node.settings import Node
    from hilum.apps.web.serve import Place

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    node = typer.Typer(no_args_is_help=True, help="Receive films by DICOM, from a PACS.")
    for verb in (init, run, status, check, conformance):
        node.command(verb.__name__)(verb)
    app.add_typer(node, name="node", rich_help_panel=panel)


def init(data: Data = None) -> None:
    """Write a commented table [node] into hilum.toml, if there is none.

    Prints what the archive's administrator must know.

    [bold]Example:[/bold] hilum node init --data /var/lib/hilum
    """
    from hilum.apps.node.settings import INITIAL, address
    from hilum.apps.web.settings import FILE, Settings, load_settings
    from hilum.core.files import write_text

    place = _place(data, None)
    path = place.data / FILE
    if (node := load_settings(place.data).node) is None:
        written = path.read_text(encoding="utf-8") if path.exists() else ""
        write_text(path, written + ("\n" if written else "") + INITIAL.lstrip())
        node = Settings.load(path).node
        typer.echo(f"wrote [node] into {path}")
    else:
        typer.echo(f"{path} has a table [node]; it was left as it is")
    if node is not None:
        host, port = address(node.listen)
        typer.echo(f"for the archive: AE title {node.ae_title}, host {host}, port {port}")


def run(
    store: Address = None,
    data: Data = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", "-b", help="Bundle folder; default: the built-in.")
    ] = None,
) -> None:
    """Receive films and read them, without pages; 'hilum serve' does it with pages.

    Success is answered for a film when it is on disk and in the store: of what
    a sender was told, nothing is lost, whatever is killed.

    [bold]Example:[/bold] hilum node run --data /var/lib/hilum
    """
    place = _place(data, store)
    from hilum.apps.node.run import run as run_node
    from hilum.core.reading import RESEARCH_USE

    typer.echo(RESEARCH_USE)
    run_node(place, bundle=bundle, say=_say)


def status(store: Address = None, data: Data = None, as_json: AsJson = False) -> None:
    """Say what came from whom, and what waits.

    [bold]Example:[/bold] hilum node status --json
    """
    from hilum.apps.node import status as module
    from hilum.apps.web.serve import open_place

    opened, _ = open_place(_place(data, store), make=False)
    with opened.read() as session:
        found = module.summary(session)
    opened.close()
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"listens at {found['listen']}" if found["listen"] else "does not listen")
    typer.echo(f"films that wait to be read: {found['to_read']}")
    for peer, films in found["received"].items():
        again = f", {films['duplicates']} sent again" if films["duplicates"] else ""
        typer.echo(f"{peer}: {films['films']} films{again}; last {films['last']}")
    for peer, counts in found["counts"].items():
        words = ", ".join(f"{word} {count}" for word, count in sorted(counts.items()))
        typer.echo(f"{peer}, since the start: {words}")


def check(
    peer: Annotated[str, typer.Argument(help="Name of a peer, or all.")] = "all",
    data: Data = None,
) -> None:
    """Ask peers whether they are there and know this node; exit code 12 if one does not.

    [bold]Example:[/bold] hilum node check pacs
    """
    node = _node(_place(data, None))
    from hilum.apps.node import dimse
    from hilum.core.config import did_you_mean
    from hilum.core.errors import ConfigError, PeerError

    names = [each.name for each in node.peers]
    if peer != "all" and peer not in names:
        raise ConfigError(f"there is no peer '{peer}'", hint=did_you_mean(peer, names))
    failed = 0
    for each in node.peers:
        if peer not in ("all", each.name):
            continue
        if each.host is None:
            typer.echo(f"{each.name}: sends only; it has no host")
            continue
        try:
            dimse.echo(node, each)
            typer.echo(f"{each.name}: answers C-ECHO")
        except PeerError as error:
            failed += 1
            typer.echo(error.message)
    if failed:
        raise PeerError(f"{failed} of the peers did not answer as they must")


def conformance(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; default: standard output.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Print the DICOM conformance statement of this configuration, as Markdown or JSON.

    [bold]Example:[/bold] hilum node conformance -o conformance.md
    """
    node = _node(_place(data, None))
    from hilum.apps.node.conformance import markdown, statement
    from hilum.core.files import write_text

    text = json.dumps(statement(node), indent=2) + "\n" if as_json else markdown(node)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_text(output, text)


def _place(data: Path | None, store: str | None) -> Place:
    from hilum.core.extras import require

    require("web")
    require("pacs")
    from hilum.apps.web.serve import Place

    return Place.of(data, store)


def _node(place: Place) -> Node:
    from hilum.apps.web.settings import load_settings
    from hilum.core.errors import ConfigError

    node = load_settings(place.data).node
    if node is None:
        raise ConfigError(f"{place.data}: hilum.toml has no [node]", hint="hilum node init")
    return node


def _say(line: str) -> None:
    typer.echo(line)
    import sys

    sys.stdout.flush()

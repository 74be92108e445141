"""``hilum node``: films come by DICOM, in a hospital's network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.module import module
from hilum.apps.cli.options import REASON, Bundle, Home, Json, Limit, Peer, Store, Study, out_file
from hilum.apps.cli.streams import print_json, say

if TYPE_CHECKING:
    from hilum.apps.node.settings import Node
    from hilum.apps.node.settings import Peer as Known
    from hilum.apps.store.log import Log
    from hilum.apps.store.store import Store as Opened
    from hilum.apps.web.serve import Place

node_app = typer.Typer(no_args_is_help=True, help="Receive films by DICOM, from a PACS.")
_ALARMS = {
    "receiver": "it does not listen: films are not received",
    "space": "{value:.1f} GB are left: nobody may begin to send",
    "certificate": "the certificate of [node.tls] ends in {value:.0f} days",
    "not-made": "results of {value:.0f} readings could not be made",
    "dead": "{peer} did not take {value:.0f} results",
    "waits": "a result waits for {peer} for {value:.0f} minutes",
    "refuses": "{peer} does not let this node in, since {value:.0f} minutes",
    "away": "{peer} cannot be sent to, since {value:.0f} minutes",
    "silent": "{peer} has sent no film for {value:.0f} hours",
}
"""Of ``hilum.apps.node.status.alarms``, in words."""


@node_app.command("init")
def init(home: Home = None, as_json: Json = False) -> None:
    """Write a commented table [node] into hilum.toml, if there is none.

    Prints what the archive's administrator must know.

    \b
    Example:
      hilum node init --home /var/lib/hilum
    """
    from hilum.apps.node.settings import INITIAL, address
    from hilum.apps.web.settings import FILE, load_settings
    from hilum.core.files import write_text

    place = _place(home, None)
    path = place.data / FILE
    if load_settings(place.data).node is None:
        written = path.read_text(encoding="utf-8") if path.exists() else ""
        write_text(path, written + ("\n" if written else "") + INITIAL.lstrip())
        said = f"wrote [node] into {path}"
    else:
        said = f"{path} has a table [node]; it was left as it is"
    node = _node(place)
    host, port = address(node.listen)
    if as_json:
        print_json({"file": str(path), "ae_title": node.ae_title, "host": host, "port": port})
        return
    typer.echo(said)
    typer.echo(f"for the archive: AE title {node.ae_title}, host {host}, port {port}")


@node_app.command("run")
def run(
    store: Store = None,
    home: Home = None,
    bundle: Bundle = None,
) -> None:
    """Receive films and read them, without pages; 'hilum serve' does it with pages.

    Success is answered for a film when it is on disk and in the store: of what
    a sender was told, nothing is lost, whatever is killed.

    \b
    Example:
      hilum node run --home /var/lib/hilum
    """
    place = _place(home, store)
    from hilum.apps.node.run import run as run_node
    from hilum.core.reading import RESEARCH_USE

    typer.echo(RESEARCH_USE)
    run_node(place, bundle=bundle, say=say)


@node_app.command("status")
def status(store: Store = None, home: Home = None, as_json: Json = False) -> None:
    """Say what came from whom, and what waits.

    \b
    Example:
      hilum node status --json
    """
    from hilum.apps.node import status as module

    place = _place(home, store)
    node = _node(place)
    with _opened(home, store) as (opened, _), opened.read() as session:
        found = module.summary(session)
        found["alarms"] = module.alarms(found, node, place.data)
    if as_json:
        print_json(found)
        return
    for alarm in found["alarms"]:
        typer.echo("ALARM " + _ALARMS[alarm["code"]].format(**alarm))
    heard = f"; the receiver was last heard of at {found['last_heard']}"
    last = heard if found["last_heard"] else ""
    typer.echo(f"listens at {found['listen']}" if found["listen"] else f"does not listen{last}")
    typer.echo(f"films that wait to be read: {found['to_read']}")
    for peer, films in found["received"].items():
        again = f", {films['duplicates']} sent again" if films["duplicates"] else ""
        typer.echo(f"{peer}: {films['films']} films{again}; last {films['last']}")
    typer.echo(f"readings whose results wait to be made: {found['to_make']}")
    if found["not_made"]:
        typer.echo(f"readings whose results could not be made: {found['not_made']}")
    for failed in found["failed"]:
        typer.echo(f"  film {failed['film_id']}: {failed['error']}")
    for peer, sent in found["peers"].items():
        states = ", ".join(f"{word} {count}" for word, count in sorted(sent["states"].items()))
        last = f"; last sent {sent['last_sent']}" if sent["last_sent"] else ""
        waits = sent["oldest_waiting_s"]
        waited = f"; the oldest waits {waits} s" if waits is not None else ""
        typer.echo(f"to {peer}: {states}{waited}{last}")
        if sent["error"]:
            typer.echo(f"  since {sent['since']}: {sent['error']}")
    for peer, counts in found["counts"].items():
        words = ", ".join(f"{word} {count}" for word, count in sorted(counts.items()))
        typer.echo(f"{peer}, since the start: {words}")


@node_app.command("check")
def check(
    peer: Annotated[str, typer.Argument(help="Name of a peer, or all.")] = "all",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask peers whether they are there, know this node, and take what is to go to them.

    By TLS where they have it. The exit code is 12 if one does not answer as it must.

    \b
    Example:
      hilum node check pacs
    """
    place = _place(home, None)
    node = _node(place)
    from hilum.apps.node.check import check_peer
    from hilum.core.errors import PeerError

    rows = []
    for each in node.peers if peer == "all" else (_peer(node, peer),):
        row: dict[str, str | bool] = {"peer": each.name, "ok": True}
        try:
            said = check_peer(node, each, place.data)
            line = f"{each.name}: {said}"
        except PeerError as error:
            row["ok"], said = False, error.message
            line = f"{error.message}\n  {error.hint}"
        rows.append(row | {"said": said})
        if not as_json:
            typer.echo(line)
    if as_json:
        print_json(rows)
    elif not rows:
        typer.echo(_NO_PEERS)
    if failed := sum(not row["ok"] for row in rows):
        raise PeerError(
            f"{failed} of the peers did not answer as they must", hint="see above of each"
        )


@node_app.command("list")
def list_(
    state: Annotated[
        str | None,
        typer.Option(
            help="waiting, claimed, sent, committed, dead, dropped, retracted or deleted."
        ),
    ] = None,
    peer: Peer = None,
    study: Study = None,
    limit: Limit = 100,
    store: Store = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List results on their way to peers, newest first; UIDs by their last 8 digits.

    \b
    Example:
      hilum node list --state dead
    """
    from hilum.apps.store import outbox, wanted
    from hilum.core.config import did_you_mean
    from hilum.core.errors import ConfigError

    if state is not None and state not in wanted.STATES:
        raise ConfigError(f"there is no state '{state}'", hint=did_you_mean(state, wanted.STATES))
    with _opened(home, store) as (opened, _), opened.read() as session:
        rows = outbox.listed(session, state=state, peer=peer, study=study, most=limit)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        error = f"  {row['error']}" if row["error"] else ""
        typer.echo(
            f"{row['id']}  {row['peer']}  {row['state']}  {row['kind']}  film {row['film_id']}  "
            f"...{row['uid_ends']}{error}"
        )


@node_app.command("retry")
def retry(
    ids: Annotated[list[int] | None, typer.Argument(help="As 'hilum node list' has them.")] = None,
    peer: Peer = None,
    all_dead: Annotated[
        bool, typer.Option("--all-dead", help="All of all peers; and make what could not be made.")
    ] = False,
    store: Store = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Send at once what is dead or waits: by its ids, or all of a peer.

    \b
    Example:
      hilum node retry --peer pacs
    """
    from hilum.apps.store import outbox
    from hilum.core.errors import ConfigError

    if sum((bool(ids), peer is not None, all_dead)) != 1:
        raise ConfigError("what is to be sent?", hint="ids, --peer or --all-dead")
    with _opened(home, store) as (opened, log):
        count = outbox.retry(opened, log, "command line", ids=ids or (), peer=peer)
    _changed(count, "wait to be sent at once", as_json=as_json, named=len(set(ids or ())))


@node_app.command("drop")
def drop(
    ids: Annotated[list[int], typer.Argument(help="As 'hilum node list' has them.")],
    reason: Annotated[str, typer.Option(help=REASON)],
    store: Store = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Give up what was not sent; the log keeps who did, and why.

    \b
    Example:
      hilum node drop 17 18 --reason "the archive has no SR"
    """
    from hilum.apps.store import outbox

    with _opened(home, store) as (opened, log):
        count = outbox.drop(opened, log, "command line", ids, reason)
    _changed(count, "given up", as_json=as_json, named=len(set(ids)))


@node_app.command("resend")
def resend(
    film: Annotated[str | None, typer.Option(help="Id of a film.")] = None,
    study: Study = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="All made from that day on (UTC).")
    ] = None,
    peer: Peer = None,
    store: Store = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Send results again that were sent or given up: the same objects, the same UIDs.

    Those of a film or study that were taken back are made anew, with other UIDs.

    \b
    Example:
      hilum node resend --since 2026-11-01 --peer pacs
    """
    from datetime import UTC

    from hilum.apps.store import outbox
    from hilum.core.errors import ConfigError

    if sum(each is not None for each in (film, study, since)) != 1:
        raise ConfigError("what is to be sent again?", hint="--film, --study or --since")
    since_ms = round(since.replace(tzinfo=UTC).timestamp() * 1000) if since else None
    with _opened(home, store) as (opened, log):
        count = outbox.resend(
            opened,
            log,
            "command line",
            film_id=film,
            study=study,
            since_ms=since_ms,
            peer=peer,
        )
    _changed(count, "wait to be sent again", as_json=as_json, named=int(since is None))


@node_app.command("retract")
def retract(
    reason: Annotated[str, typer.Option(help=REASON)],
    film: Annotated[str | None, typer.Option(help="Id of a film.")] = None,
    study: Study = None,
    peer: Peer = None,
    store: Store = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take back what was sent: a rejection note goes to every peer that has it.

    The reason is quality, wrong-patient or worklist. The running server makes
    and sends the note. What was not sent yet never is. With wrong-patient or
    worklist nothing of the film is sent any more, whatever bundle reads it;
    'hilum node resend --film' undoes that.

    \b
    Example:
      hilum node retract --study 1.2.3 --reason wrong-patient
    """
    from hilum.apps.store import outbox, takeback
    from hilum.core.config import did_you_mean
    from hilum.core.errors import ConfigError
    from hilum.serve.dicom.codes import REJECTED

    if reason not in REJECTED:
        hint = did_you_mean(reason, REJECTED)
        raise ConfigError(f"reason '{reason}': expected {', '.join(REJECTED)}", hint=hint)
    if (film is None) == (study is None):
        raise ConfigError("what is to be taken back?", hint="--film or --study")
    with _opened(home, store) as (opened, log), opened.write() as session:
        films = list(session.scalars(outbox.films_of(film, study)))
        count = takeback.retract(session, log, "command line", films, reason=reason, peer=peer)
    what = "films whose results are taken back"
    _changed(count, what, as_json=as_json, named=1)


@node_app.command("send")
def send(
    files: Annotated[list[Path], typer.Argument(help="DICOM files.")],
    peer: Annotated[str, typer.Option(help="Name of a peer in hilum.toml.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Send any DICOM files to a peer, now, to see whether it takes them; exit code 12 if not.

    \b
    Example:
      hilum node send film.dcm --peer pacs
    """
    place = _place(home, None)
    node = _node(place)
    from hilum.apps.node import dimse
    from hilum.core.errors import PeerError

    known = _peer(node, peer)
    rows = []
    for path, answered in dimse.send(node, known, files, place.data):
        sent = answered in dimse.SENT
        word = "does not take this class and syntax" if answered is None else f"0x{answered:04X}"
        rows.append({"file": str(path), "sent": sent, "answered": word})
        if not as_json:
            typer.echo(f"{path}: {'sent' if sent else 'refused'}, {word}")
    if as_json:
        print_json(rows)
    if failed := sum(not row["sent"] for row in rows):
        raise PeerError(
            f"{peer}: {failed} of {len(files)} files were not taken",
            hint=f"hilum node check {peer}",
        )


@node_app.command("conformance")
def conformance(
    out: Annotated[Path | None, out_file("File; default: standard output.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Print the DICOM conformance statement of this configuration, as Markdown or JSON.

    \b
    Example:
      hilum node conformance -o conformance.md
    """
    node = _node(_place(home, None))
    import json

    from hilum.apps.node.conformance import markdown, statement
    from hilum.core.files import write_text

    text = json.dumps(statement(node), indent=2) + "\n" if as_json else markdown(node)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)


node_app.command("module")(module)


_NO_PEERS = "hilum.toml names no peer: [[node.peers]] adds one"


def _place(home: Path | None, store: str | None) -> Place:
    from hilum.core.extras import require

    require("web")
    require("pacs")
    from hilum.apps.web.serve import Place

    return Place.of(home, store)


def _node(place: Place) -> Node:
    from hilum.apps.web.settings import load_settings
    from hilum.core.errors import ConfigError

    node = load_settings(place.data).node
    if node is None:
        raise ConfigError(f"{place.data}: hilum.toml has no [node]", hint="hilum node init")
    return node


def _peer(node: Node, name: str) -> Known:
    from hilum.core.config import did_you_mean
    from hilum.core.errors import ConfigError

    if (found := node.peer(name)) is None:
        names = [each.name for each in node.peers]
        hint = did_you_mean(name, names) if names else _NO_PEERS
        raise ConfigError(f"there is no peer '{name}'", hint=hint)
    return found


@contextmanager
def _opened(home: Path | None, store: str | None) -> Iterator[tuple[Opened, Log]]:
    """Open the store of a place that is there, and its log."""
    place = _place(home, store)
    from hilum.apps.web.serve import open_place

    opened, log = open_place(place, make=False)
    try:
        yield opened, log
    finally:
        opened.close()


def _changed(count: int, what: str, *, as_json: bool, named: int = 0) -> None:
    """Say how many were changed; fewer than were named is an error, after what could be done."""
    from hilum.core.errors import ConfigError

    if count < named:
        raise ConfigError(f"only {count} {what}: no more fits", hint="see 'hilum node list'")
    if as_json:
        print_json({"changed": count})
    else:
        typer.echo(f"{count} {what}" + ("" if count else ": none fits; see 'hilum node list'"))

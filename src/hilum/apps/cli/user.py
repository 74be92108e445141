"""``hilum user``: who may sign in to the workstation."""

from __future__ import annotations

from typing import Annotated

import typer

from hilum.apps.cli.options import Home, Json, Store
from hilum.apps.cli.streams import print_json

user_app = typer.Typer(no_args_is_help=True, help="Who may sign in to the workstation.")
_ROLE = "metrics, reader, reviewer or administrator."


@user_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Letters, digits and . _ @ -")],
    role: Annotated[str, typer.Option(help=_ROLE)] = "reviewer",
    token: Annotated[
        bool,
        typer.Option("--token", help="Print a token for scripts instead of asking a password."),
    ] = False,
    blind: Annotated[
        bool, typer.Option("--blind", help="Reads blind first, from the first sign-in on.")
    ] = False,
    store: Store = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Add a person, or a script with a token, to a workstation.

    The password is asked for, or read from standard input where that is no
    terminal. A token is printed once and kept only as a checksum. Who exists
    already gets a further token with --token.

    \b
    Example:
      hilum user add anna --role reviewer
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.store.people import Role, add_person, add_token, choose_blind, find_person
    from hilum.apps.web.serve import Place, open_place

    _check_role(role)
    password = None if token else _ask_password()
    opened, log = open_place(Place.of(home, store))
    with opened.write() as session:
        person = find_person(session, name) if token else None
        if person is None:
            person = add_person(session, name, Role(role), password)
            if blind:
                choose_blind(person, on=True)
            log.add(session, "command line", "user-added", user=person.id, role=person.role)
        secret = ""
        if token:
            made, secret = add_token(session, person, "command line")
            log.add(session, "command line", "token-added", user=person.id, token=made.id)
        added = {"name": name, "role": person.role, "id": person.id}
    opened.close()
    if as_json:
        print_json(added | ({"token": secret} if secret else {}))
    elif secret:
        typer.echo(secret)
        typer.echo(f"the token of '{name}' ({added['role']}); it is not shown again", err=True)
    else:
        typer.echo(f"'{name}' may sign in as {added['role']}")


@user_app.command("change")
def change(
    name: Annotated[str, typer.Argument(help="Of a person who is there.")],
    role: Annotated[str | None, typer.Option(help=_ROLE)] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password.")] = False,
    disable: Annotated[
        bool | None,
        typer.Option("--disable/--enable", help="Shut the person out, tokens and all; or not."),
    ] = None,
    store: Store = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Change a person's password or role, or shut a person out.

    For who has forgotten a password, and for who leaves. Open sessions of that
    person end; the server need not be stopped.

    \b
    Example:
      hilum user change anna --password
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.store.people import LOCAL, Role, end_visits, find_person, hash_password
    from hilum.apps.web.serve import Place, open_place
    from hilum.core.errors import ConfigError

    if role is not None:
        _check_role(role)
    asked = {"disabled": disable is not None, "password": password, "role": role is not None}
    changed = sorted(key for key, wanted in asked.items() if wanted)
    if not changed:
        raise ConfigError("nothing to change", hint="--password, --role, --disable or --enable")
    opened, log = open_place(Place.of(home, store), make=False)
    hashed = hash_password(_ask_password()) if password else None
    with opened.write() as session:
        person = find_person(session, name)
        if person is None or name == LOCAL:
            raise ConfigError(f"there is no '{name}' to change", hint="hilum user list")
        person.role = Role(role) if role is not None else person.role
        person.disabled = disable if disable is not None else person.disabled
        person.password = hashed or person.password
        end_visits(session, person_id=person.id)
        log.add(session, "command line", "user-changed", user=person.id, changed=changed)
    opened.close()
    if as_json:
        print_json({"name": name, "changed": changed})
    else:
        typer.echo(f"'{name}' was changed: {', '.join(changed)}")


@user_app.command("list")
def list_(store: Store = None, home: Home = None, as_json: Json = False) -> None:
    """List who may sign in.

    \b
    Example:
      hilum user list
    """
    from hilum.core.extras import require

    require("web")
    from sqlalchemy import select

    from hilum.apps.store.tables import Person
    from hilum.apps.web.serve import Place, open_place

    opened, _ = open_place(Place.of(home, store), make=False)
    with opened.read() as session:
        people = [
            {"name": each.name, "role": each.role, "disabled": each.disabled}
            for each in session.scalars(select(Person).order_by(Person.name))
        ]
    opened.close()
    if as_json:
        print_json(people)
        return
    for each in people:
        typer.echo(f"{each['name']}  {each['role']}{', disabled' if each['disabled'] else ''}")


@user_app.command("link")
def link(store: Store = None, home: Home = None, as_json: Json = False) -> None:
    """Print a link that opens the page of a running 'hilum serve' on this machine.

    It works once, within 10 minutes, in a browser of this machine, and only
    while nobody can sign in by a password.

    \b
    Example:
      hilum user link
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.web.link import make_link
    from hilum.apps.web.serve import Place, open_place

    opened, log = open_place(Place.of(home, store), make=False)
    address = make_link(opened)
    with opened.write() as session:
        log.add(session, "command line", "link-made")
    opened.close()
    print_json({"link": address}) if as_json else typer.echo(address)


def _check_role(role: str) -> None:
    from hilum.apps.store.people import Role
    from hilum.core.config import did_you_mean
    from hilum.core.errors import ConfigError

    if role not in list(Role):
        raise ConfigError(f"role '{role}' is not known", hint=did_you_mean(role, list(Role)))


def _ask_password() -> str:
    import sys

    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")

"""``hilum user``: who may sign in to the workstation."""

from __future__ import annotations

from typing import Annotated

import typer

from hilum.apps.cli.serve import Address, Data


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    users = typer.Typer(no_args_is_help=True, help="Who may sign in to the workstation.")
    users.command("add")(add)
    users.command("list")(list_)
    app.add_typer(users, name="user", rich_help_panel=panel)


def add(
    name: Annotated[str, typer.Argument(help="Letters, digits and . _ @ -")],
    role: Annotated[str, typer.Option(help="reader, reviewer or administrator.")] = "reviewer",
    token: Annotated[
        bool,
        typer.Option("--token", help="Print a token for scripts instead of asking a password."),
    ] = False,
    store: Address = None,
    data: Data = None,
) -> None:
    """Add a person, or a script with a token, to a workstation.

    The password is asked for, or read from standard input where that is no
    terminal. A token is printed once and kept only as a checksum. Who exists
    already gets a further token with --token.

    [bold]Example:[/bold] hilum user add anna --role reviewer
    """
    from hilum.core.extras import require

    require("web")
    from hilum.apps.store.people import Role, add_person, add_token, find_person
    from hilum.apps.web.serve import Place, open_place
    from hilum.core.config import did_you_mean
    from hilum.core.errors import ConfigError

    if role not in list(Role):
        raise ConfigError(f"role '{role}' is not known", hint=did_you_mean(role, list(Role)))
    password = None if token else _ask_password()
    opened, log = open_place(Place.of(data, store))
    with opened.write() as session:
        person = find_person(session, name) if token else None
        if person is None:
            person = add_person(session, name, Role(role), password)
            log.add(session, "command line", "user-added", user=person.id, role=person.role)
        secret = ""
        if token:
            made, secret = add_token(session, person, "command line")
            log.add(session, "command line", "token-added", user=person.id, token=made.id)
    opened.close()
    if secret:
        typer.echo(secret)
        typer.echo(f"the token of '{name}' ({person.role}); it is not shown again", err=True)
    else:
        typer.echo(f"'{name}' may sign in as {person.role}")


def list_(store: Address = None, data: Data = None) -> None:
    """List who may sign in.

    [bold]Example:[/bold] hilum user list
    """
    from hilum.core.extras import require

    require("web")
    from sqlalchemy import select

    from hilum.apps.store.tables import Person
    from hilum.apps.web.serve import Place, open_place

    opened, _ = open_place(Place.of(data, store))
    with opened.read() as session:
        for person in session.scalars(select(Person).order_by(Person.name)):
            shut_out = ", disabled" if person.disabled else ""
            typer.echo(f"{person.name}  {person.role}{shut_out}")
    opened.close()


def _ask_password() -> str:
    import sys

    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")

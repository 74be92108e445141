"""The command ``hilum``: verbs in two groups, errors in one line, exit codes for scripts."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from itertools import pairwise, takewhile
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hilum.apps.cli import streams
from hilum.core import errors
from hilum.core.reading import RESEARCH_USE
from hilum.image import decoders

ONE_IMAGE = "One image: from a film to a reading"
ONE_MODEL = "One model: from collections to a bundle"
WORKSTATION = "The workstation: films of a day, in a browser"
THE_REST = "This installation"

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("demo", ONE_IMAGE),
    "show": ("show", ONE_IMAGE),
    "read": ("read", ONE_IMAGE),
    "explain": ("explain", ONE_IMAGE),
    "cohort": ("cohort", ONE_MODEL),
    "split": ("split", ONE_MODEL),
    "train": ("train", ONE_MODEL),
    "train-detector": ("train_detector", ONE_MODEL),
    "boxes": ("boxes", ONE_MODEL),
    "compare": ("compare", ONE_MODEL),
    "evaluate": ("evaluate", ONE_MODEL),
    "calibrate": ("calibrate", ONE_MODEL),
    "audit": ("audit", ONE_MODEL),
    "map": ("map", ONE_MODEL),
    "fit-severity": ("fit_severity", ONE_MODEL),
    "bundle": ("bundle", ONE_MODEL),
    "reproduce": ("reproduce", ONE_MODEL),
    "serve": ("serve", WORKSTATION),
    "node": ("node", WORKSTATION),
    "user": ("user", WORKSTATION),
    "log": ("log", WORKSTATION),
    "delete": ("delete", WORKSTATION),
    "doctor": ("doctor", THE_REST),
}
"""Verb -> (file in this folder, its group in ``hilum --help``); each has ``register``."""

REPLACED: dict[str, str] = {
    "lungs": "'hilum read FILE --masks FOLDER' writes the masks, --details --json the numbers",
    "similar": "'hilum read FILE --details' names the films, 'hilum bundle index' makes the index",
    "train-opacities": "'hilum train recipes/dense.toml' makes one network for lungs and opacities",
    "score-maps": "the table that it printed stays as docs/results/maps.csv",
}
"""Verb of 0.3.0 -> what does its work now; the next release forgets it."""

EXIT_CODES = (
    "Exit codes: 0 done, 2 usage, 3 some films not read, 4 cohort, 5 leakage, 6 configuration, "
    "7 bundle, 8 missing extra, 9 training, 10 audit failed, 11 store, 12 peer, 130 interrupted."
)

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""``UsageError`` of the click that typer uses: an own copy since typer 0.26, the package before."""


class Verbs(TyperGroup):
    """The verbs; an option's name is never taken for the value that another option lacks.

    >>> run(["read", "film.png", "--heatmap", "--pdf", "film.pdf"])  # no folder named "--pdf"
    2
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return the verb's name, the verb and its arguments; raise where a value is missing."""
        if args and args[0] in REPLACED:
            ctx.fail(f"'hilum {args[0]}' is gone: {REPLACED[args[0]]}.")
        name, verb, rest = super().resolve_command(ctx, args)
        command: Any = verb
        given = rest
        while given and given[0] in getattr(command, "commands", {}):
            command, given = command.commands[given[0]], given[1:]
        if command is not None:
            _demand_values(ctx, command, given)
        return name, verb, rest


def _demand_values(context: Any, command: Any, arguments: list[str]) -> None:
    parameters = command.get_params(context)  # --help is among them, not in command.params
    options = [each for each in parameters if each.param_type_name == "option"]
    names = {name for each in options for name in (*each.opts, *each.secondary_opts)}
    hungry = {name for each in options if not (each.is_flag or each.count) for name in each.opts}
    before_files = takewhile(lambda argument: argument != "--", arguments)
    for option, value in pairwise(before_files):
        if option in hungry and value in names:
            context.fail(f"Option '{option}' needs a value, not the option '{value}'.")


def hilum_command(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version (with --json: of everything that changes numbers) and exit.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
) -> None:
    """Read chest radiographs for COVID-19 pneumonia, and say how far to trust each reading."""
    if version:
        from hilum.apps.cli.doctor import print_version

        print_version(as_json=as_json)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(errors.EXIT_USAGE)


def command_line(arguments: list[str]) -> typer.Typer:
    """Return the command line with the verb that the first argument names.

    With every verb where it names none: for help, and for typos.
    """
    app = typer.Typer(
        name="hilum",
        cls=Verbs,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=f"{RESEARCH_USE}  {EXIT_CODES}",
    )
    app.callback(invoke_without_command=True)(hilum_command)
    asked = {VERBS[arguments[0]]} if arguments and arguments[0] in VERBS else VERBS.values()
    for file, panel in dict.fromkeys(asked):
        import_module(f"hilum.apps.cli.{file}").register(app, panel)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with a code that scripts can use."""
    streams.settle()
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; print errors as one line and a hint."""
    app = command_line(sys.argv[1:] if arguments is None else arguments)
    try:
        result: Any = app(args=arguments, prog_name="hilum", standalone_mode=False)
        sys.stdout.flush()
    except errors.HilumError as error:
        complain(error.message, error.hint)
        return error.exit_code
    except USAGE_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        return errors.EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        result = errors.EXIT_INTERRUPTED
    except (BrokenPipeError, SystemExit) as stop:  # typer and rich turn the first into the second
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, BrokenPipeError):
            raise
        _close_stdout()
        return errors.EXIT_OK
    except OSError as error:
        complain(
            f"{error.filename or 'system'}: {error.strerror or error}",
            "check the path, space and rights",
        )
        return errors.EXIT_UNEXPECTED
    if result == errors.EXIT_INTERRUPTED:
        decoders.close()  # else the end waits for films that nobody waits for
        complain("interrupted", "what was finished is kept")
    return result if isinstance(result, int) else errors.EXIT_OK


def _close_stdout() -> None:
    """Let Python exit quietly though whoever read stdout is gone ("hilum read x | head")."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str, hint: str = "") -> None:
    """Print an error to stderr: one line, and what to do next."""
    typer.secho(f"error: {message}", fg="red", err=True)
    if hint:
        typer.secho(f"  hint: {hint}", err=True)


if __name__ == "__main__":
    main()

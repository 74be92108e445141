"""The command ``hilum``: verbs in two groups, errors in one line, exit codes for scripts."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from importlib import import_module
from itertools import pairwise, takewhile
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hilum.apps.cli import streams
from hilum.apps.cli.options import Verb
from hilum.core import errors
from hilum.core.extras import lacking
from hilum.core.reading import RESEARCH_USE
from hilum.image import decoders

ONE_IMAGE = "One image: from a film to a reading"
ONE_MODEL = "One model: from collections to a bundle"
JUDGEMENT = "One judgement: what a bundle is worth, on which films"
BUNDLES = "Bundles, and the two papers"
HOSPITAL = "The hospital: films of a day, in a browser and by DICOM"
THE_REST = "This installation"

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("demo.demo", ONE_IMAGE),
    "show": ("show.show", ONE_IMAGE),
    "read": ("read.read", ONE_IMAGE),
    "batch": ("batch.batch", ONE_IMAGE),
    "deidentify": ("deidentify.deidentify", ONE_IMAGE),
    "explain": ("explain.explain", ONE_IMAGE),
    "cohort": ("cohort.cohort_app", ONE_MODEL),
    "train": ("train.train", ONE_MODEL),
    "compare": ("compare.compare", ONE_MODEL),
    "evaluate": ("evaluate.evaluate", JUDGEMENT),
    "audit": ("audit.audit", JUDGEMENT),
    "calibrate": ("calibrate.calibrate", JUDGEMENT),
    "map": ("map.feature_map", JUDGEMENT),
    "bundle": ("bundle.bundle_app", BUNDLES),
    "reproduce": ("reproduce.papers_app", BUNDLES),
    "serve": ("serve.serve", HOSPITAL),
    "node": ("node.node_app", HOSPITAL),
    "user": ("user.user_app", HOSPITAL),
    "store": ("store.store_app", HOSPITAL),
    "export": ("export.export", HOSPITAL),
    "doctor": ("doctor.doctor", THE_REST),
}
"""Verb -> (module and name in this folder, its group in ``hilum --help``), in the order of work."""

REPLACED: dict[str, str] = {
    "split": "'hilum cohort split'",
    "audit lists": "'hilum cohort audit'",
    "audit model": "'hilum audit'",
    "boxes export": "'hilum cohort to-coco'",
    "boxes import": "'hilum cohort from-coco'",
    "boxes score": "'hilum evaluate CASES.csv --detections FILE'",
    "boxes": "'hilum cohort to-coco', 'hilum cohort from-coco' and 'hilum evaluate --detections'",
    "train-detector": "'hilum train recipes/detector.toml': the task stands in the recipe",
    "train-opacities": "'hilum train recipes/default.toml': one network finds both",
    "fit-severity": "'hilum bundle fit-severity'",
    "delete": "'hilum store delete'",
    "log show": "'hilum store log'",
    "log verify": "'hilum store verify'",
    "log": "'hilum store log' and 'hilum store verify'",
    "lungs": "'hilum read FILE --masks FOLDER' writes the masks, --details --json the numbers",
    "similar": "'hilum read FILE --details' names the films, 'hilum bundle index' makes the index",
    "score-maps": "the table that it printed stays as docs/results/maps.csv",
}
"""Verb of 0.3.0 -> what does its work now; the version after 1.0 forgets it."""

RENAMED: dict[str, str] = {
    "--data": "--home: --data is the folder of collections",
    "--recipe": "the argument: hilum train RECIPE.toml",
    "--collection": "--cases",
    "--films": "--duplicates",
    "--no-films": "--no-duplicates",
    "--method": "--calibrator of 'hilum calibrate', --projection of 'hilum map'",
    "--out-of-source": "--comparison of 'hilum bundle card'",
    "--table": "--numbers",
    "--lines": "--limit",
    "--output": "--out",
}
"""Option of 0.3.0, where a verb has it no more -> what it is now; forgotten with ``REPLACED``."""

EXIT_CODES: dict[int, str] = {
    errors.EXIT_OK: "done",
    errors.EXIT_UNEXPECTED: "a file, the disk, the installation or Hilum itself is at fault",
    errors.EXIT_USAGE: "the command line is not understood",
    errors.EXIT_SOME_NOT_READ: "some films were not read",
    errors.CohortError.exit_code: "cohort",
    errors.LeakageError.exit_code: "leakage",
    errors.ConfigError.exit_code: "configuration",
    errors.BundleError.exit_code: "bundle",
    errors.MissingExtraError.exit_code: "missing extra",
    errors.TrainingError.exit_code: "training",
    errors.EXIT_AUDIT_FAILED: "the audit failed",
    errors.StoreError.exit_code: "store",
    errors.PeerError.exit_code: "peer",
    errors.EXIT_INTERRUPTED: "interrupted",
}
"""Every code that ``run`` returns -> what it says of the work."""

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""``UsageError`` of the click that typer uses: an own copy since typer 0.26, the package before."""


class Verbs(TyperGroup):
    """The verbs; an option's name is never taken for the value that another option lacks.

    >>> run(["read", "film.png", "--heatmap", "--pdf", "film.pdf"])  # no folder named "--pdf"
    2
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs in the order of the work; typer would put groups first."""
        return [verb for verb in VERBS if verb in self.commands]

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return the verb's name, the verb and its arguments; raise where a value is missing."""
        for old in (" ".join(args[:2]), *args[:1]):
            if old in REPLACED:
                ctx.fail(f"'hilum {old}' is gone: {REPLACED[old]}.")
        name, verb, rest = super().resolve_command(ctx, args)
        command: Any = verb
        given = rest
        while given and given[0] in getattr(command, "commands", {}):
            command, given = command.commands[given[0]], given[1:]
        if command is not None:
            _look_at_options(ctx, command, given)
        return name, verb, rest


def _look_at_options(context: Any, command: Any, arguments: list[str]) -> None:
    parameters = command.get_params(context)  # --help is among them, not in command.params
    options = [each for each in parameters if each.param_type_name == "option"]
    names = {name for each in options for name in (*each.opts, *each.secondary_opts)}
    hungry = {name for each in options if not (each.is_flag or each.count) for name in each.opts}
    before_files = list(takewhile(lambda argument: argument != "--", arguments))
    for option in (argument.partition("=")[0] for argument in before_files):
        if option in RENAMED and option not in names:
            context.fail(f"No option '{option}' here: it is {RENAMED[option]}.")
    single = {
        name: each.opts[0]
        for each in options
        if not (each.is_flag or each.count or each.multiple)
        for name in each.opts
    }
    given = (single.get(argument.partition("=")[0]) for argument in before_files)
    for name, times in Counter(given).items():
        if name is not None and times > 1:
            context.fail(f"Option '{name}' takes one value, and is given {times} times.")
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
    codes = ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    app = typer.Typer(
        name="hilum",
        cls=Verbs,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=f"{RESEARCH_USE}  Exit codes: {codes}.",
    )
    app.callback(invoke_without_command=True)(hilum_command)
    for verb in arguments[:1] if arguments and arguments[0] in VERBS else VERBS:
        place, panel = VERBS[verb]
        module, _, name = place.partition(".")
        found = getattr(import_module(f"hilum.apps.cli.{module}"), name)
        if isinstance(found, typer.Typer):
            for each in found.registered_commands:
                each.cls = Verb
            app.add_typer(found, name=verb, rich_help_panel=panel)
        else:
            app.command(verb, cls=Verb, rich_help_panel=panel)(found)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with a code that scripts can use."""
    streams.settle()
    if hasattr(signal, "pthread_kill"):
        sys.unraisablehook = _dropped
    try:
        sys.exit(run(arguments))
    finally:
        interruptible = signal.signal(signal.SIGINT, signal.SIG_IGN) is not signal.SIG_IGN
        decoders.end()  # else the end waits for films that nobody waits for
        if interruptible:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once, whatever it still waits for


def _dropped(error: Any) -> None:
    """Interrupt again a moment later: Python drops what is raised in a destructor or a callback."""
    if not isinstance(error.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(error)
        return
    main_thread = threading.main_thread().ident
    again = threading.Timer(0.05, signal.pthread_kill, (main_thread, signal.SIGINT))
    again.daemon = True
    again.start()


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; print errors as one line and a hint."""
    try:
        app = command_line(sys.argv[1:] if arguments is None else arguments)
        result: Any = app(args=arguments, prog_name="hilum", standalone_mode=False)
        sys.stdout.flush()
    except errors.HilumError as error:
        return _complained(error)
    except ModuleNotFoundError as error:
        if (absent := lacking(error)) is None:
            raise
        return _complained(absent)
    except USAGE_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        if "unexpected extra argument" in str(error) and "--bundle" in _options(error):
            typer.echo("  hint: a bundle is named by -b, no more by its place", err=True)
        return errors.EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        result = errors.EXIT_INTERRUPTED
    except (BrokenPipeError, SystemExit) as stop:  # typer and rich turn the first into the second
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.EXIT_OK
    except OSError as error:
        complain(
            f"{error.filename or 'system'}: {error.strerror or error}",
            "check the path, space and rights",
        )
        return errors.EXIT_UNEXPECTED
    except ValueError as error:
        if "KeyboardInterrupt" not in str(error):  # pydantic's, of a Ctrl-C while it wrote JSON
            raise
        result = errors.EXIT_INTERRUPTED
    if result == errors.EXIT_INTERRUPTED:
        complain("interrupted", "what was finished is kept")
    return result if isinstance(result, int) else errors.EXIT_OK


def _complained(error: errors.HilumError) -> int:
    complain(error.message, error.hint)
    return error.exit_code


def _options(error: Any) -> set[str]:
    return {name for each in error.ctx.command.params for name in each.opts}


def complain(message: str, hint: str = "") -> None:
    """Print an error to stderr: one line, and what to do next."""
    typer.secho(f"error: {message}", fg="red", err=True)
    if hint:
        typer.secho(f"  hint: {hint}", err=True)


if __name__ == "__main__":
    main()

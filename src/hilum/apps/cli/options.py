"""Options that several verbs have: each name means one thing, and is said in one place.

A place that a verb writes to is looked at before it works for hours, not after: what cannot be
written, is of another kind, or is read by the same verb, is a ``ConfigError`` before it begins.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from hilum.core.errors import ConfigError
from hilum.core.files import check_spared, check_writable


class Device(StrEnum):
    """Where to train."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


Bundle = Annotated[
    Path | None, typer.Option("--bundle", "-b", help="Bundle folder; default: the built-in.")
]
CasesTable = Annotated[Path, typer.Argument(metavar="CASES.csv", help="A cases table.")]
Cases = Annotated[Path | None, typer.Option("--cases", help="A cases table.")]
Films = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Films, folders or 'patterns/**/*.png'.")
]
Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of the collections; else HILUM_DATA.")
]
Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Folder of the workstation: films, keys, hilum.toml; default: the user's own.",
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="HILUM_STORE",
        help="Database: sqlite:///... or postgresql://...; default: SQLite in --home.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
]
REASON = "Why, for the log; name no patient."
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was broken off.")]
Where = Annotated[Device, typer.Option("--device", help="Where to train.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="Only what has this name; may be repeated.")
]
Split = Annotated[
    str, typer.Option("--split", help="Rows: a value of 'split', 'fold=2', or 'all'.")
]
_LABEL = "Label, e.g. covid-19; may be repeated where several can be meant."
Label = Annotated[str, typer.Option("--label", help=_LABEL)]
OneLabel = Annotated[str | None, typer.Option("--label", help=_LABEL)]
Labels = Annotated[list[str] | None, typer.Option("--label", help=_LABEL)]
_POINT = "Operating point: its name in the bundle; default: a label's first."
OperatingPoint = Annotated[str | None, typer.Option("--operating-point", help=_POINT)]
_THRESHOLD = "A film is called from this score on."
Threshold = Annotated[float, typer.Option("--threshold", min=0, max=1, help=_THRESHOLD)]
Prevalence = Annotated[
    float | None,
    typer.Option("--prevalence", help="Share of films with COVID-19 pneumonia, e.g. 0.05."),
]
Details = Annotated[
    bool,
    typer.Option(
        "--details", help="Say where, how much, how severe, and what resembles it; slower."
    ),
]
Bootstrap = Annotated[
    int, typer.Option("--bootstrap", min=0, help="Resamples of patients; 0: no intervals.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of every random draw.")]
Folds = Annotated[int, typer.Option("--folds", min=2, help="How many folds.")]
MaxFilms = Annotated[
    int, typer.Option("--max-films", min=0, help="Most films, spread over collections; 0: all.")
]
AllowSeen = Annotated[
    bool,
    typer.Option(
        "--allow-seen",
        help="Take films, too, that the bundle was trained on; the result counts them.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Take refused films all the same, and mark them.")
]
MaxMegapixels = Annotated[
    float,
    typer.Option(
        "--max-megapixels", min=0.001, help="Refuse larger films before they are decoded."
    ),
]
Duplicates = Annotated[
    bool,
    typer.Option(
        "--duplicates/--no-duplicates", help="Open the films and look for copies; or do not."
    ),
]
Pairs = Annotated[
    Path | None, typer.Option("--pairs", help="Copies that were found before, as CSV.")
]
Peer = Annotated[str | None, typer.Option("--peer", help="Name of a peer in hilum.toml.")]
Study = Annotated[str | None, typer.Option("--study", help="Id or Study Instance UID of a study.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the newest.")]


def out_file(text: str, *names: str) -> Any:
    """Return the option of a file to write.

    Args:
        text: for --help.
        names: of the option; "--out" and "-o" where none is given.
    """
    return _option(text, names, folder=False)


def out_folder(text: str, *names: str, files: Sequence[str] = (), show_default: bool = True) -> Any:
    """Return the option of a folder to write into, which need not exist.

    Args:
        text, names: see ``out_file``.
        files: names that the verb always gives; none of them may be one that it reads.
        show_default: in --help.
    """
    return _option(text, names, file=False, files=files, show_default=show_default)


def out_path(text: str, *names: str) -> Any:
    """Return the option of a file for one film or a folder for many; see ``out_file``."""
    return _option(text, names)


def out_place(text: str) -> Any:
    """Return the option of a folder or an address to write into; an address is not looked at."""

    def look(place: str) -> str:
        if "://" not in place:
            check_writable(Path(place), file=False)
            _check_outside_bundles(Path(place), "--out")
        return place

    return typer.Option("--out", "-o", callback=look, help=text)


def _option(
    text: str,
    names: tuple[str, ...],
    *,
    file: bool = True,
    folder: bool = True,
    files: Sequence[str] = (),
    show_default: bool = True,
) -> Any:
    def look(ctx: typer.Context, param: typer.CallbackParam, path: Path | None) -> Path | None:
        if path is not None:
            check_writable(path, file=file, folder=folder)
            _check_outside_bundles(path, param.opts[0])
            written = [path] if file else [path / name for name in files]
            ctx.meta.setdefault(_WRITTEN, {})[param.name] = (param.opts[0], written)
        return path

    named = names or ("--out", "-o")
    return typer.Option(*named, callback=look, help=text, show_default=show_default)


def _check_outside_bundles(path: Path, option: str) -> None:
    """Make sure that no bundle gets a file that its checksums do not know: it would not open."""
    from hilum.bundle.manifest import CHECKSUMS, MANIFEST

    for folder in (path, *path.resolve().parents):
        if all((folder / name).is_file() for name in (CHECKSUMS, MANIFEST)):
            raise ConfigError(
                f"{path}: lies in a bundle, whose files are sealed; with {option} there "
                "it would not open any more",
                hint=f"name a place for {option} outside of {folder}",
            )


def is_given(ctx: typer.Context, name: str) -> bool:
    """Say whether an option stands on the command line, also where it only says its default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_options(ctx: typer.Context, names: Collection[str], what: str, hint: str = "") -> None:
    """Refuse options that were given and that what is asked for would pass over.

    Args:
        ctx: of the verb.
        names: of the parameters of the verb.
        what: is asked for.
        hint: what to do instead.
    """
    for param in ctx.command.params:
        if param.name in names and is_given(ctx, param.name):
            more = f"; {hint}" if hint else ""
            raise typer.BadParameter(f"{param.opts[0]} has no meaning for {what}{more}")


_WRITTEN = "hilum.written"
_HOLD_MORE = ("data", "home")
"""Options of folders that hold more than what the verb reads."""


class Verb(TyperCommand):
    """A verb that begins only where nothing that it writes replaces what it reads."""

    def invoke(self, ctx: Any) -> Any:
        """Look at the places to write beside those to read; then do the work."""
        outputs: dict[str, tuple[str, list[Path]]] = ctx.meta.get(_WRITTEN, {})
        read = [
            Path(each)
            for name, value in ctx.params.items()
            if name not in outputs and name not in _HOLD_MORE
            for each in (value if isinstance(value, list) else [value])
            if isinstance(each, Path) or (name == "paths" and each and not Path(each).is_dir())
        ]
        taken: dict[Path, str] = {}
        for option, written in outputs.values():
            for path in written:
                check_spared(path, read, option)
                first = taken.setdefault(path.resolve(), option)
                if first != option and not path.is_dir():
                    raise ConfigError(
                        f"{path}: {first} and {option} name the same file",
                        hint="name a file for each",
                    )
        return super().invoke(ctx)

"""``hilum explain``: maps of what the network used, over the film, with their numbers."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.places import out_folder
from hilum.apps.cli.streams import json_text
from hilum.core.config import did_you_mean
from hilum.core.errors import EXIT_SOME_NOT_READ, ConfigError
from hilum.core.files import Stems

if TYPE_CHECKING:
    from hilum.serve.explain.report import MapReport
    from hilum.serve.reader import Examined, Reader

_FEW = 4


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.command("explain", rich_help_panel=panel)(explain)


def explain(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="Bundle folder, or 'default' for the built-in.")
    ],
    paths: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Films, folders or 'patterns/**/*.png'.")
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            help="How: a name below, or 'all'; repeat for more. "
            "Default: evidence; occlusion for a network that has none.",
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Label to explain; default: the bundle's first.")
    ] = None,
    out: Annotated[
        Path | None, out_folder("Folder for the pictures, one a film and method.")
    ] = None,
    values: Annotated[
        bool,
        typer.Option("--values", help="Also write each map as float16 .npy at film size."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a film and method, a line each.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Explain refused films all the same, and mark them.")
    ] = False,
) -> None:
    """Show what the network used: a map over the film, a legend in its unit, its numbers.

    Methods: evidence (the network's own arithmetic, exact), evidence-shifted
    (the same on a finer grid, 16 inferences), occlusion (any network, a hundred
    inferences). docs/explanation/maps.md says how well each points at what
    radiologists marked, and why the default is one.

    A map shows what moved this network's answer, not where disease is. A film
    that the gate refuses gets no map without --force. Into the folder go
    NAME.LABEL.METHOD.png. Exit code 0: all explained; 3: some films were not.

    [bold]Example:[/bold] hilum explain default film.dcm -o maps/

    [bold]Example:[/bold] hilum explain default film.dcm -m all -o maps/
    """
    from hilum.serve.explain.methods import DEFAULT_METHOD, WITHOUT_EVIDENCE
    from hilum.serve.inputs import find_films
    from hilum.serve.reader import load_bundle

    _check(out, values)
    films = find_films(paths)
    reader = load_bundle(bundle)
    default = DEFAULT_METHOD if reader.bundle.manifest.evidence else WITHOUT_EVIDENCE
    methods = _methods(method or [default], evidence=reader.bundle.manifest.evidence)
    place = _place(reader, label)
    examined = reader.examine(films, keep=True, force=force, batch_size=1)
    reports = _reports(reader, examined, films, methods, place, out, values)
    counts = _print(_watched(reports, len(films) * len(methods)), len(films), as_json=as_json)
    if counts["not read"]:
        raise typer.Exit(EXIT_SOME_NOT_READ)


def _check(out: Path | None, values: bool) -> None:
    if out is not None and out.is_file():
        raise ConfigError(f"-o {out}: is a file; expected a folder", hint="e.g. -o maps/")
    if values and out is None:
        raise ConfigError("--values: no folder to write to", hint="add -o FOLDER")


def _methods(asked: list[str], *, evidence: bool) -> list[str]:
    from hilum.serve.explain.methods import METHODS

    every = list(METHODS) if evidence else ["occlusion"]
    for name in asked:
        if name != "all" and name not in METHODS:
            raise ConfigError(f"method '{name}' is not known", hint=did_you_mean(name, METHODS))
    named = [each for name in asked for each in (every if name == "all" else [name])]
    return list(dict.fromkeys(named))


def _place(reader: Reader, label: str | None) -> int:
    if label is None:
        return 0
    names = [str(each) for each in reader.labels]
    if label not in names:
        raise ConfigError(
            f"label '{label}': not in {reader.bundle.identity}", hint=did_you_mean(label, names)
        )
    return names.index(label)


def _reports(
    reader: Reader,
    examined: Iterable[Examined],
    films: list[Path],
    methods: list[str],
    place: int,
    out: Path | None,
    values: bool,
) -> Iterator[MapReport]:
    """Explain film after film; pictures are written as they are made."""
    from hilum.serve.explain.report import explain_film

    label = reader.labels[place]
    stems = Stems(out or Path(), [f".{label}.{method}.png" for method in methods])
    for one, film in zip(examined, films, strict=True):
        name = stems.of(film)
        for method in methods:
            yield explain_film(reader, one, method, place, folder=out, name=name, values=values)


def _print(reports: Iterable[MapReport], films: int, *, as_json: bool) -> Counter[str]:
    from hilum.core.reading import Status

    counts: Counter[str] = Counter()
    rows, not_read = [], set()
    for report in reports:
        counts[report.status] += 1
        if report.status is not Status.READ:
            not_read.add(report.path)
        if as_json:
            sys.stdout.write(json_text(report.model_dump_json()) + "\n")
            sys.stdout.flush()
        else:
            rows.append(report)
    counts["not read"] = len(not_read)
    if not as_json:
        _print_table(rows, films, len(not_read))
    return counts


def _print_table(reports: list[MapReport], films: int, not_read: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from hilum.core.reading import RESEARCH_USE

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("film", overflow="fold")
    for heading in ("method", "label", "score", "in lungs", "peak x, y", "time"):
        table.add_column(heading, no_wrap=True)
    shown, reasons = "", dict[str, str]()
    for report in reports:
        if report.score is None:
            reasons[report.path] = f"{report.path}: {report.status}: {report.reason}"
            continue
        name, shown = ("" if report.path == shown else Path(report.path).name), report.path
        table.add_row(escape(name), *map(escape, _cells(report)))
    console = Console(highlight=False)
    if len(reasons) < films:
        console.print(table)
    for reason in reasons.values():
        console.print(reason, markup=False, soft_wrap=True)
    written = sum(report.picture is not None for report in reports)
    console.print(
        f"\n{films} film{'' if films == 1 else 's'}, {not_read} not explained; "
        f"{written} picture{'' if written == 1 else 's'} written"
    )
    console.print(RESEARCH_USE, style="dim")


def _cells(report: MapReport) -> list[str]:
    share = "-" if report.in_lung_share is None else f"{report.in_lung_share:.0%}"
    peak = "-" if report.peak is None else f"{report.peak[0]:.0f}, {report.peak[1]:.0f}"
    forced = " (forced)" if report.forced else ""
    time = f"{report.elapsed_ms or 0:.0f} ms"
    return [report.method, report.label, f"{report.score or 0:.2f}{forced}", share, peak, time]


def _watched(reports: Iterator[MapReport], total: int) -> Iterator[MapReport]:
    """Show progress on stderr in runs over two seconds."""
    if total < _FEW or not sys.stderr.isatty():
        return reports
    from tqdm import tqdm

    return iter(tqdm(reports, total=total, unit="map", delay=2, mininterval=0.5))

"""``hilum explain``: maps of what the network used, over the film, with their numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.console import plain
from hilum.apps.cli.options import Bundle, Films, Force, Json, OneLabel, out_folder
from hilum.apps.cli.streams import print_json, stop_unheard
from hilum.core.config import check_label, did_you_mean
from hilum.core.errors import EXIT_SOME_NOT_READ, ConfigError
from hilum.core.files import Stems

if TYPE_CHECKING:
    from hilum.serve.explain import MapReport
    from hilum.serve.reader import Reader

_FEW = 4


def explain(
    paths: Films,
    bundle: Bundle = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="How: a name below, or 'all'; may be repeated."),
    ] = None,
    label: OneLabel = None,
    out: Annotated[
        Path | None, out_folder("Folder for the pictures, one a film and method.")
    ] = None,
    values: Annotated[
        bool,
        typer.Option("--values", help="Also write each map as float16 .npy at film size."),
    ] = False,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Show what the network used: a map over the film, a legend in its unit, its numbers.

    Methods: evidence (the network's own arithmetic, exact), evidence-shifted
    (the same on a finer grid, 16 inferences), occlusion (any network, a hundred
    inferences). The default is evidence, and occlusion for a network that has
    none; docs/explanation/maps.md says why, and how well each points at what
    radiologists marked. The label is the bundle's first, unless named.

    A map shows what moved this network's answer, not where disease is. A film
    that the gate refuses gets no map without --force. Into the folder go
    NAME.LABEL.METHOD.png; --json prints one object a film and method, a line
    each. Exit code 0: all explained; 3: some films were not.

    \b
    Example:
      hilum explain film.dcm -o maps/
      hilum explain film.dcm -b runs/mine/bundle -m all -o maps/
    """
    from hilum.bundle.folder import is_built_in
    from hilum.bundle.manifest import MANIFEST
    from hilum.serve.explain import DEFAULT_METHOD, METHODS, WITHOUT_EVIDENCE
    from hilum.serve.inputs import find_films
    from hilum.serve.reader import load_bundle

    if out is not None and out.is_file():
        raise ConfigError(f"-o {out}: is a file; expected a folder", hint="e.g. -o maps/")
    if values and out is None:
        raise ConfigError("--values: no folder to write to", hint="add -o FOLDER")
    if is_built_in(Path(paths[0])) or (Path(paths[0]) / MANIFEST).is_file():
        raise typer.BadParameter(f"a bundle is named by -b: hilum explain FILE... -b {paths[0]}")
    films = find_films(paths)
    reader = load_bundle(bundle)
    evidence = reader.bundle.manifest.evidence
    every = list(METHODS) if evidence else [WITHOUT_EVIDENCE]
    asked = method or [DEFAULT_METHOD if evidence else WITHOUT_EVIDENCE]
    for name in asked:
        if name not in METHODS and name != "all":
            raise ConfigError(f"method '{name}' is not known", hint=did_you_mean(name, METHODS))
    named = [each for name in asked for each in (every if name == "all" else [name])]
    methods = list(dict.fromkeys(named))
    labels = [str(each) for each in reader.labels]
    if label is not None:
        check_label(label, labels, reader.bundle.identity)
    place = 0 if label is None else labels.index(label)
    stems = Stems(out or Path(), [f".{labels[place]}.{each}.png" for each in methods])
    if out is None:
        stop_unheard()
    else:
        stems.check(films)
    reports = _reports(reader, films, methods, place, out, stems, force=force, values=values)
    total = len(films) * len(methods)
    if total >= _FEW and sys.stderr.isatty():
        from tqdm import tqdm

        reports = iter(tqdm(reports, total=total, unit="map", delay=2, mininterval=0.5))
    kept, not_explained = [], set()
    for report in reports:
        if report.score is None:
            not_explained.add(report.path)
        if as_json:
            print_json(report)
            sys.stdout.flush()
        else:
            kept.append(report)
    if not as_json:
        print_maps(kept, len(films), len(not_explained))
    if not_explained:
        raise typer.Exit(EXIT_SOME_NOT_READ)


def _reports(
    reader: Reader,
    films: list[Path],
    methods: list[str],
    place: int,
    out: Path | None,
    stems: Stems,
    *,
    force: bool,
    values: bool,
) -> Iterator[MapReport]:
    """Explain film after film; pictures are written as they are made."""
    from hilum.serve.explain import explain_film

    examined = reader.examine(films, keep=True, force=force, batch_size=1)
    for one, film in zip(examined, films, strict=True):
        name = stems.of(film)
        for method in methods:
            yield explain_film(reader, one, method, place, folder=out, name=name, values=values)


def print_maps(reports: list[MapReport], films: int, not_explained: int) -> None:
    """Print one row a map, the reasons of films without one, and how many there were."""
    from rich.table import Table

    from hilum.core.reading import RESEARCH_USE
    from hilum.core.words import words
    from hilum.serve.explain import said_of_map

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("film", overflow="fold")
    for heading in ("method", "label", "score", "in lungs", "peak x, y", "time"):
        table.add_column(heading, no_wrap=True)
    shown, reasons = "", dict[str, str]()
    for report in reports:
        if report.score is None:
            reasons[report.path] = f"{report.path}: {report.status}: {report.reason}"
            continue
        name, shown = ("" if report.path == shown else report.path), report.path
        said = said_of_map(report)
        score = f"{said.score} ({words()['outcome.forced']})" if report.forced else said.score
        cells = (score, said.inside, said.peak, said.time)
        table.add_row(name, report.method, report.label, *cells)
    console = plain()
    if len(reasons) < films:
        console.print(table)
    for reason in reasons.values():
        console.print(reason, soft_wrap=True)
    written = sum(report.picture is not None for report in reports)
    console.print(
        f"\n{films} film{'' if films == 1 else 's'}, {not_explained} not explained; "
        f"{written} picture{'' if written == 1 else 's'} written"
    )
    console.print(RESEARCH_USE, style="dim")

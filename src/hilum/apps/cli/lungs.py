"""``hilum lungs``: where the lungs of a film lie; contours, masks, numbers."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from hilum.apps.cli.places import out_path
from hilum.apps.cli.streams import json_text
from hilum.core.errors import EXIT_SOME_NOT_READ, ConfigError
from hilum.core.files import Stems

if TYPE_CHECKING:
    from hilum.serve.lungs import LungReport

_FEW = 10


class Job(NamedTuple):
    """A film, and the files to write of it."""

    film: Path
    picture: Path | None
    mask: Path | None


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.command("lungs", rich_help_panel=panel)(lungs)


def lungs(
    paths: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Films, folders or 'patterns/**/*.png'.")
    ],
    out: Annotated[
        Path | None, out_path("Draw the contours: a PNG, or a folder for many films.")
    ] = None,
    mask: Annotated[
        Path | None,
        out_path("Write the mask at film size, 8 bits, 255 inside: a PNG, or a folder.", "--mask"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, in input order.")
    ] = False,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", "-b", help="Bundle folder; default: the built-in.")
    ] = None,
) -> None:
    """Find the lungs: contours over the film, a mask of its size, area and boxes in pixels.

    The network is that of the bundle; hilum read cuts films and judges their
    field of view by the same one. It includes the lung behind heart and
    diaphragm only as far as the films that it learned from did: the outline
    is where lungs lie, no measurement of their volume. Into a folder go
    NAME.lungs.png and NAME.mask.png. Exit code 0: lungs on every film; 3: not
    on all, or not all opened.

    [bold]Example:[/bold] hilum lungs film.dcm -o contours.png --mask mask.png
    """
    from hilum.bundle.folder import open_bundle
    from hilum.bundle.lungs import LungSegmenter
    from hilum.core.machine import cores
    from hilum.serve.inputs import find_films
    from hilum.serve.lungs import find_lungs
    from hilum.serve.prefetch import prefetch

    jobs = _jobs(find_films(paths), out, mask)
    segmenter = LungSegmenter(open_bundle(bundle).root, threads=1)
    reports = prefetch(
        lambda job: find_lungs(job.film, segmenter, picture=job.picture, mask=job.mask),
        jobs,
        workers=cores(),
        ahead=4 * cores(),
    )
    counts = _print(_watched(reports, len(jobs)), as_json=as_json)
    if counts["found"] < len(jobs):
        raise typer.Exit(EXIT_SOME_NOT_READ)


def _jobs(films: list[Path], out: Path | None, mask: Path | None) -> list[Job]:
    """Say which file each film's picture and mask go to; refuse to write over a film."""
    pictures = _targets(films, out, "-o", "lungs")
    masks = _targets(films, mask, "--mask", "mask")
    originals = {film.resolve() for film in films}
    for target in (*pictures, *masks):
        if target is not None and target.resolve() in originals:
            raise ConfigError(f"{target}: is one of the films", hint="name another file")
    if out is not None and out == mask and out.suffix.lower() == ".png":
        raise ConfigError(f"{out}: named for both contours and mask", hint="name two files")
    return [Job(*three) for three in zip(films, pictures, masks, strict=True)]


def _targets(films: list[Path], named: Path | None, option: str, kind: str) -> list[Path | None]:
    if named is None:
        return [None] * len(films)
    if named.suffix.lower() == ".png" and not named.is_dir():
        if len(films) > 1:
            raise ConfigError(
                f"{option} {named}: one PNG for {len(films)} films", hint="name a folder instead"
            )
        return [named]
    if named.is_file() or (named.suffix and not named.is_dir()):
        raise ConfigError(
            f"{option} {named}: expected a name ending in .png, or a folder",
            hint=f"e.g. {option} {named.stem}.png",
        )
    stems = Stems(named, [f".{kind}.png"])
    return [named / f"{stems.of(film)}.{kind}.png" for film in films]


def _print(reports: Iterable[LungReport], *, as_json: bool) -> Counter[str]:
    counts: Counter[str] = Counter()
    rows = []
    for report in reports:
        counts[report.status] += 1
        if as_json:
            sys.stdout.write(json_text(report.model_dump_json()) + "\n")
            sys.stdout.flush()
        else:
            rows.append(report)
    if not as_json:
        _print_table(rows, counts)
    return counts


def _print_table(reports: list[LungReport], counts: Counter[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from hilum.core.reading import RESEARCH_USE

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("film", overflow="fold")
    for heading in ("status", "area", "regions", "box: left, top, width, height"):
        table.add_column(heading)
    for report in reports:
        if report.box is None:
            table.add_row(escape(report.path), report.status, "-", "-", escape(report.reason or ""))
        else:
            box = ", ".join(str(value) for value in report.box)
            area, parts = f"{report.area:.1%}", str(len(report.parts))
            table.add_row(escape(report.path), report.status, area, parts, box)
    console = Console(highlight=False)
    console.print(table)
    words = ", ".join(f"{number} {status}" for status, number in counts.items())
    console.print(f"\n{len(reports)} film{'' if len(reports) == 1 else 's'}: {words}")
    console.print(RESEARCH_USE, style="dim")


def _watched(reports: Iterator[LungReport], total: int) -> Iterator[LungReport]:
    """Show progress on stderr in runs over two seconds."""
    if total < _FEW:
        return reports
    from tqdm import tqdm

    every_s = 0.5 if sys.stderr.isatty() else 10
    return iter(tqdm(reports, total=total, unit="film", delay=2, mininterval=every_s))

"""``hilum similar``: the films of a bundle's training that lie nearest to a film."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.places import out_file
from hilum.core.errors import EXIT_SOME_NOT_READ

if TYPE_CHECKING:
    from pandas import DataFrame

    from hilum.serve.reader import Reader
    from hilum.serve.similar import Alike


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.command("similar", rich_help_panel=panel)(similar)


def similar(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="Bundle folder, or 'default' for the built-in.")
    ],
    film: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The film.")] = None,
    cases: Annotated[
        Path | None,
        typer.Option(help="Cases table: names the film's patient, and where neighbors lie."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many films.")] = 5,
    out: Annotated[
        Path | None, out_file("Draw film and neighbors (PNG); with --fit: the index.")
    ] = None,
    index: Annotated[
        Path | None, typer.Option(help="Look here instead of in the bundle (made by --fit).")
    ] = None,
    all_films: Annotated[
        bool, typer.Option("--all-films", help="Show several films of one patient.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Place a film all the same that the gate refuses.")
    ] = False,
    fit: Annotated[
        Path | None, typer.Option(metavar="SPLIT.csv", help="Make an index of its train films.")
    ] = None,
    table: Annotated[
        Path | None, out_file("With --fit: write what was measured as CSV.", "--table")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="With --fit: whose agreement is measured.")
    ] = None,
    max_films: Annotated[
        int, typer.Option(min=0, help="With --fit: most films, spread over collections; 0: all.")
    ] = 0,
    bootstrap: Annotated[int, typer.Option(min=0, help="With --fit: resamples.")] = 1000,
    seed: Annotated[int, typer.Option(help="With --fit: of every random draw.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find the films of a bundle's training that lie nearest to a film in feature space.

    A bundle carries where its training films lie, what is known of them and a
    look of 24 x 24 numbers that tells copies, not their pictures. Distance: 0
    the same film, about 1 nothing in common, 2 the opposite. One film a
    patient is shown; with --cases, films of the same patient as FILE are left
    out, and -o draws the neighbors that the table finds. To look alike to a
    network is no diagnosis: how often neighbors share their label is measured
    in docs/results/similar.csv. Exit code 3: the film was not read.

    [bold]Example:[/bold] hilum similar default film.png --cases split.csv -o alike.png

    [bold]Example:[/bold] hilum similar our-bundle --fit split.csv -o similar.npz
    """
    _check_usage(film, fit, out)
    from hilum.serve.reader import load_bundle

    reader = load_bundle(bundle)
    if fit is not None and out is not None:
        _fit(reader, fit, out, table, label, max_films, bootstrap, seed, as_json)
        return
    from hilum.serve.similar import find_similar, open_neighbors

    film = Path(str(film))
    rows = _rows(cases)
    found = find_similar(
        reader,
        open_neighbors(reader, index),
        film,
        k,
        per_patient=None if all_films else 1,
        not_of=_relatives(film, rows),
        force=force,
    )
    _say(reader, film, found, as_json)
    if out is not None and found.similar:
        _draw(reader, film, found, rows, out)
    if not found.similar:
        raise typer.Exit(EXIT_SOME_NOT_READ)


def _check_usage(film: Path | None, fit: Path | None, out: Path | None) -> None:
    if (film is None) == (fit is None):
        raise typer.BadParameter("expected a FILE, or --fit SPLIT.csv")
    if fit is not None and out is None:
        raise typer.BadParameter("--fit needs -o similar.npz")


def _fit(
    reader: Reader,
    cases: Path,
    out: Path,
    table: Path | None,
    label: str | None,
    max_films: int,
    folds: int,
    seed: int,
    as_json: bool,
) -> None:
    from hilum.core.extras import require

    require("evaluate")
    import json

    from hilum.data.table import read_cases
    from hilum.serve.featuremap.index import fit_similar

    index, measured = fit_similar(
        reader,
        read_cases(cases),
        out,
        table=table,
        label=label,
        max_films=max_films,
        folds=folds,
        seed=seed,
    )
    films, axes, size = len(index.case_id), len(index.axes), out.stat().st_size
    if as_json:
        rows = [json.loads(one.model_dump_json()) for one in measured]
        typer.echo(json.dumps({"films": films, "axes": axes, "bytes": size, "measured": rows}))
        return
    typer.echo(f"{out}: {films} films, {axes} axes, {size / 1000:.0f} kB, no pictures")
    for one in measured:
        typer.echo(f"  {one.distance}, {one.where}: neighbors share their label {one.label}")


def _rows(cases: Path | None) -> DataFrame | None:
    if cases is None:
        return None
    from hilum.data.table import read_cases

    return read_cases(cases)


def _relatives(film: Path, rows: DataFrame | None) -> list[str]:
    """The case_ids of the film's patient, the film among them, if the table has it."""
    if rows is None:
        return []
    from hilum.core.case import owner_of

    owner, here = owner_of(rows), rows["path"] == str(film.resolve())
    if not here.any():
        typer.echo(f"{film}: not in the table, so its own patient may be among the films", err=True)
    return list(rows.loc[owner.isin(owner[here]), "case_id"])


def _draw(reader: Reader, film: Path, found: Alike, rows: DataFrame | None, out: Path) -> None:
    from hilum.image.write import write_png
    from hilum.serve.similar import draw_similar

    paths = {} if rows is None else dict(zip(rows["case_id"], rows["path"], strict=True))
    write_png(out, draw_similar(film, found.similar, paths, reader.labels))


def _say(reader: Reader, film: Path, found: Alike, as_json: bool) -> None:
    from hilum.core.reading import RESEARCH_USE
    from hilum.serve.film import printable

    if as_json:
        import json

        values = {
            "path": printable(film),
            "status": found.status,
            "reason": found.reason or None,
            "hint": found.hint or None,
            "forced": found.forced,
            "similar": [one.model_dump(mode="json") for one in found.similar],
            "bundle": reader.bundle.identity,
            "notice": RESEARCH_USE,
        }
        typer.echo(json.dumps(values, allow_nan=False))
        return
    from rich.console import Console
    from rich.table import Table

    from hilum.serve.similar import known_of

    console = Console(highlight=False)
    if found.reason:
        how = "placed all the same" if found.forced else "not read"
        console.print(f"{printable(film)}: {how}: {found.reason}", markup=False, soft_wrap=True)
    if found.similar:
        table = Table(title=f"Like {film.name}")
        for column in ("distance", "film", "reference standard"):
            table.add_column(column, overflow="fold")
        for one in found.similar:
            known = ", ".join(known_of(one, reader.labels))
            table.add_row(f"{one.distance:.3f}", one.case_id, known or "unknown")
        console.print(table)
    console.print(f"{reader.bundle.identity}. {RESEARCH_USE}", markup=False)

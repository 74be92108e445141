"""``hilum map``: films where a network sees them, as an interactive page, with numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.console import plain
from hilum.apps.cli.options import (
    AllowSeen,
    Bootstrap,
    Bundle,
    CasesTable,
    Json,
    MaxFilms,
    OneLabel,
    OperatingPoint,
    Seed,
    Split,
    out_file,
)
from hilum.apps.cli.streams import print_json
from hilum.core.command import command_line

if TYPE_CHECKING:
    from hilum.serve.featuremap.run import MapFacts


def feature_map(
    cases: CasesTable,
    bundle: Bundle = None,
    out: Annotated[Path | None, out_file("Write the page to this file.")] = None,
    projection: Annotated[
        str, typer.Option(help="tsne, pca, or umap (if umap-learn is installed).")
    ] = "tsne",
    split: Split = "test",
    label: OneLabel = None,
    operating_point: OperatingPoint = None,
    max_films: MaxFilms = 3000,
    thumbnails: Annotated[
        bool, typer.Option(help="Put a small picture of each film into the page.")
    ] = True,
    png: Annotated[
        Path | None, out_file("Draw the map to this PNG too; it holds no film.", "--png")
    ] = None,
    numbers: Annotated[
        Path | None, out_file("Write what was measured as CSV.", "--numbers")
    ] = None,
    bootstrap: Bootstrap = 1000,
    seed: Seed = 0,
    allow_seen: AllowSeen = False,
    as_json: Json = False,
) -> None:
    """Draw the films of a table where a network sees them.

    Films are opened as hilum read opens them, embedded by the network and
    brought to two dimensions. The page needs no other file and no network:
    point at a film for its picture, score and reference standard; color by
    reference standard, right or wrong, source, view, sex or split. It holds
    small pictures of the films unless --no-thumbnails is given: treat it as
    you treat them. Beside the map stands how far to believe it, and how well
    the source of a film can be read from it. --json prints every number, and
    how the map was made.

    \b
    Example:
      hilum map split.csv -o map.html --png map.png
      hilum map cases.csv -b our-bundle --split all --allow-seen --json
    """
    if out is None and png is None and numbers is None and not as_json:
        raise typer.BadParameter("nothing to write: give -o map.html, --png, --numbers or --json")
    from hilum.core.extras import require

    require("evaluate")
    from hilum.data.table import read_cases
    from hilum.serve.featuremap.picture import write_page, write_picture
    from hilum.serve.featuremap.run import make_map, write_numbers
    from hilum.serve.reader import load_bundle

    found = make_map(
        load_bundle(bundle),
        read_cases(cases),
        method=projection,
        split=None if split == "all" else split,
        label=label,
        operating_point=operating_point,
        max_films=max_films,
        thumbnails=thumbnails and out is not None,
        folds=bootstrap,
        seed=seed,
        allow_seen=allow_seen,
        name=cases.name,
        command=command_line(),
    )
    if out is not None:
        write_page(found, out)
    if png is not None:
        write_picture(found, png)
    if numbers is not None:
        write_numbers(found.facts, numbers)
    if as_json:
        print_json(found.facts)
        return
    _say(found.facts, [path for path in (out, png, numbers) if path is not None])


def _say(facts: MapFacts, written: list[Path]) -> None:
    from rich.table import Table

    console = plain()
    table = Table(title=f"{facts.films} films of {facts.patients} patients, by {facts.method}")
    for column in ("what", "among", "from", "by", "value (chance)"):
        table.add_column(column, overflow="fold")
    for one in facts.measured:
        value = str(one.value) if one.chance is not None else f"{one.value.value:.3f}"
        chance = f" ({one.chance:g})" if one.chance is not None else ""
        what = f"AUROC of {one.what}" if one.chance is not None else one.what
        table.add_row(what, one.where, one.space, one.how, value + chance)
    console.print(table)
    if facts.not_read:
        console.print(f"{len(facts.not_read)} films were not read and are not on the map.")
    if facts.seen:
        console.print(f"Training films: {facts.seen.said}.")
    for path in written:
        console.print(f"Written: {path}", soft_wrap=True)
    console.print(facts.notice)

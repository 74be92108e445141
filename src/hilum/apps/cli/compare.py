"""``hilum compare``: variants of a recipe, each judged on collections that it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.console import plain
from hilum.apps.cli.options import (
    Bootstrap,
    Data,
    Device,
    Json,
    Only,
    Settings,
    Where,
    out_folder,
)
from hilum.apps.cli.streams import print_json, tell

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from hilum.learn.compare.comparison import Comparison
    from hilum.learn.compare.judge import Row


def compare(
    grid: Annotated[Path, typer.Argument(metavar="GRID.toml", help="Recipe, variants, left out.")],
    out: Annotated[Path, out_folder("Folder of the comparison.")],
    data: Data = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs side by side, one thread each. Default: one a core."),
    ] = None,
    only: Only = None,
    settings: Settings = None,
    table_only: Annotated[
        bool, typer.Option("--table-only", help="Train nothing; judge the runs that are finished.")
    ] = False,
    bootstrap: Bootstrap = 1000,
    device: Where = Device.AUTO,
    as_json: Json = False,
) -> None:
    """Train variants of a recipe with collections left out, and compare them there.

    A network that scores well on the collections it was trained on may have learned to tell them
    apart. So each variant is trained once for each entry of leave_out, without those films, their
    patients and their copies elsewhere, and judged on them: AUROC, sensitivity and false
    positives with intervals, beside twelve numbers that say nothing of the lungs, and the paired
    difference to the first variant. Runs that are finished are not done again: the same command
    goes on after Ctrl-C or a kill. --only names variants, --set changes all of them; --json prints
    table.json.

    \b
    Example:
      hilum compare recipes/leave-one-source-out.toml --data ../shared/data -o out/loso
      hilum compare recipes/ablation.toml --data ../shared/data -o out/ablation --only "whole film"
      hilum compare recipes/ablation.toml --data ../shared/data -o out/ablation --table-only
    """
    from hilum.core.extras import require

    require("train")
    require("evaluate")
    from hilum.apps.training import data_root
    from hilum.core.machine import cores
    from hilum.learn.compare.comparison import plan, summarize, train
    from hilum.learn.compare.write import (
        OUT_OF_SOURCE,
        UNSEEN,
        write_comparison,
        write_out_of_source,
        write_unseen,
    )

    made = plan(grid, out, root=data_root(data), changes=settings or [], only=only or [], tell=tell)
    failed = {} if table_only else train(made, jobs=jobs or cores(), device=device.value, tell=tell)
    comparison, answers = summarize(made, folds=bootstrap, failed=failed)
    write_comparison(comparison, out)
    for variant in made.variants:
        file = f"{variant.slug}.csv"
        write_out_of_source(answers[variant.name], out / OUT_OF_SOURCE / file)
        write_unseen(answers[variant.name], out / UNSEEN / file)
    if as_json:
        print_json(comparison, indent=2)
    else:
        _print(comparison, out)
    _raise_on_failures(failed)


def _print(comparison: Comparison, out: Path) -> None:
    from hilum.learn.compare.write import by_label

    console = plain()
    for label, rows in by_label(comparison).items():
        console.print(_table(label, rows))
    for gap in comparison.gaps:
        console.print(
            f"{gap.variant}, {gap.label}: cross-validation {gap.pooled.cell(3, '')}, "
            f"source left out {gap.left_out.cell(3, '')}, gap {gap.gap.cell(3, '')}"
        )
    if comparison.unfinished:
        console.print(f"{len(comparison.unfinished)} runs are not finished.")
    for note in comparison.notes:
        console.print(note, style="dim")
    console.print(
        f"{out}: table.csv, table.md, table.json, out-of-source/", style="dim", soft_wrap=True
    )


def _table(label: str, rows: list[Row]) -> Table:
    """Show one label: a line with the numbers, and one with their intervals."""
    from rich import box
    from rich.table import Table

    from hilum.learn.compare.write import HEADINGS, cells

    table = Table(title=label, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    last = None
    for row in rows:
        left_out, *rest = cells(row)
        if last not in (None, left_out):
            table.add_section()
        table.add_row(left_out if left_out != last else "", *map(_below, rest))
        last = left_out
    return table


def _below(cell: str) -> Text:
    """Put an interval below its number."""
    from rich.text import Text

    number, bracket, interval = cell.partition(" [")
    return Text(number).append("\n[" + interval if bracket else "", "dim")


def _raise_on_failures(failed: dict[str, str]) -> None:
    from hilum.core.errors import TrainingError

    if failed:
        title, reason = next(iter(failed.items()))
        raise TrainingError(
            f"{len(failed)} runs failed; the first: {title}: {reason}",
            hint="the others are finished and in the table; the same command tries again",
        )

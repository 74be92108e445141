"""Tables and words of ``hilum cohort`` for people; JSON is made beside each command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from hilum.data.catalog import Entry
    from hilum.data.cohort import Cohort

_SHOWN = 5


def print_catalog(entries: Sequence[Entry]) -> None:
    """Print the catalog, two lines a collection."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Collections", title_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("films", justify="right")
    table.add_column("fetch", no_wrap=True)
    table.add_column("what it is, licence, size")
    for entry in entries:
        can = "yes" if entry.remotes else "by hand"
        words = f"{entry.what}\n[dim]{entry.licence}; {entry.size}[/dim]"
        table.add_row(entry.name, f"{entry.films:,}", can, words)
    console = Console()
    console.print(table)
    console.print("Your own: adapters csv and folders. Citation and address: cohort list NAME.")


def print_entry(entry: Entry, *, to_stderr: bool = False) -> None:
    """Print all that is known of one collection."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=entry.name, title_justify="left", show_header=False)
    rows = {
        "what": entry.what,
        "films": f"{entry.films:,}",
        "size": entry.size,
        "licence": entry.licence,
        "cite": entry.citation,
        "address": entry.address,
        "to get it": entry.how or f"hilum cohort fetch {entry.name} -o FOLDER",
        "files": "\n".join(remote.url for remote in entry.remotes),
    }
    for key, text in rows.items():
        if text:
            table.add_row(key, text)
    Console(stderr=to_stderr).print(table)


def print_summary(cohort: Cohort, out: Path | None) -> None:
    """Print what was read, and what was odd."""
    from rich.console import Console

    console = Console()
    report = cohort.report
    console.print(
        f"[bold]{cohort.name}[/bold]: {cohort.films} films of {cohort.patients} patients, "
        f"{cohort.cases['source'].nunique()} sources, {report.rows} rows",
        highlight=False,
    )
    _print_labels(cohort.cases, console)
    kinds = {
        "rows whose image is missing": report.missing,
        "rows whose image may be one of several": report.ambiguous,
        "folders that were not entered": report.passed_over,
        "names resolved": report.resolved,
        "images without a row": report.without_row,
        "left out": report.skipped,
    }
    for kind, texts in kinds.items():
        console.print(f"{kind}: {len(texts)}{_some(texts)}", highlight=False, markup=False)
    for note in report.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    if out is not None:
        console.print(f"written: {out}", highlight=False, markup=False)


def _print_labels(cases: pd.DataFrame, console: Any) -> None:
    from rich.table import Table

    from hilum.data.cohort import label_counts

    table = Table()
    for title in ("label", "1", "0", "unknown"):
        table.add_column(title, justify="left" if title == "label" else "right")
    for name, count in label_counts(cases).items():
        table.add_row(name, *map(str, count))
    console.print(table)


def _some(texts: Sequence[str]) -> str:
    if not texts:
        return ""
    more = ", ..." if len(texts) > _SHOWN else ""
    return f" ({', '.join(texts[:_SHOWN])}{more})"


def print_merged(cases: pd.DataFrame, out: Path) -> None:
    """Print films and patients by cohort, and the labels."""
    from rich.console import Console
    from rich.table import Table

    from hilum.core.case import owner_of

    console, owner = Console(), owner_of(cases)
    table = Table()
    for title in ("cohort", "films", "patients"):
        table.add_column(title, justify="left" if title == "cohort" else "right")
    for cohort, part in cases.groupby("cohort", sort=False):
        table.add_row(str(cohort), str(len(part)), str(owner[part.index].nunique()))
    table.add_row("all", str(len(cases)), str(owner.nunique()), style="bold")
    console.print(table)
    _print_labels(cases, console)
    console.print(f"written: {out}", highlight=False, markup=False)


def print_check(found: dict[str, Any], leaks: Sequence[str]) -> None:
    """Print what a check found, each leak with both cases."""
    say = typer.echo
    say(
        f"{found['table']}: every value is valid; {found['films']} films, "
        f"{found['patients']} patients"
    )
    if found["missing"]:
        say(f"images that are not there: {found['missing']} (not compared)")
    looked = "not looked for" if found["duplicates"] is None else found["duplicates"]
    say(f"duplicate pairs: {looked}")
    if not found["divided"]:
        say("no column split or fold: no sides to compare")
    else:
        say(f"leaks: {len(leaks)}")
    for leak in leaks:
        say(f"  {leak}")

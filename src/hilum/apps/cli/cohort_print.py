"""What ``hilum cohort`` prints for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hilum.apps.cli.console import plain

if TYPE_CHECKING:
    from hilum.data.catalog import CatalogEntry
    from hilum.data.cohort import Cohort
    from hilum.data.split import SplitRecord

_SHOWN = 5


def print_catalog(entries: Sequence[CatalogEntry]) -> None:
    """Print the catalog, two lines a collection."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Collections", title_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("films", justify="right")
    table.add_column("fetch", no_wrap=True)
    table.add_column("what it is, licence, size")
    for entry in entries:
        can = "yes" if entry.remotes else "by hand"
        words = Text(entry.what).append(f"\n{entry.licence}; {entry.size}", "dim")
        table.add_row(entry.name, f"{entry.films:,}", can, words)
    console = plain()
    console.print(table)
    console.print(
        "Citation and address: cohort list NAME. Your own films: cohort read csv or folders."
    )


def print_entry(entry: CatalogEntry, *, to_stderr: bool = False) -> None:
    """Print all that is known of one collection."""
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
    plain(err=to_stderr).print(table)


def print_summary(cohort: Cohort, out: Path | None) -> None:
    """Print what was read, and what was odd."""
    from rich.text import Text

    console = plain()
    report = cohort.report
    console.print(
        Text(cohort.name, "bold"),
        f": {cohort.films} films of {cohort.patients} patients, "
        f"{cohort.cases['source'].nunique()} sources, {report.rows} rows",
        sep="",
    )
    _print_labels(cohort.label_counts(), console)
    kinds = {
        "rows whose image is missing": report.missing,
        "rows whose image may be one of several": report.ambiguous,
        "folders that were not entered": report.passed_over,
        "names resolved": report.resolved,
        "images without a row": report.without_row,
        "left out": report.skipped,
    }
    for kind, texts in kinds.items():
        console.print(f"{kind}: {len(texts)}{_some(texts)}")
    for note in report.notes:
        console.print(f"note: {note}")
    if out is not None:
        console.print(f"written: {out}", soft_wrap=True)


def _print_labels(labels: Mapping[str, Iterable[int]], console: Any) -> None:
    from rich.table import Table

    table = Table()
    for title in ("label", "1", "0", "unknown"):
        table.add_column(title, justify="left" if title == "label" else "right")
    for name, count in labels.items():
        table.add_row(name, *map(str, count))
    console.print(table)


def _some(texts: Sequence[str]) -> str:
    if not texts:
        return ""
    more = ", ..." if len(texts) > _SHOWN else ""
    return f" ({', '.join(texts[:_SHOWN])}{more})"


def print_merged(found: dict[str, Any]) -> None:
    """Print films and patients by cohort, and the labels."""
    from rich.table import Table

    console = plain()
    table = Table()
    for title in ("cohort", "films", "patients"):
        table.add_column(title, justify="left" if title == "cohort" else "right")
    for cohort, part in found["cohorts"].items():
        table.add_row(cohort, str(part["films"]), str(part["patients"]))
    table.add_row("all", str(found["films"]), str(found["patients"]), style="bold")
    console.print(table)
    _print_labels({name: count.values() for name, count in found["labels"].items()}, console)
    console.print(f"written: {found['out']}", soft_wrap=True)


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


def print_split(record: SplitRecord, out: Path, beside: Path) -> None:
    """Print how many films of each cohort and class lie on each side."""
    from rich.table import Table

    sides = sorted({row["side"] for row in record.counts}, key=_order)
    shown = Table(title=f"{record.films} films in {record.groups} groups")
    shown.add_column("cohort")
    shown.add_column(str(record.spec.label.value if record.spec.label else "films"))
    for side in sides:
        shown.add_column(_head(side), justify="right")
    cells = {(row["cohort"], row["label"], row["side"]): row["films"] for row in record.counts}
    for cohort, value in sorted({(row["cohort"], row["label"]) for row in record.counts}):
        films = [cells.get((cohort, value, side), 0) for side in sides]
        shown.add_row(cohort, value, *(str(count) if count else "-" for count in films))
    shown.add_section()
    totals = [sum(count for (_, _, at), count in cells.items() if at == side) for side in sides]
    shown.add_row("all", "", *map(str, totals))
    console = plain()
    console.print(shown)
    for fold, name in record.fold_names.items():
        console.print(f"fold {fold} leaves out {name}")
    if record.duplicate_pairs is not None:
        console.print(f"{record.duplicate_pairs} pairs of duplicate films linked their patients")
    console.print(f"wrote {out} and {beside}", soft_wrap=True)


def _order(side: str) -> tuple[bool, int, str]:
    """Sort train, val, test; folds by number; films on no side last."""
    known = ("train", "val", "test")
    return side == "", known.index(side) if side in known else int(side or 0), side


def _head(side: str) -> str:
    if side == "":
        return "on no side"
    return f"fold {side}" if side.isdigit() else side

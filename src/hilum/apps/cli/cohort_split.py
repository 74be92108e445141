"""``hilum cohort split``: divide a cases table, groups together, strata in proportion."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.apps.cli.options import CasesTable, Duplicates, Json, Pairs, Seed, out_file
from hilum.apps.cli.streams import print_json
from hilum.core.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from hilum.data.split import SplitSpec
    from hilum.data.splitfile import SplitRecord


def split(
    cases: CasesTable,
    out: Annotated[Path, out_file("CSV to write; .json goes beside it.")],
    fractions: Annotated[
        str | None,
        typer.Option(help="Parts for train, val and test, e.g. 70,15,15 (the default)."),
    ] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="How many folds.")] = None,
    leave_one_out: Annotated[
        str | None,
        typer.Option(help="Make one fold for each 'cohort' or each 'source' instead."),
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option(help="With --leave-one-out: this one is test, the others train and val."),
    ] = None,
    stratify: Annotated[
        str, typer.Option(help="Label to keep in proportion within each source, or 'none'.")
    ] = "covid-19",
    seed: Seed = 0,
    duplicates: Duplicates = True,
    pairs: Pairs = None,
    as_json: Json = False,
) -> None:
    """Divide a cases table into train, val and test, into folds, or by source.

    Every film is opened and its copies are found, whatever was done to
    them: crop, resize, contrast, inversion, burned-in text. Patients whom
    a copy links are one group, and no group stands on two sides. Labels
    keep their proportion within each source; the same seed and cases give the
    same split. The result is the table with
    the columns [bold]group[/bold] and [bold]split[/bold] (or
    [bold]fold[/bold]); beside it lie how it was made (.json) and the copies
    that were found (.pairs.csv). With --leave-one-out, a film whose patient
    also stands in another source is on no side: its cell is blank.

    \b
    Example:
      hilum cohort split cases.csv -o split.csv --fractions 70,15,15
      hilum cohort split cases.csv -o external.csv --pairs split.pairs.csv \\
        --leave-one-out cohort --held-out shenzhen
    """
    from hilum.data.duplicates import link_groups
    from hilum.data.leaks import check_leaks, raise_on_leak
    from hilum.data.split import make_split
    from hilum.data.splitfile import record_split, write_split
    from hilum.data.table import read_cases

    spec = _spec(fractions, folds, leave_one_out, held_out, stratify, seed)
    table = read_cases(cases)
    with _notes():
        found = _pairs(table, pairs, duplicates, out)
        linked = table if found is None else link_groups(table, found)
        divided = make_split(linked, spec)
    raise_on_leak(check_leaks(divided, found))
    record = record_split(divided, spec, found)
    beside = write_split(divided, record, out)
    if as_json:
        print_json(record)
    else:
        _show(record, out, beside)


def _spec(
    fractions: str | None,
    folds: int | None,
    leave_one_out: str | None,
    held_out: str | None,
    label: str,
    seed: int,
) -> SplitSpec:
    from hilum.data.split import SplitSpec

    if folds is not None and leave_one_out is not None:
        raise ConfigError("--folds and --leave-one-out are two kinds of split", hint="choose one")
    if held_out is not None and leave_one_out is None:
        raise ConfigError(
            f"--held-out {held_out}: of what?", hint="add --leave-one-out cohort (or source)"
        )
    if fractions is not None and (folds is not None or (leave_one_out and held_out is None)):
        raise ConfigError("--fractions has no meaning for folds", hint="leave it out")
    values: dict[str, Any] = {"seed": seed, "label": None if label == "none" else label}
    if fractions is not None:
        values["fractions"] = _parts(fractions)
    if folds is not None:
        values |= {"kind": "folds", "folds": folds}
    if leave_one_out is not None:
        values |= {"kind": "leave-one-out", "by": leave_one_out, "held_out": held_out}
    return SplitSpec.parse(values, where="hilum cohort split")


def _parts(text: str) -> tuple[float, ...]:
    """Read "70,15,15" or "0.7,0.15,0.15" as parts of 1."""
    try:
        parts = [float(part) for part in text.split(",")]
    except ValueError:
        parts = []
    if len(parts) != 3 or sum(parts) <= 0:
        raise ConfigError(
            f"--fractions {text}: expected three numbers, for train, val and test",
            hint="e.g. --fractions 70,15,15",
        )
    return tuple(part / sum(parts) for part in parts)


def _pairs(table: pd.DataFrame, given: Path | None, wanted: bool, out: Path) -> pd.DataFrame | None:
    from hilum.data.duplicates import find_duplicates
    from hilum.data.splitfile import read_pairs, write_pairs

    if given is not None:
        return read_pairs(given)
    if not wanted:
        return None
    found = find_duplicates(table, progress=True)
    write_pairs(found, out.with_suffix(".pairs.csv"))
    return found


@contextmanager
def _notes() -> Iterator[None]:
    """Print warnings as one line each, to stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        typer.secho(f"note: {warning.message}", fg="yellow", err=True)


def _show(record: SplitRecord, out: Path, beside: Path) -> None:
    from rich.console import Console
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
    console = Console()
    console.print(shown)
    for fold, name in record.fold_names.items():
        console.print(f"fold {fold} leaves out {name}")
    if record.duplicate_pairs is not None:
        console.print(f"{record.duplicate_pairs} pairs of duplicate films linked their patients")
    console.print(f"wrote {out} and {beside}")


def _order(side: str) -> tuple[bool, int, str]:
    """Sort train, val, test; folds by number; films on no side last."""
    known = ("train", "val", "test")
    return side == "", known.index(side) if side in known else int(side or 0), side


def _head(side: str) -> str:
    if side == "":
        return "on no side"
    return f"fold {side}" if side.isdigit() else side

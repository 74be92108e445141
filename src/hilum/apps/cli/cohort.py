"""``hilum cohort``: list, fetch, read, merge, split and check collections of films."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.apps.cli.cohort_print import (
    print_catalog,
    print_check,
    print_entry,
    print_merged,
    print_split,
    print_summary,
)
from hilum.apps.cli.console import plain
from hilum.apps.cli.options import (
    CasesTable,
    Duplicates,
    Json,
    Label,
    Labels,
    Pairs,
    Seed,
    Settings,
    out_file,
    out_folder,
)
from hilum.apps.cli.streams import notes, print_json
from hilum.core.errors import EXIT_AUDIT_FAILED, EXIT_SOME_NOT_READ, ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from hilum.data.catalog import CatalogEntry
    from hilum.data.cohort import Cohort
    from hilum.data.fetch import Progress
    from hilum.data.split import SplitRecord, SplitSpec


cohort_app = typer.Typer(
    help="Collections of films: from a download to a cases table with a split.",
    no_args_is_help=True,
)


@cohort_app.command("list")
def list_cohorts(
    name: Annotated[str | None, typer.Argument(help="Show one collection in full.")] = None,
    as_json: Json = False,
) -> None:
    """Show the catalog: what each collection is, its size, licence, citation and address.

    "fetch" says whether `hilum cohort fetch` can download it; the others need
    a login or an agreement, and the full entry says how to get them. Two
    adapters are for data of your own: "csv" (a table with columns of your
    own) and "folders" (a folder for each class).

    \b
    Example:
      hilum cohort list shenzhen
    """
    from hilum.data.catalog import CATALOG

    entries = [_entry(name)] if name else list(CATALOG.values())
    if as_json:
        print_json([asdict(entry) for entry in entries], indent=2)
    elif name:
        print_entry(entries[0])
    else:
        print_catalog(entries)


@cohort_app.command("fetch")
def fetch_cohort(
    name: Annotated[str, typer.Argument(help="A collection of `hilum cohort list`.")],
    root: Annotated[Path, out_folder("Folder to download into.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="I have read the licence and accept it.")
    ] = False,
    mirror: Annotated[
        str | None,
        typer.Option(help="Server or folder that holds NAME/FILE.", envvar="HILUM_MIRROR"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Download a collection, after you accept its licence.

    A broken download goes on where it stopped when the command is run again.
    Checksums are compared where they are known; a wrong one deletes the file.
    A mirror (--mirror or HILUM_MIRROR: an address, or a folder on a machine
    without internet) holds NAME/FILE, and best also NAME/SHA256SUMS as
    written by sha256sum.

    \b
    Example:
      hilum cohort fetch covidx -o data/covidx-lists --accept-licence
    """
    from hilum.data.fetch import fetch

    entry = _entry(name)
    accepted = accept_licence or _ask(entry)
    with _progress_bar() as progress:
        files = fetch(entry, root, accept_licence=accepted, mirror=mirror, progress=progress)
    if as_json:
        print_json([asdict(file) for file in files])
        return
    for file in files:
        state = "fetched" if file.new else "already here"
        checked = "checksum agrees" if file.checked else "no published checksum; recorded"
        typer.echo(f"{file.file}: {state}, {checked}, sha256 {file.sha256[:16]}...")
    typer.echo(f"next: hilum cohort read {name} {root} -o {name}.csv")


@cohort_app.command("read")
def read(
    name: Annotated[str, typer.Argument(help="Adapter, e.g. covid-cxnet; see the list.")],
    root: Annotated[Path, typer.Argument(help="The folder that the collection unpacks to.")],
    out: Annotated[Path | None, out_file("Write the cases table to this CSV.")] = None,
    called: Annotated[
        str | None, typer.Option("--name", help="What to call the cohort; default the adapter.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="csv only: OURS=YOURS, e.g. path=file.")
    ] = None,
    folder_class: Annotated[
        list[str] | None,
        typer.Option("--class", help="folders only: FOLDER=LABEL, or FOLDER=LABEL=0."),
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Read a collection from disk into a cases table, one row a film.

    Labels are 1, 0 or blank, and blank means unknown. What was odd is
    counted, never dropped in silence: rows whose image is missing, names that
    differ in case or extension, images without a row. Where a name may mean
    one of several images, none is taken. Without -o only the summary is
    printed. --set changes another option of the adapter, as --set images=FOLDER where
    the films of a CSV of your own lie elsewhere. Exit code 3: such
    rows, or folders that could not be entered.

    \b
    Example:
      hilum cohort read covid-cxnet data/COVID-CXNet -o cxnet.csv
    """
    from hilum.data.cohorts import option_from_text, read_cohort
    from hilum.data.table import write_cases

    options: dict[str, Any] = {
        key: option_from_text(name, key, text) for key, text in _pairs(settings, "--set").items()
    }
    if called:
        options["name"] = called
    if column:
        options["columns"] = _pairs(column, "--column")
    if folder_class:
        options["classes"] = _pairs(folder_class, "--class")
    cohort = read_cohort(name, root, **options)
    if out is not None:
        write_cases(cohort.cases, out)
    if as_json:
        print_json(summary(cohort) | {"out": str(out) if out else None})
    else:
        print_summary(cohort, out)
    if cohort.report.ambiguous or cohort.report.passed_over:
        raise typer.Exit(EXIT_SOME_NOT_READ)


@cohort_app.command("merge")
def merge(
    tables: Annotated[list[Path], typer.Argument(help="Cases tables.")],
    out: Annotated[Path, out_file("Write the merged table to this CSV.")],
    as_json: Json = False,
) -> None:
    """Put cases tables under one another.

    A label that one table lacks is unknown (blank) there. The same case_id in
    two tables is an error that names both rows. Paths are kept relative to
    the new table where the films lie beneath its folder.

    \b
    Example:
      hilum cohort merge cxnet.csv shenzhen.csv -o cases.csv
    """
    from hilum.data.table import merge_cases, read_cases, write_cases

    cases = merge_cases([read_cases(table) for table in tables], [str(table) for table in tables])
    write_cases(cases, out)
    found = merged(cases, out)
    if as_json:
        print_json(found)
    else:
        print_merged(found)


@cohort_app.command("split")
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
    from hilum.data.split import check_spec, make_split, record_split, write_split
    from hilum.data.table import read_cases

    spec = _spec(fractions, folds, leave_one_out, held_out, stratify, seed)
    table = read_cases(cases)
    check_spec(table, spec)
    with notes():
        found = _shared_patients(table, pairs, duplicates, out)
        linked = table if found is None else link_groups(table, found)
        divided = make_split(linked, spec)
    raise_on_leak(check_leaks(divided, found))
    record = record_split(divided, spec, found)
    beside = write_split(divided, record, out)
    for lacking in _without_a_class(record):
        said = f"note: no film with {lacking}: give it a larger part (--fractions), or add films"
        typer.secho(said, fg="yellow", err=True)
    if as_json:
        print_json(record)
    else:
        print_split(record, out, beside)


@cohort_app.command("check")
def check(
    table: CasesTable,
    duplicates: Duplicates = True,
    pairs: Pairs = None,
    as_json: Json = False,
) -> None:
    """Check a cases table, and its split for patients or films on both sides.

    Every value is validated; images that are missing are counted. If the
    table has a column "split" or "fold", made here or elsewhere, every
    patient, group of linked patients or duplicate film that stands on two
    sides is listed with both cases, and the exit code is 5. Duplicates are
    found in the pixels, in spite of crop, size, contrast or file format.

    \b
    Example:
      hilum cohort check split.csv
    """
    from hilum.core.case import owner_of
    from hilum.data.leaks import SIDE_COLUMNS, check_leaks, raise_on_leak
    from hilum.data.table import read_cases

    cases = read_cases(table)
    there = cases[[Path(path).is_file() for path in cases["path"]]]
    copies = _duplicate_pairs(there, pairs, duplicates)
    divided = any(name in cases for name in SIDE_COLUMNS)
    leaks = check_leaks(cases, copies) if divided else []
    found = {
        "table": str(table),
        "films": len(cases),
        "missing": len(cases) - len(there),
        "patients": owner_of(cases).nunique(),
        "duplicates": None if copies is None else len(copies),
        "divided": divided,
        "leaks": [asdict(leak) for leak in leaks],
    }
    if as_json:
        print_json(found)
    else:
        print_check(found, [str(leak) for leak in leaks])
    raise_on_leak(leaks)


@cohort_app.command("audit")
def audit(
    train: Annotated[Path, typer.Argument(help="A COVIDx list (.txt), or a cases table (.csv).")],
    test: Annotated[
        Path | None,
        typer.Argument(help="The other side; left out, TRAIN has a column 'split'."),
    ] = None,
    label: Label = "covid-19",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Audit a split: what would a look-up from source to majority label score on test?

    Prints the films by source and class on both sides, what the look-up
    reaches, and every patient or file that stands on both sides. --set changes
    a limit, e.g. lookup=0.6. Exit code 10 if the split fails.

    \b
    Example:
      hilum cohort audit train_COVIDx9B.txt test_COVIDx9B.txt
      hilum cohort audit split.csv
    """
    from hilum.apps.cli.audit_print import print_lists
    from hilum.core.config import dotted
    from hilum.judge.audit.lists import ListLimits, audit_lists

    sides = _sides(train, test)
    names = (train.name, test.name if test else f"{train.name}, split 'test'")
    limits = ListLimits.parse(dotted(settings), where="--set")
    found = audit_lists(*sides, label=label, names=names, limits=limits)
    if as_json:
        print_json(found)
    else:
        print_lists(found)
    if not found.passed:
        raise typer.Exit(EXIT_AUDIT_FAILED)


@cohort_app.command("to-coco")
def to_coco(
    table: CasesTable,
    out: Annotated[Path, out_file("Write COCO JSON here.")],
    label: Labels = None,
    as_json: Json = False,
) -> None:
    """Write the boxes of a cases table as COCO detection JSON.

    An image carries its case_id. COCO cannot say "unknown", so a film is
    taken only where every label (lung-opacity, unless named) is settled: it has
    a box, or the label is 0.

    \b
    Example:
      hilum cohort to-coco cases.csv -o coco.json
    """
    from hilum.data import coco
    from hilum.data.table import read_cases

    made = coco.to_coco(read_cases(table), label or ("lung-opacity",))
    coco.write_coco(made, out)
    drawn = len({each["image_id"] for each in made["annotations"]})
    counts = {"out": str(out), "films": len(made["images"]), "films_with_boxes": drawn}
    counts["boxes"] = len(made["annotations"])
    if as_json:
        print_json(counts)
    else:
        typer.echo(f"{out}: {counts['films']} films, {drawn} of them with {counts['boxes']} boxes")


@cohort_app.command("from-coco")
def from_coco(
    file: Annotated[
        Path, typer.Argument(metavar="COCO.json", help="Images, categories, annotations.")
    ],
    table: CasesTable,
    out: Annotated[Path, out_file("Write the table with boxes here.")],
    as_json: Json = False,
) -> None:
    """Put the boxes of a COCO file into a cases table, joined by case_id.

    Boxes of the file's categories are replaced on its images, also by none where
    all were deleted; others are kept. An image without case_id goes by its file_name.

    \b
    Example:
      hilum cohort from-coco coco.json cases.csv -o with-boxes.csv
    """
    from hilum.data import coco
    from hilum.data.table import read_cases, write_cases

    read = coco.read_coco(file)
    found = coco.from_coco(read, str(file))
    write_cases(coco.with_boxes(read_cases(table), found, coco.labels_of(read)), out)
    count = sum(len(each) for each in found.values())
    if as_json:
        print_json({"out": str(out), "films": len(found), "boxes": count})
    else:
        typer.echo(f"{out}: {count} boxes on {len(found)} films")


def summary(cohort: Cohort) -> dict[str, Any]:
    """Say what was read, in JSON's types."""
    return {
        "cohort": cohort.name,
        "films": cohort.films,
        "patients": cohort.patients,
        "sources": int(cohort.cases["source"].nunique()),
        "labels": {name: _counts(count) for name, count in cohort.label_counts().items()},
        "report": asdict(cohort.report),
    }


def merged(cases: pd.DataFrame, out: Path) -> dict[str, Any]:
    """Say what a merged table holds, in JSON's types."""
    from hilum.core.case import owner_of
    from hilum.data.cohort import label_counts

    owner = owner_of(cases)
    cohorts = {
        str(name): {"films": len(part), "patients": owner[part.index].nunique()}
        for name, part in cases.groupby("cohort", sort=False)
    }
    return {
        "out": str(out),
        "films": len(cases),
        "patients": owner.nunique(),
        "cohorts": cohorts,
        "labels": {name: _counts(count) for name, count in label_counts(cases).items()},
    }


def _counts(count: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip(("1", "0", "unknown"), count, strict=True))


def _entry(name: str) -> CatalogEntry:
    from hilum.core.config import did_you_mean
    from hilum.core.errors import CohortError
    from hilum.data.catalog import CATALOG

    if name not in CATALOG:
        own = name in ("csv", "folders")
        hint = f"it reads films of your own: 'hilum cohort read {name} FOLDER'"
        raise CohortError(
            f"no collection '{name}'", hint=hint if own else did_you_mean(name, CATALOG)
        )
    return CATALOG[name]


def _pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    from hilum.core.errors import CohortError

    found = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not (equals and key.strip() and value.strip()):
            raise CohortError(f"{option} {text}: expected KEY=VALUE")
        found[key.strip()] = value.strip()
    return found


def _duplicate_pairs(there: pd.DataFrame, pairs: Path | None, wanted: bool) -> pd.DataFrame | None:
    if pairs is not None:
        from hilum.data.split import read_pairs

        return read_pairs(pairs)
    if not wanted or there.empty:
        return None
    from hilum.data.duplicates import find_duplicates

    return find_duplicates(there, progress=True)


def _ask(entry: CatalogEntry) -> bool:
    print_entry(entry, to_stderr=True)
    try:
        return typer.confirm("Do you accept this licence?", default=False, err=True)
    except typer.Abort as error:
        if isinstance(error.__context__, EOFError):  # nobody there to answer
            return False
        raise


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=plain(err=True)) as bar:
        tasks: dict[str, Any] = {}

        def show(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file, total=total)
            bar.update(tasks[file], completed=done, total=total)

        yield show


def _sides(train: Path, test: Path | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    from hilum.core.errors import CohortError
    from hilum.data.table import read_cases

    if test is not None:
        return _side(train, "train"), _side(test, "test")
    cases = read_cases(train)
    if "split" not in cases:
        raise CohortError(
            f"{train}: no column 'split'",
            hint="name both lists, or make one with 'hilum cohort split'",
        )
    return cases[cases["split"] == "train"], cases[cases["split"] == "test"]


def _side(path: Path, split: str) -> pd.DataFrame:
    from hilum.data.adapters.covidx import read_covidx_list
    from hilum.data.table import read_cases

    if path.suffix.lower() == ".csv":
        return read_cases(path)
    return read_covidx_list(path, split).cases


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


def _without_a_class(record: SplitRecord) -> list[str]:
    """Name each class of which there are films, and the side that has none of them."""
    label = record.spec.label
    if label is None or record.spec.kind == "leave-one-out":
        return []
    there = {(row["side"], row["label"]) for row in record.counts}
    sides, values = {side for side, _ in there}, {value for _, value in there} & {"0", "1"}
    lacking = {(side, value) for side in sides for value in values} - there
    return [f"{label.value} = {value} on {side}" for side, value in sorted(lacking)]


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


def _shared_patients(
    table: pd.DataFrame, given: Path | None, wanted: bool, out: Path
) -> pd.DataFrame | None:
    from hilum.data.duplicates import find_duplicates
    from hilum.data.split import read_pairs, write_pairs

    if given is not None:
        return read_pairs(given)
    if not wanted:
        return None
    found = find_duplicates(table, progress=True)
    write_pairs(found, out.with_suffix(".pairs.csv"))
    return found

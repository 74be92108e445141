"""``hilum calibrate``: adapt what a bundle says of a score to a site; the weights stay."""

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
    Labels,
    Seed,
    out_folder,
)
from hilum.apps.cli.streams import print_json

if TYPE_CHECKING:
    from rich.table import Table

    from hilum.bundle.folder import Bundle as Opened
    from hilum.judge.adaptation import Adaptation, LabelAdaptation


def calibrate(
    cases: CasesTable,
    out: Annotated[Path, out_folder("Folder of the new bundle.")],
    bundle: Bundle = None,
    site: Annotated[
        str | None, typer.Option(help="Name of the site; default: the name of the table.")
    ] = None,
    label: Labels = None,
    calibrator: Annotated[
        str, typer.Option(help="auto, temperature, platt, beta, isotonic or identity.")
    ] = "auto",
    coverage: Annotated[float, typer.Option(help="Nominal coverage of the conformal sets.")] = 0.9,
    bootstrap: Bootstrap = 1000,
    seed: Seed = 0,
    allow_seen: AllowSeen = False,
    as_json: Json = False,
) -> None:
    """Adapt a bundle to a site with a few hundred films whose truth is known.

    Calibration, operating points and conformal sets are fitted anew; the
    weights are not touched. At least 50 positive and 50 negative patients
    are needed; labels with fewer keep what they had, unless --label names
    them. Prints what the bundle said of these films before, and after,
    where each film is judged by what was fitted without its patient. Films
    that the bundle was trained on are refused (exit code 5). The new bundle
    keeps the record in bundle.json and in its model card.

    \b
    Example:
      hilum calibrate local.csv -o our-bundle --site "St. Anna"
    """
    from hilum.core.extras import require

    require("evaluate")
    from hilum.bundle.folder import open_bundle
    from hilum.data.table import read_cases
    from hilum.serve.calibrate import calibrate as run
    from hilum.serve.reader import load_bundle

    record = run(
        load_bundle(bundle),
        read_cases(cases),
        out,
        site=site or cases.stem,
        labels=label or [],
        method=calibrator,  # type: ignore[arg-type]  # the fit checks it, with a suggestion
        coverage=coverage,
        folds=bootstrap,
        seed=seed,
        allow_seen=allow_seen,
    )
    new = open_bundle(out)
    if as_json:
        made = {"folder": str(new.root), "bundle": new.identity, "checksum": new.checksum}
        print_json(record.model_dump() | {"made": made}, indent=2)
    else:
        _say(record, new)


def _say(record: Adaptation, new: Opened) -> None:
    from hilum.core.reading import RESEARCH_USE

    console = plain()
    people = f" of {record.patients} patients" if record.patients < record.films else ""
    console.print(
        f"{record.bundle} on site '{record.site}': {record.films} films{people}, "
        f"{record.not_read} not read. Training films: {record.leak_check}.",
    )
    for label in record.labels:
        console.print(_table(label))
    for output in new.manifest.labels:
        if output.label not in record.kept and output.calibration.note:
            console.print(f"{output.label}: {output.calibration.note}.")
    for name, reason in record.kept.items():
        console.print(f"{name} keeps what it had: {reason}.")
    console.print(f"Written: {new.root} ({new.identity})", soft_wrap=True)
    console.print(RESEARCH_USE, style="dim")


def _table(label: LabelAdaptation) -> Table:
    from rich.table import Table

    from hilum.judge.site import MEASURES

    title = (
        f"{label.label}: {label.films} films, {label.positives} positive and "
        f"{label.negatives} negative patients"
    )
    table = Table("on the site's films", "before", "after, cross-fitted", title=title)
    table.title_justify = "left"
    for name, words in MEASURES.items():
        table.add_row(words, str(label.before[name]), str(label.after[name]))
    return table

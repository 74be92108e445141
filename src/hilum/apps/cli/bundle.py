"""``hilum bundle``: look at a bundle, and check that not a byte of it changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hilum.bundle.folder import Bundle
    from hilum.bundle.manifest import LabelOutput

Folder = Annotated[Path | None, typer.Argument(metavar="[BUNDLE]", help="Default: the built-in.")]


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    verbs = typer.Typer(no_args_is_help=True, help="Look at a bundle; check its checksums.")
    verbs.command("show")(show)
    verbs.command("verify")(verify)
    app.add_typer(verbs, name="bundle", rich_help_panel=panel)


def show(
    bundle: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="The manifest as JSON.")] = False,
) -> None:
    """Show what a bundle holds: preprocessing, labels, operating points, model card.

    A bundle is the folder that training writes and reading uses; its
    checksums are verified first. Each operating point comes with its
    sensitivity and specificity, their 95 % intervals, and the films that
    it was chosen on.

    [bold]Example:[/bold] hilum bundle show runs/default/bundle
    """
    from hilum.bundle.folder import open_bundle

    opened = open_bundle(bundle)
    if as_json:
        import json

        values = json.loads(opened.manifest.model_dump_json())  # which writes NaN as null
        values["checksum"] = opened.checksum
        typer.echo(json.dumps(values, indent=2, allow_nan=False))
        return
    from rich.console import Console

    console = Console(highlight=False)
    _facts(opened, console)
    _points(opened, console)
    _card(opened, console)


def verify(bundle: Folder = None) -> None:
    """Verify every checksum of a bundle; exit with 7 and the file's name if a byte changed.

    [bold]Example:[/bold] hilum bundle verify runs/default/bundle
    """
    from hilum.bundle.folder import open_bundle

    opened = open_bundle(bundle)
    typer.echo(f"{opened.root}: {opened.identity}: every file is as it was packed")


def _facts(bundle: Bundle, console: Console) -> None:
    from rich.table import Table

    manifest = bundle.manifest
    table = Table(title=bundle.identity, show_header=False, title_justify="left")
    rows = {
        "folder": str(bundle.root),
        "sha256": bundle.checksum,
        "made": manifest.created,
        "network": manifest.network,
        "heatmaps": "exact evidence maps" if manifest.evidence else "none: no evidence output",
        "trained on": manifest.trained_on,
        "intended use": manifest.intended_use,
        "licence": manifest.licence,
        "preprocess": ", ".join(f"{k} {v}" for k, v in manifest.preprocess.model_dump().items()),
        "labels": ", ".join(_named(o.label, o.scheme, o.code) for o in manifest.labels),
        "calibration": ", ".join(f"{o.label}: {o.calibration.method}" for o in manifest.labels),
        "conformal sets": ", ".join(f"{o.label}: {_sets(o)}" for o in manifest.labels),
        "adapted to": ", ".join(f"{a.site}, {a.created}" for a in manifest.adaptations) or "-",
    }
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)


def _sets(output: LabelOutput) -> str:
    return f"{output.conformal.coverage:.0%}" if output.conformal else "none"


def _named(label: str, scheme: str | None, code: str | None) -> str:
    return f"{label} ({scheme} {code})" if code else label


def _points(bundle: Bundle, console: Console) -> None:
    from rich.table import Table

    table = Table(title="Operating points (the first of a label is the default)")
    for column in ("label", "name", "threshold"):
        table.add_column(column, no_wrap=True)
    for column in ("sensitivity", "specificity"):
        table.add_column(column, min_width=len(column), overflow="fold")
    table.add_column("chosen", overflow="fold")
    for output in bundle.manifest.labels:
        for point in output.operating_points:
            table.add_row(
                output.label,
                point.name,
                f"{point.threshold:.4f}",
                str(point.sensitivity),
                str(point.specificity),
                f"{point.rule}, on {point.chosen_on}",
            )
    console.print(table)


def _card(bundle: Bundle, console: Console) -> None:
    from rich.markdown import Markdown

    from hilum.bundle.manifest import MODEL_CARD

    path = bundle.root / MODEL_CARD
    if path.is_file():
        console.print(Markdown(path.read_text(encoding="utf-8")))

"""``hilum bundle``: look at a bundle, check that not a byte of it changed, add parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.apps.cli.console import plain
from hilum.apps.cli.fit_severity import fit_severity
from hilum.apps.cli.options import (
    Bootstrap,
    Bundle,
    CasesTable,
    Json,
    MaxFilms,
    OneLabel,
    Seed,
    out_file,
)
from hilum.apps.cli.streams import print_json, tell

if TYPE_CHECKING:
    from rich.console import Console

    from hilum.bundle.folder import Bundle as Opened

bundle_app = typer.Typer(no_args_is_help=True, help="Look at a bundle; check it; add parts.")
bundle_app.command("fit-severity")(fit_severity)


@bundle_app.command("show")
def show(
    bundle: Bundle = None,
    whole: Annotated[bool, typer.Option("--card", help="The whole model card instead.")] = False,
    html: Annotated[Path | None, out_file("Write a page to this file.", "--html")] = None,
    as_json: Json = False,
) -> None:
    """Show what a bundle holds and what it is worth; --card prints its whole model card.

    A bundle is the folder that training writes and reading uses; its
    checksums are verified first. Each operating point comes with its
    sensitivity and specificity, their 95 % intervals, and the films that
    it was chosen on. --html writes the model card as a page, --json prints
    the manifest, and what the bundle is worth in "honest_numbers" and "audits".

    \b
    Example:
      hilum bundle show -b runs/default/bundle
      hilum bundle show --html card.html
    """
    from hilum.bundle.folder import open_bundle

    opened = open_bundle(bundle)
    if html is not None:
        from hilum.bundle.card import card_page
        from hilum.core.files import write_text

        write_text(html, card_page(opened))
        if not as_json:
            typer.echo(f"{html}: the model card of {opened.identity}")
            return
    if as_json:
        more = {"checksum": opened.checksum, **_measured(opened)}
        print_json(opened.manifest.model_dump() | more, indent=2)
        return
    console = plain()
    if whole:
        from rich.markdown import Markdown

        from hilum.bundle.card import card_text

        console.print(Markdown(card_text(opened)))
        return
    _facts(opened, console)
    _points(opened, console)
    _worth(opened, console)


@bundle_app.command("verify")
def verify(bundle: Bundle = None, as_json: Json = False) -> None:
    """Verify every checksum of a bundle; exit with 7 and the file's name if a byte changed.

    \b
    Example:
      hilum bundle verify -b runs/default/bundle
    """
    from hilum.bundle.folder import open_bundle

    opened = open_bundle(bundle)
    _said(opened, "every file is as it was packed", as_json=as_json)


@bundle_app.command("card")
def card(
    bundle: Bundle = None,
    audit: Annotated[
        list[Path] | None,
        typer.Option(help="audit.json of an audit of this bundle; may be repeated, one a label."),
    ] = None,
    comparison: Annotated[
        Path | None,
        typer.Option(help="table.json of 'hilum compare' with the recipe of this bundle."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Of that table: the variant that this bundle is.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the model card anew from the bundle's files, with results that came later.

    The results are copied into the bundle, which gets a new checksum; weights and
    thresholds stay. It is done whole or not at all. An audit of something else,
    and a comparison of another recipe, are refused.

    \b
    Example:
      hilum bundle card -b runs/default/bundle --audit out/audit.json
    """
    from hilum.bundle.attach import attach_results
    from hilum.bundle.manifest import MODEL_CARD

    root = _own(bundle)
    done = attach_results(root, audits=audit or (), out_of_source=comparison, variant=variant)
    if done.note:
        tell(done.note)
    said = f"its card is {done.bundle.root / MODEL_CARD}"
    _said(done.bundle, said if done.new else f"nothing is new; {said}", as_json=as_json)


@bundle_app.command("add")
def add(
    parts: Annotated[
        list[Path],
        typer.Argument(
            metavar="PART...",
            help="gate.json, severity.json, similar.npz, opacities.onnx and .json, or a folder.",
        ),
    ],
    bundle: Bundle = None,
    as_json: Json = False,
) -> None:
    """Add parts: opacities, severity, similar films, and the gate.

    The first three say more of a film than its findings, which stay as they are;
    'hilum bundle fit-severity' and 'hilum bundle index' make them, and the opacity
    network is that of a bundle up to Hilum 0.3.0. The gate decides which films
    are read; 'hilum train recipes/gate.toml' makes it. Parts in the bundle are
    replaced; it gets a new checksum and a new model card. It is done whole or not
    at all.

    \b
    Example:
      hilum bundle add out/severity similar.npz -b runs/default/bundle
    """
    from hilum.bundle.attach import attach_results

    done = attach_results(_own(bundle), parts=parts)
    said = "the parts are in" if done.new else "nothing is new"
    _said(done.bundle, said, as_json=as_json)


@bundle_app.command("index")
def index(
    cases: CasesTable,
    out: Annotated[Path, out_file("The index: similar.npz.")],
    bundle: Bundle = None,
    numbers: Annotated[
        Path | None, out_file("Write what was measured as CSV.", "--numbers")
    ] = None,
    label: OneLabel = None,
    max_films: MaxFilms = 0,
    bootstrap: Bootstrap = 1000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make the index of similar films: where a bundle's training films lie in feature space.

    Of CASES.csv the films of split "train" go in; where the bundle says which
    films it was trained on (splits.csv), those go in and no others.

    It holds where they lie, what is known of them and a look of 24 x 24
    numbers that tells copies, not their pictures. 'hilum bundle add' puts it
    into the bundle, and readings with details then name the nearest. How often
    neighbors share their label (--label) is measured on val and test. To look alike to a
    network is no diagnosis.

    \b
    Example:
      hilum bundle index split.csv -o similar.npz -b runs/default/bundle
    """
    from hilum.core.extras import require

    require("evaluate")
    from hilum.data.table import read_cases
    from hilum.serve.featuremap.index import fit_similar
    from hilum.serve.reader import load_bundle

    made, measured, left_out = fit_similar(
        load_bundle(bundle),
        read_cases(cases),
        out,
        table=numbers,
        label=label,
        max_films=max_films,
        folds=bootstrap,
        seed=seed,
    )
    films, axes, size = len(made.case_id), len(made.axes), out.stat().st_size
    if as_json:
        print_json(
            {
                "films": films,
                "left_out": left_out,
                "axes": axes,
                "bytes": size,
                "measured": measured,
            }
        )
        return
    typer.echo(f"{out}: {films} films, {axes} axes, {size / 1000:.0f} kB, no pictures")
    if left_out:
        typer.echo(f"  left out: {left_out} films that the bundle was not trained on (splits.csv)")
    for one in measured:
        typer.echo(f"  {one.distance}, {one.where}: neighbors share their label {one.label}")


def _own(bundle: Path | None) -> Path:
    from hilum.bundle.folder import is_built_in

    if bundle is None or is_built_in(bundle):
        raise typer.BadParameter("the built-in bundle stays as it is; name another with -b")
    return bundle


def _said(bundle: Opened, what: str, *, as_json: bool) -> None:
    if as_json:
        root, identity = str(bundle.root), bundle.identity
        print_json({"folder": root, "bundle": identity, "checksum": bundle.checksum})
    else:
        typer.echo(f"{bundle.root}: {bundle.identity}: {what}")


def _facts(bundle: Opened, console: Console) -> None:
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
        "labels": ", ".join(
            f"{o.label} ({o.scheme} {o.code})" if o.code else o.label for o in manifest.labels
        ),
        "calibration": ", ".join(f"{o.label}: {o.calibration.method}" for o in manifest.labels),
        "conformal sets": ", ".join(
            f"{o.label}: {f'{o.conformal.coverage:.0%}' if o.conformal else 'none'}"
            for o in manifest.labels
        ),
        "adapted to": ", ".join(f"{a.site}, {a.created}" for a in manifest.adaptations) or "-",
    }
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)


def _points(bundle: Opened, console: Console) -> None:
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


def _measured(bundle: Opened) -> dict[str, Any]:
    """What ``_worth`` prints, in JSON's types."""
    from hilum.bundle.facts import Facts, honest_numbers

    facts = Facts.read(bundle.root)
    return {
        "honest_numbers": [line._asdict() for line in honest_numbers(facts)],
        "audits": [
            {
                "label": audit.label,
                "verdict": audit.verdict,
                "failed": [test.title for test in audit.failed],
            }
            for audit in facts.audits
        ],
        "sources_left_out": facts.out_of_source is not None,
    }


def _worth(bundle: Opened, console: Console) -> None:
    """Print the honest numbers and the verdict of the audit."""
    from rich.table import Table

    from hilum.bundle.card import cell
    from hilum.bundle.facts import Facts, honest_numbers

    facts = Facts.read(bundle.root)
    table = Table(title="What it is worth: AUROC, and that of numbers that see no lung")
    for column in ("label", "on", "with", "without", "AUROC", "nuisance"):
        table.add_column(column, overflow="fold")
    lines = honest_numbers(facts)
    for line in lines:
        table.add_row(*(cell(value) for value in line))
    console.print(table if lines else "What it is worth: not measured.")
    for audit in facts.audits:
        failed = ", ".join(test.title for test in audit.failed)
        console.print(f"Audit of {audit.label}: {audit.verdict}{f' ({failed})' if failed else ''}")
    if not facts.audits:
        console.print("Audit: not measured.")
    if not facts.out_of_source:
        console.print("Sources left out of training: not measured.")
    console.print("The whole model card: hilum bundle show --card, or --html FILE")

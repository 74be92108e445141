"""``hilum train-opacities``: the network that finds opacities inside the lungs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.places import out_folder
from hilum.apps.cli.streams import json_text

if TYPE_CHECKING:
    import pandas as pd

    from hilum.learn.opacities.run import TrainedOpacities


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.command("train-opacities", rich_help_panel=panel)(train_opacities)


def train_opacities(
    recipe: Annotated[Path, typer.Option(help="TOML file; recipes/ holds some.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the collections that the recipe names; else HILUM_DATA."),
    ] = None,
    out: Annotated[
        Path | None, out_folder("Run folder; else runs/ and the name of the recipe.")
    ] = None,
    study: Annotated[
        bool, typer.Option("--study", help="Compare the arms of a recipe; make no network.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was broken off.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train the network that finds ground-glass opacity and consolidation.

    Takes the films on which a reader drew opacities, and as extra material, each with its share
    of a batch: films without a finding, such films with lesions drawn into them, films with
    opacity boxes, virtual radiographs. Cross-validates by patient and duplicate group, chooses
    thresholds on the folds, trains on all films, and writes opacities.onnx (checked against
    torch) and opacities.json. With --study it cross-validates each arm of the recipe on the same
    folds and writes study.csv.

    \b
    Example:
      hilum train-opacities --recipe recipes/opacities.toml --data ../shared/data -o runs/opacities
      hilum train-opacities --recipe recipes/opacities.toml --set fit.steps=20 --set split.folds=2
      hilum train-opacities --study --recipe recipes/opacities-study.toml --resume
    """
    from hilum.core.extras import require

    require("train")
    require("evaluate")
    from hilum.apps.training import data_root
    from hilum.core.command import command_line
    from hilum.learn.opacities.recipe import OpacityRecipe
    from hilum.learn.opacities.run import train_opacities as run
    from hilum.learn.opacities.study import StudyRecipe
    from hilum.learn.opacities.study import study as compare

    folder, root = out or Path("runs") / recipe.stem, data_root(data)
    if study:
        arms = StudyRecipe.load(recipe, settings or [])
        table = compare(arms, folder, root=root, resume=resume, tell=_tell)
        _print_study(table, as_json=as_json)
        return
    trained = run(
        OpacityRecipe.load(recipe, settings or []),
        folder,
        root=root,
        command=command_line(),
        resume=resume,
        tell=_tell,
    )
    if as_json:
        typer.echo(json_text(trained.spec.model_dump_json(indent=2)))
    else:
        _print_table(trained)


def _tell(line: str) -> None:
    typer.secho(line, fg="bright_black", err=True)


def _print_table(trained: TrainedOpacities) -> None:
    from rich.console import Console
    from rich.table import Table

    from hilum.core.estimate import Estimate
    from hilum.core.reading import RESEARCH_USE

    table = Table(title="Patients of other folds", title_justify="left", box=None, pad_edge=False)
    for heading in ("metric", "value", "95 % interval", "n"):
        table.add_column(heading)
    for name, numbers in trained.spec.measured["metrics"].items():
        each = Estimate.model_validate(numbers)
        table.add_row(name, f"{each.value:.3f}", f"{each.low:.3f} to {each.high:.3f}", str(each.n))
    console = Console()
    console.print(table)
    folder = trained.folder
    console.print(f"{folder / 'opacities.onnx'}   {folder / 'opacities.json'}", soft_wrap=True)
    console.print(RESEARCH_USE)


def _print_study(table: pd.DataFrame, *, as_json: bool) -> None:
    import math

    from rich.console import Console
    from rich.table import Table

    if as_json:
        typer.echo(table.to_json(orient="records", indent=2))
        return
    # per collection the table would be wider than a screen; study.csv has it
    table = table[~table["metric"].str.contains(", ", regex=False)]
    wide = table.pivot_table(
        values="value", index=["network", "material"], columns="metric", sort=False, dropna=False
    )
    shown = Table(box=None, pad_edge=False)
    for heading in ("network", "material", *map(str, wide.columns)):
        shown.add_column(heading)
    for (network, material), values in zip(wide.index, wide.to_numpy(), strict=True):
        cells = ("" if math.isnan(value) else f"{value:.3f}" for value in values)
        shown.add_row(network, material, *cells)
    Console().print(shown)

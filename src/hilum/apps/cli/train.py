"""``hilum train``: from a recipe to an evaluated bundle."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.apps.cli.places import out_folder

if TYPE_CHECKING:
    from hilum.apps.training import Trained
    from hilum.core.estimate import Estimate


class Device(StrEnum):
    """Where to train."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.command("train", rich_help_panel=panel)(train)


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file; recipes/ holds some.")],
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
    out_of_source: Annotated[
        Path | None,
        typer.Option(
            help="Predictions of films whose source their network never saw: fit probability and "
            "prediction sets on them instead of on val."
        ),
    ] = None,
    lungs: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE",
            help='Whose gate it will be, with task = "gate"; default: the built-in.',
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last whole epoch of the run folder.")
    ] = False,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    devices: Annotated[int, typer.Option(min=1, help="How many devices.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a network by a recipe, and pack it as an evaluated bundle.

    Reads the collections, leaves out what the recipe does not want (counted), links copies of a
    film, splits by patient, trains, keeps the epoch that is best on val, writes ONNX (checked
    against torch), fits calibration, operating points and conformal sets on val (the first
    and the last on the predictions of --out-of-source, which are honest about other
    hospitals), and evaluates once on test. The run folder gets curves.csv and curves.png while
    it runs, and the bundle at the end. A run that was killed goes on with --resume; one that is
    finished is packed and evaluated anew. With recipes/dense.toml the network finds lungs and
    opacities, too. A recipe with task = "gate" makes gate.json, which decides what is read at
    all, for the bundle of --lungs.

    \b
    Example:
      hilum train recipes/quick.toml --data ../shared/data -o runs/quick
      hilum train recipes/default.toml --data ../shared/data --set fit.epochs=2
      hilum train recipes/dense.toml --data ../shared/data
      hilum train recipes/gate.toml --data ../shared/data
    """
    from hilum.core.extras import require

    require("train")
    require("evaluate")
    from hilum.apps.cli.train_gate import GATE, task_of, train_gate
    from hilum.apps.training import Machine, data_root
    from hilum.apps.training import train as run
    from hilum.core.command import command_line
    from hilum.judge.predictions import read_predictions
    from hilum.learn.fit import is_secondary
    from hilum.learn.recipe import Recipe

    out, root = out or Path("runs") / recipe.stem, data_root(data)
    is_gate = task_of(recipe) == GATE
    if lungs is not None and not is_gate:
        raise typer.BadParameter('--lungs goes with a recipe of task = "gate"')
    if is_gate:
        train_gate(recipe, settings or [], out, root, resume=resume, lungs=lungs, as_json=as_json)
        return
    foreign = None if out_of_source is None else read_predictions(out_of_source, split="test")
    trained = run(
        Recipe.load(recipe, settings or []),
        out,
        root=root,
        command=command_line(),
        resume=resume,
        machine=Machine(device.value, devices),
        out_of_source=foreign,
        tell=(lambda _: None) if is_secondary() else _tell,
    )
    if as_json:
        _print_json(trained)
    else:
        _print_table(trained)


def _tell(line: str) -> None:
    typer.secho(line, fg="bright_black", err=True)


def _summary(trained: Trained) -> dict[str, Any]:
    result, evaluation = trained.result, trained.evaluation
    splits = trained.gathered.cases["split"].value_counts()
    return {
        "bundle": trained.bundle.identity,
        "folder": str(trained.bundle.root),
        "films": {name: int(count) for name, count in splits.items()},
        "left_out": trained.gathered.left_out,
        "duplicates": trained.gathered.duplicates,
        "not_opened": len(result.train.refused),
        "notes": trained.gathered.notes,
        "best_epoch": result.best_epoch,
        "epochs": len(result.rows),
        "device": result.device,
        "training_time_s": round(result.seconds, 1),
        "test": {
            label.label: {name: _plain(one) for name, one in label.metrics.items()}
            for label in (evaluation.labels if evaluation else ())
        },
    }


def _plain(estimate: Estimate) -> Any:
    """Return an estimate as JSON has it: NaN is null."""
    import json

    return json.loads(estimate.model_dump_json())


def _print_json(trained: Trained) -> None:
    import json

    typer.echo(json.dumps(_summary(trained), indent=2, allow_nan=False))


def _print_table(trained: Trained) -> None:
    from rich.console import Console
    from rich.table import Table

    from hilum.core.reading import RESEARCH_USE

    summary, console = _summary(trained), Console()
    for note in summary["notes"]:
        console.print(note)
    if summary["not_opened"]:
        console.print(f"{summary['not_opened']} films did not open; see refused.csv")
    table = Table(title=f"{summary['bundle']} on test", title_justify="left")
    for heading in ("label", "films", "AUROC", "sensitivity", "specificity"):
        table.add_column(heading)
    for label in trained.evaluation.labels if trained.evaluation else ():
        numbers = [str(label.metrics[n]) for n in ("auroc", "sensitivity", "specificity")]
        table.add_row(label.label, f"{label.positives} + {label.negatives}", *numbers)
    console.print(table)
    if trained.evaluation and (looks := trained.evaluation.appearance):
        console.print(f"appearance: mean average precision {looks.mean_average_precision}")
    console.print(f"bundle: {trained.bundle.root}   card: {trained.bundle.root / 'MODEL_CARD.md'}")
    console.print(RESEARCH_USE)

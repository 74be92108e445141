"""``hilum train``: from a recipe to an evaluated bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.apps.cli.console import plain
from hilum.apps.cli.options import (
    Bundle,
    Cases,
    Data,
    Device,
    Json,
    Resume,
    Settings,
    Where,
    out_folder,
    refuse_options,
)
from hilum.apps.cli.streams import notes, print_json, tell

if TYPE_CHECKING:
    from hilum.apps.training import TrainedRun
    from hilum.learn.gate.run import FittedGate

TASKS = ("gate", "detector")


def train(
    ctx: typer.Context,
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE.toml", help="Says the task; recipes/ holds some.")
    ],
    settings: Settings = None,
    data: Data = None,
    cases: Cases = None,
    bundle: Bundle = None,
    out: Annotated[
        Path | None,
        out_folder("Run folder; else runs/ and the name of the recipe.", files=("cases.csv",)),
    ] = None,
    out_of_source: Annotated[
        Path | None,
        typer.Option(
            help="Predictions of films whose source their network never saw: fit probability and "
            "prediction sets on them instead of on val."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Detector to start from: a folder, or a name on the Hugging Face hub."),
    ] = None,
    resume: Resume = False,
    device: Where = Device.AUTO,
    devices: Annotated[int, typer.Option(min=1, help="How many devices.")] = 1,
    as_json: Json = False,
) -> None:
    """Train by a recipe: a network that reads films, the gate, or a detector of opacities.

    A network that reads films: reads the collections (or the table of --cases), leaves out what
    the recipe does not want (counted), links copies of a film, splits by patient, trains, keeps
    the epoch that is best on val, writes ONNX (checked against torch), fits calibration,
    operating points and conformal sets on val (the first and the last on the predictions of
    --out-of-source, which are honest about other hospitals), and evaluates once on test. The run
    folder gets curves.csv and curves.png while it runs, and the bundle at the end. With
    recipes/default.toml the network finds lungs and opacities, too.

    task = "gate" makes gate.json, which decides what is read at all, for --bundle.

    task = "detector" fine-tunes a detector of boxes, cross-validated by patient: every film is
    scored by a detector that never saw its patient (detections.json as COCO results,
    scores.json). With fit.final = true one more learns from all films: model/ and detector.onnx.
    Films on which the label is known to be absent are the negatives. Without --weights it starts
    on a backbone with ImageNet weights, which hundreds of films are too few for; any detector of
    transformers will do (RT-DETR, D-FINE, DETR, YOLOS). docs/explanation/boxes.md has more.

    A run that was killed goes on with --resume; one that is finished is packed and evaluated anew.

    \b
    Example:
      hilum train recipes/quick.toml --data ../shared/data -o runs/quick
      hilum train recipes/default.toml --data ../shared/data -o runs/mine --set fit.epochs=2
      hilum train recipes/gate.toml --data ../shared/data -b runs/mine/bundle
      hilum train recipes/detector.toml --cases rsna.csv --weights PekingU/rtdetr_v2_r18vd
    """
    from hilum.core.extras import require

    require("train")
    require("evaluate")
    from hilum.apps.training import data_root
    from hilum.core.command import command_line
    from hilum.learn.fit import is_secondary

    task = task_of(recipe)
    _refuse(ctx, task)
    out, changes = out or Path("runs") / recipe.stem, settings or []
    common: dict[str, Any] = {"command": command_line(), "resume": resume}
    common |= {"root": data_root(data), "tell": (lambda _: None) if is_secondary() else tell}
    if task == "gate":
        from hilum.bundle.folder import is_built_in
        from hilum.learn.gate.recipe import GateRecipe
        from hilum.learn.gate.run import fit_recipe

        lungs = None if is_built_in(bundle) else bundle
        gate = fit_recipe(GateRecipe.load(recipe, changes), out, lungs=lungs, **common)
        print_json(gate.spec.measured, indent=2) if as_json else _print_gate(gate)
    elif task == "detector":
        from hilum.apps.cli.evaluate import print_boxes
        from hilum.data.table import read_cases
        from hilum.learn.detect.recipe import DetectorRecipe
        from hilum.learn.detect.run import train_detector

        table = None if cases is None else read_cases(cases)
        detector = DetectorRecipe.load(recipe, changes)
        scores = train_detector(detector, out, cases=table, weights=weights, **common).scores
        print_boxes(scores, as_json=as_json)
        if not as_json:
            typer.echo(f"{out / 'detections.json'}   {out / 'scores.json'}")
    else:
        from hilum.apps.training import Machine
        from hilum.apps.training import train as run
        from hilum.judge.predictions import read_predictions
        from hilum.learn.recipe import Recipe

        instead = [] if cases is None else [f"data.cases={cases}", "data.cohorts=[]"]
        foreign = None if out_of_source is None else read_predictions(out_of_source, split="test")
        with notes():
            trained = run(
                Recipe.load(recipe, [*changes, *instead]),
                out,
                machine=Machine(device.value, devices),
                out_of_source=foreign,
                **common,
            )
        print_json(_summary(trained), indent=2) if as_json else _print_table(trained)


def task_of(recipe: Path) -> str | None:
    """Return the task of a recipe, its first line: one of ``TASKS``, or None for a reader of films.

    Raises:
        ConfigError: no such file, not TOML, or another task.
    """
    from hilum.core.config import did_you_mean, read_toml
    from hilum.core.errors import ConfigError

    task = read_toml(recipe).get("task")
    if task not in (None, *TASKS):
        gone = "recipes/default.toml finds lungs and opacities with the network that reads"
        raise ConfigError(
            f"{recipe}: task {task!r}; expected {' or '.join(map(repr, TASKS))}, or none for a "
            "network that reads films",
            hint=gone if task in ("lungs", "opacities") else did_you_mean(str(task), TASKS),
        )
    return task


def _refuse(ctx: typer.Context, task: str | None) -> None:
    """Refuse an option that the task of the recipe has no use for."""
    reader = {"cases", "out_of_source", "device", "devices"}
    taken = {"gate": {"bundle"}, "detector": {"cases", "weights"}}.get(task or "", reader)
    what = f'task = "{task}"' if task else "a network that reads films"
    refuse_options(ctx, {*reader, "bundle", "weights"} - taken, what)


def _summary(trained: TrainedRun) -> dict[str, Any]:
    result, evaluation = trained.result, trained.evaluation
    splits = trained.gathered.cases["split"].value_counts()
    labels = evaluation.labels if evaluation else ()
    looks = evaluation.appearance if evaluation else None
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
        "test": {label.label: label.metrics for label in labels},
        "test_films": {
            label.label: {"positives": label.positives, "negatives": label.negatives}
            for label in labels
        },
        "appearance": looks and {"mean_average_precision": looks.mean_average_precision},
    }


def _print_table(trained: TrainedRun) -> None:
    from rich.table import Table

    from hilum.core.reading import RESEARCH_USE

    summary, console = _summary(trained), plain()
    for note in summary["notes"]:
        console.print(note)
    if summary["not_opened"]:
        console.print(
            f"{summary['not_opened']} films of train and val did not open; see refused.csv"
        )
    table = Table(title=f"{summary['bundle']} on test", title_justify="left")
    for heading in ("label", "films", "AUROC", "sensitivity", "specificity"):
        table.add_column(heading)
    for label, metrics in summary["test"].items():
        films = summary["test_films"][label]
        numbers = [str(metrics[n]) for n in ("auroc", "sensitivity", "specificity")]
        table.add_row(label, f"{films['positives']} + {films['negatives']}", *numbers)
    console.print(table)
    if looks := summary["appearance"]:
        console.print(f"appearance: mean average precision {looks['mean_average_precision']}")
    console.print(
        f"bundle: {trained.bundle.root}   card: {trained.bundle.root / 'MODEL_CARD.md'}",
        soft_wrap=True,
    )
    console.print(RESEARCH_USE)


def _print_gate(fitted: FittedGate) -> None:
    from rich.table import Table

    from hilum.core.reading import RESEARCH_USE

    pictures = Table(title="Pictures held out by patient, refused", title_justify="left")
    for heading in ("kind", "pictures", "right reason", "any reason", "kind never seen"):
        pictures.add_column(heading)
    for row in fitted.kinds.to_dict("records"):
        shares = [_percent(row[n]) for n in ("right_reason", "refused", "refused_unforeseen")]
        pictures.add_row(str(row["kind"]), str(row["pictures"]), *shares)
    good = Table(title="Good films of adults, refused", title_justify="left")
    for heading in ("collection", "films", "patients held out", "collection left out", "reasons"):
        good.add_column(heading)
    for row in fitted.cohorts.to_dict("records"):
        shares = [_percent(row[name]) for name in ("refused", "refused_left_out")]
        good.add_row(str(row["cohort"]), str(row["films"]), *shares, str(row["reasons"]))
    console = plain()
    console.print(pictures)
    console.print(good)
    console.print(str(fitted.folder / "gate.json"), soft_wrap=True)
    console.print(RESEARCH_USE)


def _percent(share: float) -> str:
    return "-" if share != share else f"{share:.1%}"

"""``hilum train-detector``: boxes around opacities, by a detector of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.apps.cli.places import out_folder


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.command("train-detector", rich_help_panel=panel)(train_detector)


def train_detector(
    recipe: Annotated[Path, typer.Option(help="TOML file, as recipes/detector.toml.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the collections that the recipe names; else HILUM_DATA."),
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(help="A cases table with boxes instead of the collections; `fold` is kept."),
    ] = None,
    out: Annotated[
        Path | None, out_folder("Run folder; else runs/ and the name of the recipe.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Start from this detector: a folder, or a name on the Hugging Face hub."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last whole epoch of the run folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Fine-tune a detector on boxes, cross-validated by patient.

    For each fold a detector learns from the others and looks at this one, so
    every film is scored by a detector that never saw its patient:
    detections.json (COCO results), scores.json. With `--set fit.final=true`
    one more learns from all films: model/ and detector.onnx. Films on which
    the label is known to be absent are the negatives.

    Without --weights the detector starts untrained on a backbone with
    ImageNet weights, which hundreds of films are too few for. Any detector of
    transformers will do (RT-DETR, D-FINE, DETR, YOLOS, ...); a name on the
    hub needs a network the first time. See docs/explanation/boxes.md.

    \b
    Example:
      hilum train-detector --recipe recipes/detector.toml --data ../shared/data
      hilum train-detector --recipe recipes/detector.toml --cases rsna.csv \\
        --weights PekingU/rtdetr_v2_r18vd --set preprocess.size=640 \\
        --set preprocess.region=film --set preprocess.mean=0 --set preprocess.std=1
    """
    from hilum.core.extras import require

    require("train")
    require("evaluate")
    from hilum.apps.training import data_root
    from hilum.core.command import command_line
    from hilum.data.table import read_cases
    from hilum.learn.detect.recipe import DetectorRecipe
    from hilum.learn.detect.run import train_detector as run

    out = out or Path("runs") / recipe.stem
    trained = run(
        DetectorRecipe.load(recipe, settings or []),
        out,
        root=None if cases else data_root(data),
        cases=None if cases is None else read_cases(cases),
        weights=weights,
        command=command_line(),
        resume=resume,
        tell=lambda line: typer.secho(line, fg="bright_black", err=True),
    )
    from hilum.apps.cli.boxes import print_scores

    print_scores(trained.scores, as_json=as_json)
    if not as_json:
        typer.echo(f"{out / 'detections.json'}   {out / 'scores.json'}")

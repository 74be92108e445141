"""``hilum evaluate``: what a bundle scored, or anyone's predictions; tables, JSON and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.places import out_folder
from hilum.apps.cli.seen import AllowSeen
from hilum.apps.cli.streams import json_text
from hilum.core.command import command_line

if TYPE_CHECKING:
    from rich.table import Table

    from hilum.core.estimate import Estimate
    from hilum.judge.schema import Evaluation, EvaluationSettings, LabelEvaluation


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.command("evaluate", rich_help_panel=panel)(evaluate)


def evaluate(
    bundle: Annotated[
        str | None,
        typer.Argument(metavar="BUNDLE", help="Bundle folder, or 'default' for the built-in."),
    ] = None,
    cases: Annotated[
        Path | None, typer.Argument(metavar="SPLIT.csv", help="Cases table with a split column.")
    ] = None,
    out: Annotated[
        Path | None, out_folder("Write evaluation.json, pictures and report.html here.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Judge this table (case_id, label, truth, score) instead of reading films."
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Rows to evaluate: a value of 'split', 'fold=2', or 'all'.")
    ] = "test",
    label: Annotated[
        list[str] | None,
        typer.Option(help="Label to judge; repeat for more. Default: all that both sides have."),
    ] = None,
    operating_point: Annotated[
        str | None, typer.Option(help="Name in the bundle; default: its first.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="With --predictions: call a film at this score.")
    ] = 0.5,
    prevalence: Annotated[float, typer.Option(help="Prevalence for PPV and NPV.")] = 0.05,
    bootstrap: Annotated[int, typer.Option(help="Resamples of patients; 0: no intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    nuisance: Annotated[
        bool, typer.Option(help="Fit the nuisance baseline beside the model.")
    ] = True,
    allow_seen: AllowSeen = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print evaluation.json.")] = False,
) -> None:
    """Judge a bundle on films that it was not trained on, or anyone's predictions.

    Every metric has a 95 % interval by bootstrap over patients and an n.
    Overall and by source, view, sex and age, beside a baseline that sees only
    size, brightness and borders of the films: a model that does not beat it
    has not been shown to read lungs. Of a bundle that finds lungs and
    opacities itself: the Dice with what people drew; see drawn.csv, drawn.png.
    Films that are refused are counted, never scored. A table of predictions
    has one row per film and label: case_id, label, truth (1, 0 or blank) and
    score in [0, 1], and if known probability, group (the patient), cohort,
    source, view, sex, age_years.

    [bold]Example:[/bold] hilum evaluate runs/first/bundle split.csv -o out/

    [bold]Example:[/bold] hilum evaluate --predictions scores.csv --threshold
    0.4 -o out/
    """
    from hilum.judge.schema import EvaluationSettings

    _check_usage(bundle, cases, predictions)
    values = {"prevalence": prevalence, "folds": bootstrap, "seed": seed, "nuisance": nuisance}
    settings = EvaluationSettings.parse(values, where="hilum evaluate")
    labels = label or []
    if predictions is not None:
        found = _judge(predictions, split, threshold, labels, settings, out)
    else:
        found = _read_and_judge(
            str(bundle), Path(str(cases)), split, labels, operating_point, settings, out, allow_seen
        )
    _say(found, as_json, out)


def _check_usage(bundle: str | None, cases: Path | None, predictions: Path | None) -> None:
    if predictions is not None and bundle is not None:
        raise typer.BadParameter("give BUNDLE and SPLIT.csv, or --predictions; not both")
    if predictions is None and (bundle is None or cases is None):
        raise typer.BadParameter("expected BUNDLE and SPLIT.csv, or --predictions TABLE")


def _read_and_judge(
    bundle: str,
    cases: Path,
    split: str,
    labels: list[str],
    operating_point: str | None,
    settings: EvaluationSettings,
    out: Path | None,
    allow_seen: bool,
) -> Evaluation:
    from hilum.core.extras import require

    require("evaluate")
    from hilum.data.table import read_cases
    from hilum.serve.evaluate import evaluate as run
    from hilum.serve.reader import load_bundle

    return run(
        load_bundle(bundle),
        read_cases(cases),
        out=out,
        split=None if split == "all" else split,
        labels=labels,
        operating_point=operating_point,
        settings=settings,
        allow_seen=allow_seen,
        name=cases.name,
        command=command_line(),
    )


def _judge(
    table: Path,
    split: str,
    threshold: float,
    labels: list[str],
    settings: EvaluationSettings,
    out: Path | None,
) -> Evaluation:
    from hilum.core.extras import require

    require("evaluate")
    from hilum.data.leaks import refuse_leaks
    from hilum.judge.evaluation import choose_labels, evaluate_predictions
    from hilum.judge.predictions import read_predictions
    from hilum.judge.report import write_report
    from hilum.judge.schema import About, Threshold
    from hilum.serve.evaluate import choose_cases

    predictions = read_predictions(table)
    refuse_leaks(predictions.drop_duplicates("case_id"))
    if "split" in predictions and split != "all":
        predictions = predictions[choose_cases(predictions, split)]
    names = choose_labels(labels, list(dict.fromkeys(predictions["label"])), str(table))
    predictions = predictions[predictions["label"].isin(names)]
    point = Threshold(
        name="given", threshold=threshold, chosen_on="no data of this run", rule="--threshold"
    )
    evaluation = evaluate_predictions(
        predictions,
        operating_points=dict.fromkeys(names, point),
        settings=settings,
        about=About(title=table.name, cases=table.name, command=command_line()),
    )
    if out is not None:
        write_report(evaluation, predictions, out)
    return evaluation


def _say(evaluation: Evaluation, as_json: bool, out: Path | None) -> None:
    if as_json:
        typer.echo(json_text(evaluation.model_dump_json()))
        return
    from rich.console import Console

    from hilum.judge.words import headline

    console = Console()
    for label in evaluation.labels:
        for sentence in headline(label):
            console.print(sentence, highlight=False, markup=False)
        console.print(_metrics(label, evaluation.settings.prevalence))
        if label.baseline:
            console.print(_baseline(label))
    if looks := evaluation.appearance:
        console.print(
            f"appearance: mean average precision {looks.mean_average_precision}, likeliest right "
            f"{looks.right}, set holds it {looks.coverage or 'not fitted'}",
            highlight=False,
            markup=False,
        )
    if evaluation.drawn:
        console.print(_drawn(evaluation.drawn))
    if evaluation.not_read:
        console.print(f"{len(evaluation.not_read)} films were not read: counted, not scored.")
    if evaluation.seen:
        console.print(f"Training films: {evaluation.seen.said}.", markup=False)
    if out is not None:
        console.print(f"Written: {out / 'report.html'}", markup=False, soft_wrap=True)
    console.print(evaluation.notice, markup=False)


def _metrics(label: LabelEvaluation, prevalence: float) -> Table:
    from rich.table import Table

    from hilum.judge.panel import METRICS

    table = Table("metric", "value [95 % interval] (n)", title=label.label, title_justify="left")
    for name, metric in METRICS.items():
        if metric.shown:
            stated = f" at prevalence {prevalence:.1%}" if name in ("ppv", "npv") else ""
            table.add_row(metric.title + stated, str(label.metrics[name]))
    return table


def _drawn(found: dict[str, Estimate]) -> Table:
    from rich.table import Table

    table = Table("Dice", "value [95 % interval] (n)", title="Beside what was drawn")
    table.title_justify = "left"
    for name, estimate in found.items():
        table.add_row(name, str(estimate))
    return table


def _baseline(label: LabelEvaluation) -> Table:
    from rich.table import Table

    table = Table("AUROC", "model", "nuisance baseline", "difference")
    for row in label.baseline:
        table.add_row(row.where, *(str(e) for e in (row.model, row.baseline, row.difference)))
    return table

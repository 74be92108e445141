"""``hilum evaluate``: what a bundle scored, or anyone's predictions; tables, JSON and a page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.apps.cli.console import plain
from hilum.apps.cli.options import (
    AllowSeen,
    Bootstrap,
    Bundle,
    Json,
    Labels,
    OperatingPoint,
    Seed,
    Split,
    Threshold,
    is_given,
    out_folder,
    refuse_options,
)
from hilum.apps.cli.streams import print_json, tell
from hilum.core.command import command_line

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from hilum.core.estimate import Estimate
    from hilum.judge.schema import Evaluation, EvaluationSettings, LabelEvaluation

BOX_SCORES = "scores.json"


def evaluate(
    ctx: typer.Context,
    cases: Annotated[
        Path | None, typer.Argument(metavar="CASES.csv", help="A cases table.")
    ] = None,
    bundle: Bundle = None,
    out: Annotated[
        Path | None,
        out_folder(
            "Write evaluation.json, pictures and report.html here; of --detections scores.json.",
            files=(
                "evaluation.json",
                "predictions.csv",
                "report.html",
                "drawn.csv",
                "drawn.png",
                BOX_SCORES,
            ),
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Judge this table (case_id, label, truth, score) instead of reading films."
        ),
    ] = None,
    detections: Annotated[
        Path | None,
        typer.Option(help="Judge these boxes instead: COCO results, with scores."),
    ] = None,
    split: Split = "test",
    label: Labels = None,
    operating_point: OperatingPoint = None,
    threshold: Threshold = 0.5,
    prevalence: Annotated[
        float,
        typer.Option(help="Share of films with COVID-19 pneumonia, e.g. 0.05."),
    ] = 0.05,
    coco: Annotated[
        Path | None,
        typer.Option(help="The COCO file that image_id of --detections counts in."),
    ] = None,
    overlap: Annotated[
        float, typer.Option(min=0.01, max=1, help="Intersection over union that is a hit.")
    ] = 0.5,
    false_boxes: Annotated[
        float, typer.Option(min=0, help="False boxes a film at which recall is told.")
    ] = 0.25,
    bootstrap: Bootstrap = 1000,
    seed: Seed = 0,
    nuisance: Annotated[
        bool, typer.Option(help="Fit the nuisance baseline beside the model.")
    ] = True,
    allow_seen: AllowSeen = False,
    as_json: Json = False,
) -> None:
    """Judge a bundle on films that it was not trained on, or anyone's predictions or boxes.

    Every metric has a 95 % interval by bootstrap over patients and an n.
    Overall and by source, view, sex and age, beside a baseline that sees only
    size, brightness and borders of the films: a model that does not beat it
    has not been shown to read lungs. Of a bundle that finds lungs and
    opacities itself: the Dice with what people drew; see drawn.csv, drawn.png.
    Films that are refused are counted, never scored. A table of predictions
    has one row per film and label: case_id, label, truth (1, 0 or blank) and
    score in [0, 1] (blank: not read), and if known probability, group (the
    patient), cohort, source, view, sex, age_years; --threshold says which
    scores are a finding (a bundle has operating points instead). A table of
    predictions, or with --detections, that has no column split counts whole.
    --prevalence is that of PPV and NPV of COVID-19 pneumonia (of the first
    label, where that is not judged); those of the other labels move along, as
    in 'hilum read'. --json prints evaluation.json.

    An option that has no meaning for what is judged is refused.

    --detections gives COCO's mAP, and recall at 0.25 false boxes a film, of
    the films on which the label (lung-opacity) is settled: those with boxes,
    and those where it is known to be absent. A film that the detections do
    not name has none. image_id is the case_id, or counts in --coco.

    \b
    Example:
      hilum evaluate split.csv -b runs/first/bundle -o out/
      hilum evaluate --predictions scores.csv --threshold 0.4 -o out/
      hilum evaluate cases.csv --detections detections.json
    """
    from hilum.core.extras import require
    from hilum.judge.schema import EvaluationSettings

    others = [each for each in (predictions, detections) if each is not None]
    if len(others) > 1 or (others and bundle is not None):
        raise typer.BadParameter("give -b BUNDLE, --predictions or --detections; not several")
    if (predictions is None) == (cases is None):
        raise typer.BadParameter("expected CASES.csv, or --predictions TABLE; not both")
    _refuse(ctx, predictions, detections)
    require("evaluate")
    asked = is_given(ctx, "split")
    if detections is not None:
        told = {"overlap": overlap, "false_boxes": false_boxes}
        scores = _score_boxes(
            detections, Path(str(cases)), coco, label, split, asked,
            folds=bootstrap, seed=seed, **told,
        )  # fmt: skip
        if out is not None:
            _write_boxes(scores, out)
        print_boxes(scores, as_json=as_json, **told)
        return
    values = {"prevalence": prevalence, "folds": bootstrap, "seed": seed, "nuisance": nuisance}
    settings = EvaluationSettings.parse(values, where="hilum evaluate")
    labels = label or []
    if predictions is not None:
        found = _judge(predictions, split, asked, threshold, labels, settings, out)
    else:
        found = _read_and_judge(
            bundle, Path(str(cases)), split, labels, operating_point, settings, out, allow_seen
        )
    _say(found, as_json, out)


def _refuse(ctx: typer.Context, predictions: Path | None, detections: Path | None) -> None:
    """Refuse an option that would be passed over."""
    boxes, reading = ("coco", "overlap", "false_boxes"), ("operating_point", "allow_seen")
    if detections is not None:
        others = (*reading, "threshold", "prevalence", "nuisance")
        refuse_options(ctx, others, "--detections")
    elif predictions is not None:
        refuse_options(ctx, (*boxes, *reading), "--predictions")
    else:
        refuse_options(ctx, boxes, "a bundle that reads films", "it is one of --detections")
        instead = "--operating-point names one of its own"
        refuse_options(ctx, ("threshold",), "a bundle that reads films", instead)


def _split_of(table: pd.DataFrame, split: str, asked: bool) -> str | None:
    """Return the split to judge, or None for every row: of all, or none to choose by."""
    return None if split == "all" or not (asked or "split" in table) else split


def _read_and_judge(
    bundle: Path | None,
    cases: Path,
    split: str,
    labels: list[str],
    operating_point: str | None,
    settings: EvaluationSettings,
    out: Path | None,
    allow_seen: bool,
) -> Evaluation:
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
    asked: bool,
    threshold: float,
    labels: list[str],
    settings: EvaluationSettings,
    out: Path | None,
) -> Evaluation:
    from hilum.core.errors import CohortError
    from hilum.core.reading import Status
    from hilum.data.leaks import refuse_leaks
    from hilum.judge.evaluation import choose_labels, evaluate_predictions
    from hilum.judge.predictions import read_predictions
    from hilum.judge.report import write_report
    from hilum.judge.schema import About, Threshold
    from hilum.serve.evaluate import (
        Predictions,
        choose_cases,
        flow_of,
        versions,
        without_reading,
    )

    predictions = read_predictions(table, unscored=True)
    films = refuse_leaks(predictions.drop_duplicates("case_id"))
    side = _split_of(predictions, split, asked)
    predictions = predictions[choose_cases(predictions, side)]
    chosen = predictions.drop_duplicates("case_id")
    names = choose_labels(labels, list(dict.fromkeys(predictions["label"])), str(table))
    predictions = predictions[predictions["label"].isin(names)]
    unread = predictions["score"].isna()
    if unread.all():
        raise CohortError(f"{table}: every score is blank; nothing can be judged")
    never = ~predictions["case_id"].isin(predictions["case_id"][~unread])
    not_read = [
        without_reading(case, Status.REFUSED, "no score was given")
        for case in predictions[never].drop_duplicates("case_id").to_dict("records")
    ]
    lacking = predictions["label"][unread & ~never].value_counts(sort=False)
    predictions = predictions[~unread]
    told = predictions["label"][predictions["probability"] != predictions["score"]]
    point = Threshold(
        name="given", threshold=threshold, chosen_on="no data of this run", rule="--threshold"
    )
    evaluation = evaluate_predictions(
        predictions,
        operating_points=dict.fromkeys(names, point),
        calibrated=told,
        settings=settings,
        about=About(
            title=table.name,
            cases=table.name,
            split=side or "all",
            command=command_line(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=versions(),
        ),
        flow=flow_of(films, chosen, side, Predictions(predictions, tuple(not_read))),
        not_read=not_read,
    )
    unscored = [f"{each}: films without a score, in no metric: {n}" for each, n in lacking.items()]
    unknown = (*evaluation.not_known, *(f"{each}." for each in unscored))
    evaluation = evaluation.model_copy(update={"not_known": unknown})
    if out is not None:
        write_report(evaluation, predictions, out)
    return evaluation


def _score_boxes(
    detections: Path,
    cases: Path,
    coco: Path | None,
    labels: list[str] | None,
    split: str,
    asked: bool,
    **settings: Any,
) -> dict[str, Estimate]:
    from hilum.core.case import owner_of
    from hilum.core.errors import CohortError
    from hilum.data.coco import boxed, boxes_in, detections_of, read_coco
    from hilum.data.leaks import refuse_leaks
    from hilum.data.table import read_cases
    from hilum.judge.detection import FilmBoxes, estimate_detection
    from hilum.serve.evaluate import choose_cases

    label, *more = labels or ["lung-opacity"]
    if more:
        raise typer.BadParameter("--detections are scored for one label")
    whole = refuse_leaks(read_cases(cases))
    side = _split_of(whole, split, asked)
    chosen = whole[choose_cases(whole, side)]
    if side:
        tell(f"{len(chosen)} of {len(whole)} films of the table are in split '{side}'")
    table = boxed(chosen, label)
    found = detections_of(read_coco(detections), read_coco(coco) if coco else None, str(detections))
    if found and not found.keys() & set(whole["case_id"]):
        raise CohortError(
            f"{detections}: no detection is on a film of the table; the first names "
            f"'{next(iter(found))}'",
            hint="--coco FILE names the file that image_id counts in; else it is the case_id",
        )
    if strange := sorted(found.keys() - set(whole["case_id"])):
        typer.echo(
            f"detections on {len(strange)} films that are not in the table are left out, e.g. "
            f"'{strange[0]}'",
            err=True,
        )
    films = [
        FilmBoxes.of(boxes_in(drawn, label), *found.get(case_id, ([], [])))
        for case_id, drawn in zip(table["case_id"], table["boxes"], strict=True)
    ]
    owners = owner_of(table).to_numpy()
    return estimate_detection(films, owners, **settings)


def _write_boxes(scores: dict[str, Estimate], out: Path) -> None:
    """Write what ``print_boxes`` prints as JSON, and the command line."""
    from pydantic_core import to_json

    from hilum.core.files import write_text

    made = {"command": command_line(), "created": datetime.now(UTC).isoformat(timespec="seconds")}
    text = to_json({"scores": scores, "made": made}, indent=2, inf_nan_mode="null").decode()
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / BOX_SCORES, text + "\n")


def print_boxes(
    scores: dict[str, Estimate],
    *,
    as_json: bool,
    overlap: float = 0.5,
    false_boxes: float = 0.25,
) -> None:
    """Print "map" and "recall" with their intervals."""
    if as_json:
        print_json(scores, indent=2)
        return
    typer.echo(f"mAP at overlap {overlap:g}: {scores['map']}")
    typer.echo(f"recall at {false_boxes:g} false boxes a film: {scores['recall']}")


def _say(evaluation: Evaluation, as_json: bool, out: Path | None) -> None:
    if as_json:
        print_json(evaluation)
        return

    from hilum.judge.words import headline, of_probability

    console = plain()
    for label in evaluation.labels:
        for sentence in headline(label, evaluation.not_known):
            console.print(sentence)
        console.print(_metrics(label, evaluation.prevalence_of(label)))
        if told := of_probability(label):
            console.print(told)
        if label.baseline:
            console.print(_baseline(label))
    if looks := evaluation.appearance:
        console.print(
            f"appearance: mean average precision {looks.mean_average_precision}, likeliest right "
            f"{looks.right}, set holds it {looks.coverage or 'not fitted'}",
        )
    if evaluation.drawn:
        console.print(_drawn(evaluation.drawn))
    if evaluation.not_read:
        console.print(f"{len(evaluation.not_read)} films were not read: counted, not scored.")
    if evaluation.seen:
        console.print(f"Training films: {evaluation.seen.said}.")
    if out is not None:
        console.print(f"Written: {out / 'report.html'}", soft_wrap=True)
    console.print(evaluation.notice)


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

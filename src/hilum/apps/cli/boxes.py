"""``hilum boxes``: the boxes of a cases table out to COCO, in from COCO, and detections scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.places import out_file
from hilum.core.errors import CohortError

if TYPE_CHECKING:
    from hilum.core.estimate import Estimate

Table = Annotated[Path, typer.Argument(help="A cases table.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

boxes_app = typer.Typer(
    help="Boxes: a cases table to COCO JSON and back; score what a detector found.",
    no_args_is_help=True,
)


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.add_typer(boxes_app, name="boxes", rich_help_panel=panel)


@boxes_app.command("export")
def export(
    cases: Table,
    out: Annotated[Path, out_file("Write COCO JSON here.")],
    label: Annotated[
        list[str] | None, typer.Option(help="Whose boxes; may be repeated. Default lung-opacity.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the boxes of a cases table as COCO detection JSON.

    An image carries its case_id. COCO cannot say "unknown", so a film is
    taken only where every label is settled: it has a box, or the label is 0.

    [bold]Example:[/bold] hilum boxes export cases.csv -o coco.json
    """
    from hilum.data.coco import to_coco, write_coco
    from hilum.data.table import read_cases

    coco = to_coco(read_cases(cases), label or ("lung-opacity",))
    write_coco(coco, out)
    drawn = len({each["image_id"] for each in coco["annotations"]})
    counts = {"out": str(out), "films": len(coco["images"]), "films_with_boxes": drawn}
    counts["boxes"] = len(coco["annotations"])
    if as_json:
        typer.echo(json.dumps(counts))
    else:
        typer.echo(f"{out}: {counts['films']} films, {drawn} of them with {counts['boxes']} boxes")


@boxes_app.command("import")
def import_boxes(
    coco: Annotated[Path, typer.Argument(help="COCO JSON: images, categories, annotations.")],
    cases: Table,
    out: Annotated[Path, out_file("Write the table with boxes here.")],
    as_json: Json = False,
) -> None:
    """Put the boxes of a COCO file into a cases table, joined by case_id.

    Boxes of the file's categories are replaced on its images, also by none where
    all were deleted; others are kept. An image without case_id goes by its file_name.

    [bold]Example:[/bold] hilum boxes import coco.json cases.csv -o with-boxes.csv
    """
    from hilum.data.coco import from_coco, labels_of, read_coco, with_boxes
    from hilum.data.table import read_cases, write_cases

    read = read_coco(coco)
    found = from_coco(read, str(coco))
    write_cases(with_boxes(read_cases(cases), found, labels_of(read)), out)
    count = sum(len(each) for each in found.values())
    if as_json:
        typer.echo(json.dumps({"out": str(out), "films": len(found), "boxes": count}))
    else:
        typer.echo(f"{out}: {count} boxes on {len(found)} films")


@boxes_app.command("score")
def score(
    detections: Annotated[Path, typer.Argument(help="COCO results: a list of boxes with scores.")],
    cases: Table,
    coco: Annotated[
        Path | None,
        typer.Option(help="The COCO file that image_id counts in; without it case_id is read."),
    ] = None,
    label: Annotated[str, typer.Option(help="Whose boxes are the reference.")] = "lung-opacity",
    overlap: Annotated[
        float, typer.Option(min=0.01, max=1, help="Intersection over union that is a hit.")
    ] = 0.5,
    false_boxes: Annotated[
        float, typer.Option(min=0, help="False boxes a film at which recall is told.")
    ] = 0.25,
    as_json: Json = False,
) -> None:
    """Score detections: COCO's mAP, and recall at 0.25 false boxes a film.

    Films of the table on which the label is settled count: those with boxes,
    and those where it is known to be absent. A film that the detections do
    not name has none. Intervals: bootstrap over patients.

    [bold]Example:[/bold] hilum boxes score detections.json cases.csv
    """
    from hilum.core.extras import require

    require("evaluate")
    from hilum.core.case import owner_of
    from hilum.data.coco import boxed, boxes_in, detections_of, read_coco
    from hilum.data.leaks import refuse_leaks
    from hilum.data.table import read_cases
    from hilum.judge.detection import FilmBoxes, estimate_detection

    whole = refuse_leaks(read_cases(cases))
    table = boxed(whole, label)
    found = detections_of(read_coco(detections), read_coco(coco) if coco else None, str(detections))
    if found and not found.keys() & set(table["case_id"]):
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
    scores = estimate_detection(
        films, owner_of(table).to_numpy(), overlap=overlap, false_boxes=false_boxes
    )
    print_scores(scores, as_json=as_json, overlap=overlap, false_boxes=false_boxes)


def print_scores(
    scores: dict[str, Estimate],
    *,
    as_json: bool,
    overlap: float = 0.5,
    false_boxes: float = 0.25,
) -> None:
    """Print "map" and "recall" with their intervals."""
    if as_json:
        numbers = {name: json.loads(each.model_dump_json()) for name, each in scores.items()}
        typer.echo(json.dumps(numbers, indent=2, allow_nan=False))
        return
    typer.echo(f"mAP at overlap {overlap:g}: {scores['map']}")
    typer.echo(f"recall at {false_boxes:g} false boxes a film: {scores['recall']}")

"""Report: an evaluation as a folder: JSON, the predictions, pictures and one HTML page.

OUT/
  evaluation.json        every number, with interval and n
  predictions.csv        one row per film and label; ``hilum evaluate --predictions`` reads it
  LABEL-roc.png ...      the pictures of each label
  report.html            all of it on one page that needs no other file
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hilum.core.case import films_of
from hilum.core.estimate import Estimate
from hilum.core.extras import require
from hilum.core.files import atomic_path, write_text
from hilum.core.page import data_uri, render
from hilum.judge.panel import METRICS, STRATUM_METRICS
from hilum.judge.predictions import check_predictions, scored
from hilum.judge.schema import BaselineRow, Evaluation, LabelEvaluation, Stratum
from hilum.judge.strata import COLUMNS
from hilum.judge.words import NO_PATIENTS, headline, of_probability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = Path(__file__).parent / "templates" / "report.html"
_LISTED = 50  # films not read that the page lists; the JSON has all

CAPTIONS: dict[str, str] = {
    "roc": "ROC curve; the band is the 95 % interval of sensitivity over resampled patients.",
    "precision-recall": "Precision and recall; chance is the share of positive films here.",
    "reliability": "What was stated against what was seen, in ten bins, with 95 % intervals over "
    "patients; below, how often each value was stated.",
    "reliability-by-source": "The same within each cohort and source with enough films of both "
    "classes; at most nine are drawn.",
    "confusion": "Films by reference standard and call at the operating point.",
    "scores": "Scores of each class as shares of that class, so that both areas are equal.",
    "forest": "AUROC of each part of the films (positive / negative films), and of the nuisance "
    "baseline where it was fitted on that part. Parts with too few films are left out.",
}
"""Picture -> its caption; the file is LABEL-PICTURE.png."""


@dataclass(frozen=True, slots=True)
class ReportPicture:
    """One picture on the page, inside it."""

    name: str
    uri: str
    caption: str


def write_report(evaluation: Evaluation, predictions: pd.DataFrame, out: Path) -> Path:
    """Write the folder drawn at the top of this file.

    Args:
        evaluation: what ``evaluate_predictions`` returned.
        predictions: the table that it was given.
        out: the folder; made where missing, its older files of these names replaced.

    Returns:
        The HTML page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("evaluate")
    table = check_predictions(predictions)
    pictures = {
        label.label: _draw(label, table[table["label"] == label.label], evaluation, out)
        for label in evaluation.labels
    }
    evaluation.write(out / "evaluation.json")
    with atomic_path(out / "predictions.csv") as temporary:
        predictions.to_csv(temporary, index=False)
    page = out / "report.html"
    write_text(page, page_of(evaluation, pictures))
    return page


def page_of(evaluation: Evaluation, pictures: dict[str, list[ReportPicture]]) -> str:
    """Return the HTML page; ``pictures`` by label."""
    return render(
        TEMPLATE,
        evaluation=evaluation,
        of_probability=of_probability,
        headlines={
            label.label: headline(label, evaluation.not_known) for label in evaluation.labels
        },
        pictures=pictures,
        metrics={name: metric for name, metric in METRICS.items() if metric.shown},
        stratum_metrics={name: METRICS[name].title for name in STRATUM_METRICS},
        strata={label.label: _shown(label) for label in evaluation.labels},
        columns=COLUMNS,
        given=NO_PATIENTS not in evaluation.not_known,
        films_of=films_of,
        listed=evaluation.not_read[:_LISTED],
        number=number,
        interval=interval,
    )


def number(estimate: Estimate) -> str:
    """Write the value of an estimate, or a dash.

    >>> number(Estimate.undefined(0, "no cases"))
    '-'
    """
    return "-" if math.isnan(estimate.value) else f"{estimate.value:.3f}"


def interval(estimate: Estimate) -> str:
    """Write the interval of an estimate, or "".

    >>> interval(Estimate(value=0.5, low=0.25, high=0.75, n=8))
    '0.250 to 0.750'
    """
    return "" if math.isnan(estimate.low) else f"{estimate.low:.3f} to {estimate.high:.3f}"


def forest_rows(label: LabelEvaluation) -> list[tuple[str, Estimate, Estimate | None]]:
    """Return (name, AUROC, AUROC of the baseline or None) of all films and of each stratum."""
    baselines = {row.where: row for row in label.baseline}
    rows = [("all films", label.metrics["auroc"], _baseline(baselines.get("all films")))]
    for part in label.strata:
        name = f"{COLUMNS[part.column]}: {part.value} ({part.positives} / {part.negatives})"
        beside = _baseline(baselines.get(f"within {part.column} {part.value}"))
        rows.append((name, part.metrics["auroc"], beside))
    return [row for row in rows if not math.isnan(row[1].value)]


def _baseline(row: BaselineRow | None) -> Estimate | None:
    return None if row is None or math.isnan(row.baseline.value) else row.baseline


def _shown(label: LabelEvaluation) -> tuple[list[Stratum], list[Stratum]]:
    """Strata with any number, and those without."""
    some = [any(not math.isnan(e.value) for e in part.metrics.values()) for part in label.strata]
    pairs = list(zip(label.strata, some, strict=True))
    return [part for part, has in pairs if has], [part for part, has in pairs if not has]


def _draw(
    label: LabelEvaluation, rows: pd.DataFrame, evaluation: Evaluation, out: Path
) -> list[ReportPicture]:
    from hilum.judge.plots import save

    pictures = []
    for name, figure in _figures(label, rows, evaluation).items():
        path = out / f"{_file_name(label.label)}-{name}.png"
        save(figure, path)
        pictures.append(ReportPicture(name, data_uri(path.read_bytes()), CAPTIONS[name]))
    return pictures


def _figures(
    label: LabelEvaluation, rows: pd.DataFrame, evaluation: Evaluation
) -> dict[str, Figure]:
    from hilum.judge import plots

    threshold, found = label.operating_point.threshold, label.metrics
    cases, settings = scored(rows, threshold), evaluation.settings
    figures: dict[str, Any] = {
        "roc": plots.roc(cases, found["auroc"], folds=settings.folds, seed=settings.seed),
        "precision-recall": plots.precision_recall(cases, found["average_precision"]),
        "reliability": plots.reliability(
            label.reliability[0], cases.probability, calibrated=label.calibrated
        ),
        "confusion": plots.confusion_matrix(label.label, label.counts, threshold),
        "scores": plots.score_histograms(cases, threshold),
    }
    if within := [r for r in label.reliability[1:] if not math.isnan(r.slope.value)]:
        figures["reliability-by-source"] = plots.reliability_by_source(within)
    if math.isnan(found["auroc"].value):
        del figures["roc"]
    elif rows_of_forest := forest_rows(label):
        figures["forest"] = plots.forest(rows_of_forest, found["auroc"])
    if math.isnan(found["average_precision"].value):
        del figures["precision-recall"]
    return figures


def _file_name(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in label)

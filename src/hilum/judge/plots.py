"""Pictures of an evaluation, drawn without a display, in colors that all readers can tell apart.

Colors are of Okabe and Ito's palette; classes differ in fill or mark as well. Each function
returns a figure of its own that belongs to no global state, so that nothing has to be closed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hilum.core.estimate import Estimate
from hilum.core.files import atomic_path
from hilum.judge.bootstrap import LEVEL, resample
from hilum.judge.metrics import Floats, precision_recall_curve, roc_curve
from hilum.judge.panel import ScoredCases
from hilum.judge.reliability import BINS
from hilum.judge.schema import CallCounts, Reliability

if TYPE_CHECKING:
    from hilum.judge.audit.schema import AuditCheck, AuditRow

BLUE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#8a8f94", "#1b2733"
_SQUARE = (5.2, 4.8)
_STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e8ed",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "text.parse_math": False,  # a label or source may hold a dollar sign
}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG at 150 dots an inch, whole or not at all."""
    with atomic_path(path) as temporary, rc_context(_STYLE):
        figure.savefig(temporary, dpi=150)


@rc_context(_STYLE)
def roc(cases: ScoredCases, auroc: Estimate, *, folds: int = 1000, seed: int = 0) -> Figure:
    """ROC curve with its 95 % band (of sensitivity, over resampled patients) and the call."""
    figure, axes = _square("1 - specificity", "Sensitivity")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="chance")
    if not math.isnan(auroc.value):
        grid = np.linspace(0, 1, 201)
        low, high = roc_band(cases, grid, folds=folds, seed=seed)
        axes.fill_between(grid, low, high, color=BLUE, alpha=0.18, linewidth=0, label="95 % band")
        axes.plot(*roc_curve(cases.truth, cases.score), color=BLUE, linewidth=2, label="model")
        axes.plot(*_called(cases), "o", color=ORANGE, markersize=8, label="operating point")
    _legend_below(figure)
    axes.set_title(f"ROC: AUROC {auroc}" if auroc.n else "ROC: no cases")
    return figure


def roc_band(cases: ScoredCases, grid: Floats, *, folds: int, seed: int) -> tuple[Floats, Floats]:
    """Pointwise percentile band of sensitivity at each 1 - specificity of ``grid``.

    Resamples with one class only are left out; NaN where none is left.
    """
    rows = []
    for weights in resample(cases.groups, folds=folds, seed=seed):
        false, true = roc_curve(cases.truth, cases.score, weights)
        usable = ~np.isnan(false[:, 0] + true[:, 0])
        rows += [np.interp(grid, *row) for row in zip(false[usable], true[usable], strict=True)]
    if not rows:
        return np.full(grid.shape, np.nan), np.full(grid.shape, np.nan)
    low, high = np.percentile(rows, [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=0)
    return low, high


@rc_context(_STYLE)
def precision_recall(cases: ScoredCases, average_precision: Estimate) -> Figure:
    """Precision against recall, with the share of positive films as the level of chance."""
    figure, axes = _square("Recall (sensitivity)", "Precision (in this mix of films)")
    if not math.isnan(average_precision.value):
        precision, recall = precision_recall_curve(cases.truth, cases.score)
        # A step holds up to its recall, so that the area beneath is the average precision.
        recall, precision = np.append(0, recall), np.append(precision[0], precision)
        axes.step(recall, precision, where="pre", color=BLUE, linewidth=2, label="model")
        share = float(cases.truth.mean())
        axes.axhline(share, color=GREY, linestyle="--", linewidth=1, label=f"chance {share:.2f}")
        _legend_below(figure)
    axes.set_title(f"Average precision {average_precision}")
    return figure


@rc_context(_STYLE)
def reliability(row: Reliability, probability: Floats, *, calibrated: bool) -> Figure:
    """Observed against stated frequency with 95 % intervals over patients, over a histogram."""
    figure = _figure((5.2, 5.6))
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as stated")
    _bins(axes, row)
    axes.set(ylabel="Share that is positive", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(f"{'Calibrated probability' if calibrated else 'Raw score'}: ECE {row.ece}")
    edges = np.linspace(0, 1, BINS + 1).tolist()
    below.hist(probability, bins=edges, color=BLUE, edgecolor="white")
    below.set(ylabel="Films", xlabel="Probability stated" if calibrated else "Score")
    _legend_below(figure)
    return figure


@rc_context(_STYLE)
def reliability_by_source(rows: Sequence[Reliability]) -> Figure:
    """The same within each source, a panel each, from the one with the most films; at most nine."""
    shown = sorted(rows, key=lambda row: -row.films)[:9]
    across = min(3, len(shown))
    down = math.ceil(len(shown) / across)
    figure = _figure((3.4 * across, 3.5 * down))
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    for row, axes in zip(shown, panels[: len(shown)], strict=True):
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        _bins(axes, row)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        where = row.where.removeprefix("within ")
        axes.set_title(f"{where}\n{row.positives} pos., {row.negatives} neg.", fontsize=10)
    figure.supxlabel("Stated", fontsize=11)
    figure.supylabel("Share that is positive", fontsize=11)
    return figure


@rc_context(_STYLE)
def confusion_matrix(label: str, counts: CallCounts, threshold: float) -> Figure:
    """Films by truth and call, with the share of each row."""
    cells = np.array(
        [
            [counts.true_negative, counts.false_positive],
            [counts.false_negative, counts.true_positive],
        ]
    )
    rows = cells.sum(axis=1, keepdims=True)
    share = np.divide(cells, rows, out=np.zeros(cells.shape), where=rows > 0)
    figure, axes = _square(f"Called at score >= {threshold:.3g}", "Reference standard")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), films in np.ndenumerate(cells):
        color = "white" if share[row, column] > 0.5 else INK
        text = f"{films}\n{share[row, column]:.0%} of row" if rows[row, 0] else "0"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=13)
    axes.set(xticks=[0, 1], yticks=[0, 1], xlim=(-0.5, 1.5), ylim=(1.5, -0.5))
    axes.set_xticklabels(["negative", "positive"])
    axes.set_yticklabels(["negative", "positive"], rotation=90, va="center")
    axes.grid(visible=False)
    axes.set_title(f"Confusion matrix: {label}")
    return figure


@rc_context(_STYLE)
def score_histograms(cases: ScoredCases, threshold: float) -> Figure:
    """Scores of each class, as shares of the class, with the threshold."""
    figure, axes = _square("Score", "Share of the class")
    edges = np.linspace(0, 1, 26).tolist()
    styles: Any = (
        (False, "negative", {"color": BLUE, "alpha": 0.45}),
        (True, "positive", {"color": ORANGE, "histtype": "step", "linewidth": 2}),
    )
    top = 0.0
    for truth, name, style in styles:
        scores = cases.score[cases.truth == truth]
        if scores.size:
            title = f"{name} (n = {scores.size})"
            weights = np.full(scores.size, 1 / scores.size)
            heights, *_ = axes.hist(scores, bins=edges, weights=weights, label=title, **style)
            top = max(top, float(np.max(heights)))
    axes.axvline(threshold, color=INK, linestyle="--", linewidth=1, label=f"call {threshold:.3g}")
    axes.set_ylim(0, 1.08 * top or 1)
    axes.set_title("Scores by reference standard")
    _legend_below(figure)
    return figure


@rc_context(_STYLE)
def forest(rows: Sequence[tuple[str, Estimate, Estimate | None]], overall: Estimate) -> Figure:
    """AUROC with its interval for each stratum, and of the nuisance baseline where there is one.

    Args:
        rows: (name with its films, model, baseline or None), drawn from top to bottom.
        overall: drawn as a vertical line.
    """
    figure = _figure((9.0, 1.6 + 0.36 * max(1, len(rows))))
    axes = figure.subplots()
    axes.axvline(0.5, color=GREY, linestyle="--", linewidth=1)
    axes.axvline(overall.value, color=BLUE, linewidth=1, alpha=0.5)
    for place, (_, model, baseline) in enumerate(rows):
        _whisker(axes, place, model, BLUE, "s", "model")
        if baseline is not None:
            _whisker(axes, place + 0.25, baseline, ORANGE, "D", "nuisance baseline")
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set(xlabel="AUROC with 95 % interval (dashed: chance; line: all films)", xlim=(0, 1.02))
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.grid(visible=False, axis="y")
    handles, titles = axes.get_legend_handles_labels()
    once = dict(zip(titles, handles, strict=True))
    figure.legend(once.values(), once.keys(), loc="outside upper right", ncols=2)
    return figure


def _figure(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    figure = _figure(_SQUARE)
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def _legend_below(figure: Figure) -> None:
    """Put the legend outside the axes, where no curve can run beneath it."""
    figure.legend(loc="outside lower center", ncols=4, columnspacing=1, handlelength=1.4)


def _called(cases: ScoredCases) -> tuple[list[float], list[float]]:
    called, truth = cases.called, cases.truth
    return [float(called[~truth].mean())], [float(called[truth].mean())]


def _whisker(
    axes: Axes, place: float, estimate: Estimate, color: str, mark: str, title: str
) -> None:
    if not math.isnan(estimate.low):
        ends = [estimate.low, estimate.high]
        axes.plot(ends, [place, place], color=color, linewidth=1.5)
    fill = color if mark == "s" else "white"
    axes.plot(estimate.value, place, mark, color=color, markerfacecolor=fill, label=title)


def _bins(axes: Axes, row: Reliability) -> None:
    stated, seen = [b.stated for b in row.bins], np.array([b.observed.value for b in row.bins])
    ends = np.array([[b.observed.low, b.observed.high] for b in row.bins]).T
    spread = np.nan_to_num(np.abs(ends - seen))  # a bin without an interval has no whiskers
    axes.errorbar(stated, seen, yerr=spread, fmt="o-", color=BLUE, capsize=3, label="observed")


@rc_context(_STYLE)
def bars(rows: Sequence[AuditRow], title: str, limits: Sequence[AuditCheck] = ()) -> Figure:
    """Horizontal bars with 95 % whiskers; a dashed line for each limit of the same scale.

    Args:
        rows: drawn from top to bottom; orange where beyond the limit.
        title: of the horizontal axis.
        limits: drawn as lines.
    """
    shown = [row for row in rows if not math.isnan(row.measured.value)]
    figure = _figure((8.4, 1.1 + 0.34 * max(1, len(shown))))
    axes = figure.subplots()
    for place, row in enumerate(shown):
        color, estimate = ORANGE if row.beyond else BLUE, row.measured
        axes.barh(place, estimate.value, height=0.62, color=color, alpha=0.55)
        if not math.isnan(estimate.low):
            ends = [estimate.low, estimate.high]
            axes.plot(ends, [place, place], color=INK, linewidth=1.4)
            axes.plot(ends, [place, place], "|", color=INK, markersize=7)
    for check in limits:
        axes.axvline(check.limit, color=ORANGE, linestyle="--", linewidth=1.2)
    axes.axvline(0, color=GREY, linewidth=0.8)
    if title.startswith("AUROC"):
        axes.axvline(0.5, color=GREY, linestyle="--", linewidth=1)
        title += " (dashed: chance)"
    axes.set_yticks(range(len(shown)), [row.name for row in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlabel(title)
    axes.grid(visible=False, axis="y")
    return figure

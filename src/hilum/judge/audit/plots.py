"""Pictures of an audit: values with intervals against their limit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure

from hilum.judge.audit.schema import Check, Row
from hilum.judge.plots import _STYLE, BLUE, GREY, INK, ORANGE, _figure


@rc_context(_STYLE)
def bars(rows: Sequence[Row], title: str, limits: Sequence[Check] = ()) -> Figure:
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

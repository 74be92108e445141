"""Picture: a map as PNG, without any film in it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hilum.judge.plots import save
from hilum.serve.featuremap.groups import Coloring
from hilum.serve.featuremap.run import FeatureMap

DRAWN = ("standard", "right", "cohort", "view")
"""Colorings that the picture shows, as far as the map has them."""
_MARKS: dict[str, dict[str, Any]] = {
    "circle": {"marker": "o"},
    "ring": {"marker": "o", "hollow": True},
    "dot": {"marker": "o", "small": True},
    "triangle": {"marker": "^"},
    "down": {"marker": "v"},
    "square": {"marker": "s"},
    "diamond": {"marker": "D"},
    "cross": {"marker": "x"},
    "plus": {"marker": "+"},
}


def write_picture(found: FeatureMap, path: Path) -> None:
    """Draw the map once for each of ``DRAWN``, beside one another, as PNG."""
    save(draw(found), path)


@rc_context({"font.size": 10, "text.parse_math": False})
def draw(found: FeatureMap) -> Figure:
    """Return the figure."""
    chosen = [coloring for coloring in found.colorings if coloring.key in DRAWN]
    columns = min(2, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    figure = Figure(figsize=(6.4 * columns, 5.2 * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    for place, coloring in enumerate(chosen):
        _panel(figure.add_subplot(rows, columns, place + 1), found, coloring)
    facts = found.facts
    faithful = next(one for one in facts.measured if one.what == "trustworthiness")
    figure.suptitle(
        f"{facts.films} films where {facts.bundle} sees them, by {facts.method}; "
        f"trustworthiness {faithful.value.value:.2f} ({faithful.how})\n{facts.notice}",
        fontsize=11,
    )
    return figure


def _panel(axes: Axes, found: FeatureMap, coloring: Coloring) -> None:
    of = np.array(coloring.of)
    size = 26 if len(of) < 500 else 12
    # Large groups first, so that the films of small ones are not hidden.
    for place in sorted(range(len(coloring.groups)), key=lambda n: -coloring.groups[n].films):
        group = coloring.groups[place]
        points = found.points[of == place]
        mark = dict(_MARKS[group.mark])
        hollow, small = mark.pop("hollow", False), mark.pop("small", False)
        lined = hollow or mark["marker"] in "x+"
        color: dict[str, Any] = {"c": group.color}
        if hollow:
            color = {"facecolors": "none", "edgecolors": group.color}
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=size / 3 if small else size,
            **color,
            linewidths=0.9 if lined else 0,
            alpha=0.85,
            label=f"{group.name} ({group.films})",
            **mark,
        )
    axes.set_title(coloring.title, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, frameon=False, fontsize=9)

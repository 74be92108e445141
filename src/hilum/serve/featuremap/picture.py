"""A map as PNG, without any film in it, and as one HTML file that asks no host for anything."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hilum.core.files import write_text
from hilum.core.page import render
from hilum.judge.plots import save
from hilum.serve.featuremap.run import Coloring, FeatureMap

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


TEMPLATE = Path(__file__).parent / "page.html"
SCRIPT = Path(__file__).parent / "map.js"
_COLUMNS = ("cohort", "source", "view", "sex", "split", "reference_standard", "finding")


def write_page(found: FeatureMap, path: Path) -> None:
    """Write the page, whole or not at all."""
    write_text(path, page(found))


def page(found: FeatureMap) -> str:
    """Return the page of a map."""
    script = SCRIPT.read_text(encoding="utf-8")
    measured = found.facts.measured
    return render(
        TEMPLATE,
        facts=found.facts,
        faithful=[one for one in measured if one.chance is None],
        readable=[one for one in measured if one.chance is not None],
        pictured=bool(found.pictures),
        data=_embedded(data_of(found)),
        script=script,
        script_hash=_hash(script),
    )


def data_of(found: FeatureMap) -> dict[str, Any]:
    """Return what the page's script draws, as JSON can hold it; lists run over the films."""
    table = found.table
    return {
        "label": found.facts.label,
        "case_id": table["case_id"].tolist(),
        "x": [round(float(x), 4) for x in found.points[:, 0]],
        "y": [round(float(y), 4) for y in found.points[:, 1]],
        "score": [round(float(score), 4) for score in table["score"]],
        "truth": [None if math.isnan(truth) else int(truth) for truth in table["truth"]],
        "present": [int(present) for present in table["present"]],
        "columns": {name: _coded(table[name].tolist()) for name in _COLUMNS},
        "colorings": [coloring.model_dump() for coloring in found.colorings],
        "pictures": found.addresses,
    }


def _coded(values: list[str]) -> dict[str, Any]:
    """Say each value once: a column of few words takes little room."""
    words = sorted(set(values))
    places = {word: place for place, word in enumerate(words)}
    return {"values": words, "of": [places[value] for value in values]}


def _embedded(values: dict[str, Any]) -> str:
    """JSON that can stand in a script element: nothing in it can close the element."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"

"""What was found, drawn on the film.

Lungs, opacities and boxes of ``reading.details``, in pixels of the film. The opacities of this
virtual film were put into both lungs of a CT, so it is known that they are there.
"""

from __future__ import annotations

import sys

from matplotlib.figure import Figure

import hilum
from hilum.serve.samples import ROOT

FILM = ROOT / "frontal-opacities.png"
COLORS = {"ground-glass": "gold", "consolidation": "violet"}


def plot() -> Figure:
    """Draw one film with everything that was found on it."""
    film = hilum.open_radiograph(FILM)
    details = hilum.load_bundle().read(FILM, details=True).details
    figure = Figure(figsize=(5.4, 5.2), layout="constrained", facecolor="black")
    axes = figure.subplots()
    axes.imshow(film.pixels, cmap="gray")
    for lung in details.lungs:
        axes.fill(*zip(*lung.outline, strict=True), fill=False, color="mediumaquamarine")
    for lesion in details.lesions:
        line = {"color": COLORS[lesion.kind], "label": lesion.kind.value}
        axes.fill(*zip(*lesion.outline, strict=True), fill=False, **line)
    named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(named.values(), named.keys(), loc="lower center", ncols=2)
    axes.axis("off")
    return figure


if __name__ == "__main__":
    plot().savefig(sys.argv[1], dpi=100)

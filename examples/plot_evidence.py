"""Where a network saw it.

``reader.heatmap`` gives the evidence for a label in logits, in pixels of the film. It is what the
network added up, and no estimate of it: orange speaks for an opacity, violet against it.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

import hilum
from hilum.serve.samples import ROOT

NAMES = ("frontal.png", "frontal-opacities.png")


def plot() -> Figure:
    """Draw the evidence for an opacity over a film without one and a film with one."""
    reader = hilum.load_bundle()
    films = {name: hilum.open_radiograph(ROOT / name) for name in NAMES}
    maps = {name: reader.heatmap(film, "lung-opacity") for name, film in films.items()}
    limit = max(np.nanpercentile(abs(evidence), 99) for evidence in maps.values())
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    cells = figure.subplots(1, 2)
    for axes, (name, evidence) in zip(cells, maps.items(), strict=True):
        axes.imshow(films[name].pixels, cmap="gray")
        seen = np.clip(abs(np.nan_to_num(evidence)) / limit, 0, 1) ** 0.5
        shown = axes.imshow(evidence, cmap="PuOr_r", vmin=-limit, vmax=limit, alpha=0.7 * seen)
        axes.set_title(name, fontsize=10)
        axes.axis("off")
    mappable = ScalarMappable(shown.norm, shown.cmap)
    figure.colorbar(mappable, ax=cells, location="bottom", label="evidence (logits)", shrink=0.5)
    return figure


if __name__ == "__main__":
    plot().savefig(sys.argv[1], dpi=100)

"""Does a mark change the answer?

An audit changes films in ways that say nothing of the lungs, and looks at what becomes of the
scores. Here it is done to one film: a word in a corner, a wire over the chest, covered corners, and
last the lungs themselves blacked out.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

import hilum
from hilum.image.perturb import PERTURBATIONS, Places
from hilum.serve.samples import ROOT

NAMES = ("marker-portable", "ecg-lead", "corners", "lungs-removed")


def plot() -> Figure:
    """Draw a film with opacities in five states, and the score of each."""
    reader, random = hilum.load_bundle(), np.random.default_rng(0)
    film = hilum.open_radiograph(ROOT / "frontal-opacities.png")
    places = Places(reader.segment(film).on_film(film.shape))
    films = {"as it is": film}
    for name in NAMES:
        change = PERTURBATIONS[name]
        films[change.title] = change.change(film, places, random)
    inputs = np.stack([reader.preprocess(each) for each in films.values()])
    scores = 1 / (1 + np.exp(-reader.run(inputs)[0][:, reader.labels.index("lung-opacity")]))
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    cells = figure.subplots(1, len(films))
    for axes, (title, each), score in zip(cells, films.items(), scores, strict=True):
        axes.imshow(each.pixels, cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"{title}:\nscore {score:.2f}", fontsize=8)
        axes.axis("off")
    figure.suptitle("score for lung-opacity", fontsize=9)
    return figure


if __name__ == "__main__":
    plot().savefig(sys.argv[1], dpi=100)

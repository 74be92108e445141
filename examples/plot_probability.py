"""One score, three probabilities.

What a score means depends on how many patients have the disease where the film was taken. The
curves are those of the built-in bundle, restated for three hospitals; the lines are its operating
points.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

import hilum


def plot() -> Figure:
    """Draw the probability that follows from a score at three prevalences."""
    covid = hilum.load_bundle().bundle.manifest.labels[0]
    score = np.linspace(0, 1, 501)
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for prevalence in (0.02, 0.2, 0.5):
        chance = covid.calibration.at(prevalence, score)
        axes.plot(score, chance, label=f"{prevalence:.0%} of the patients have it")
    for point in covid.operating_points:
        axes.axvline(point.threshold, color="gray", linestyle=":")
        axes.text(point.threshold, 1.02, f" {point.name}", rotation=60, fontsize=8)
    axes.set(xlabel=f"score for {covid.label}", ylabel="probability", ylim=(0, 1))
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


if __name__ == "__main__":
    plot().savefig(sys.argv[1], dpi=100)

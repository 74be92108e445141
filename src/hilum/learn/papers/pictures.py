"""Pictures of the papers: curves, the films of an example, and maps of a network."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hilum.core.files import write_text
from hilum.core.page import data_uri
from hilum.core.radiograph import Pixels
from hilum.image.write import write_png
from hilum.judge.plots import BLUE, ORANGE, save
from hilum.learn.papers.maps import smooth
from hilum.learn.papers.training import Epoch

_LONGEST_SIDE = 640


def write_curve(curve: Sequence[Epoch], stem: Path) -> Path:
    """Write accuracy and loss by epoch as ``stem.csv`` and ``stem.png``; return the picture."""
    columns = list(Epoch.model_fields)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(epoch.model_dump() for epoch in curve)
    write_text(stem.with_suffix(".csv"), text.getvalue())
    save(draw_curve(curve), stem.with_suffix(".png"))
    return stem.with_suffix(".png")


def draw_curve(curve: Sequence[Epoch]) -> Figure:
    """Accuracy and loss side by side; training solid, test dashed where it was measured."""
    figure = _figure((9.0, 3.6))
    for axes, name in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        epochs = [each.epoch for each in curve]
        axes.plot(
            epochs,
            [getattr(each, name) for each in curve],
            color=BLUE,
            marker=".",
            label="training",
        )
        if curve and curve[0].test_loss is not None:
            test = [getattr(each, f"test_{name}") for each in curve]
            axes.plot(epochs, test, color=ORANGE, linestyle="--", marker=".", label="test films")
        axes.set(xlabel="Epoch", ylabel=name.capitalize())
        axes.grid(color="#e3e8ed")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="center right")
    return figure


def write_film(pixels: Pixels, path: Path) -> Path:
    """Write a film as PNG, its longer side at most 640 pixels."""
    factor = min(1.0, _LONGEST_SIDE / max(pixels.shape))
    if factor < 1:
        pixels = np.asarray(
            cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        )
    write_png(path, pixels)
    return path


def draw_map(film: Pixels, heat: NDArray[np.float32], name: str) -> Figure:
    """The film, its map cell by cell, the map smoothed, and both together."""
    height, width = film.shape
    smoothed = smooth(heat, (height, width))
    figure = _figure((12.0, 3.2 * height / width + 0.5))
    extent = (0.0, float(width), float(height), 0.0)
    panels = figure.subplots(1, 4)
    titles = ("film", name, "smoothed", "smoothed, on the film")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
    for place in (0, 3):
        panels[place].imshow(film, cmap="gray", vmin=0, vmax=1, extent=extent)
    panels[1].imshow(heat, cmap="inferno", interpolation="nearest", extent=extent)
    panels[2].imshow(smoothed, cmap="inferno", extent=extent)
    panels[3].imshow(smoothed, cmap="inferno", alpha=0.45, extent=extent)
    return figure


def inside(path: Path) -> str:
    """Return a PNG as an address that needs no file, for a page."""
    return data_uri(path.read_bytes())


def _figure(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure

"""Draw the README's picture: a built-in film, what the default bundle marks, what it used.

python tools/readme_picture.py docs/images/demo.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

import hilum
from hilum.core.details import Details
from hilum.core.labels import Label
from hilum.image.write import write_png
from hilum.serve.heatmap import RGB, limit_of, overlay, with_legend
from hilum.serve.marks import CASING, STYLES, Layer, marks_of
from hilum.serve.samples import read_samples

FILM = "frontal-opacities.png"
LAYERS = (Layer.LUNGS, Layer.GROUND_GLASS, Layer.CONSOLIDATION)
HEIGHT = 470


def main(out: Path) -> None:
    """Write the picture to ``out``."""
    path = next(sample.path for sample in read_samples() if sample.file == FILM)
    reader = hilum.load_bundle()
    (found,) = reader.examine([path], details=True, keep=True)
    if found.radiograph is None or found.evidence is None or found.reading.details is None:
        raise SystemExit(f"{path}: {found.reading.reason}")
    pixels = found.radiograph.pixels
    grey = np.repeat(np.round(pixels * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    heatmap = reader.on_film(found.evidence, Label.COVID_19, pixels.shape, found.lungs)
    limit = limit_of(heatmap)
    colored = overlay(pixels, heatmap, limit)
    panels = [
        grey,
        _marked(grey, found.reading.details),
        with_legend(colored, "covid-19: evidence in logits", limit),
    ]
    height = max(panel.shape[0] for panel in panels)
    picture = np.concatenate([_padded(panel, height) for panel in panels], axis=1)
    width = round(picture.shape[1] * HEIGHT / picture.shape[0])
    write_png(out, cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_AREA))


def _marked(grey: RGB, details: Details) -> RGB:
    """Draw the lines of ``LAYERS`` on the film, and a legend beneath it."""
    rows, columns, _ = grey.shape
    strip = columns // 6
    figure = Figure(figsize=(columns / 100, (rows + strip) / 100), dpi=100, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.pad(grey, ((0, strip), (0, 0), (0, 0))), interpolation="nearest")
    axes.set_axis_off()
    thin = columns / 220 * 0.72  # points
    key = []
    for layer in LAYERS:
        style = STYLES[layer]
        key.append(
            Line2D(
                [],
                [],
                color=style.html,
                linewidth=thin,
                dashes=style.dash or (None, None),
                label=style.words,
                path_effects=[withStroke(linewidth=1.8 * thin, foreground=CASING)],
            )
        )
    for mark in marks_of(details):
        if mark.layer in LAYERS:
            line = Line2D([], [])
            line.update_from(key[LAYERS.index(mark.layer)])
            line.set_data(*zip(*mark.points, mark.points[0], strict=True))
            axes.add_line(line)
    size = columns / 36 * 0.72
    axes.legend(
        handles=key, loc="lower left", frameon=False, labelcolor="white", fontsize=size, borderpad=0
    )
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])


def _padded(panel: RGB, height: int) -> RGB:
    below = np.zeros((height - panel.shape[0], panel.shape[1], 3), np.uint8)
    return np.concatenate([panel, below])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Draw the README's picture: a built-in film, what the default bundle marks, what it used.

python tools/readme_picture.py docs/images/demo.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

import hilum
from hilum.core.labels import Label
from hilum.image.write import write_png
from hilum.serve.heatmap import RGB, limit_of, overlay, with_legend
from hilum.serve.marks import Layer
from hilum.serve.pictures import draw_details, with_key
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
    marked = draw_details(grey, found.reading.details, pixels.shape, layers=LAYERS)
    heatmap = reader.on_film(found.evidence, Label.COVID_19, pixels.shape, found.lungs)
    limit = limit_of(heatmap)
    colored = overlay(pixels, heatmap, limit)
    panels = [
        grey,
        with_key(marked, LAYERS),
        with_legend(colored, "covid-19: evidence in logits", limit),
    ]
    height = max(panel.shape[0] for panel in panels)
    picture = np.concatenate([_padded(panel, height) for panel in panels], axis=1)
    width = round(picture.shape[1] * HEIGHT / picture.shape[0])
    write_png(out, cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_AREA))


def _padded(panel: RGB, height: int) -> RGB:
    below = np.zeros((height - panel.shape[0], panel.shape[1], 3), np.uint8)
    return np.concatenate([panel, below])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

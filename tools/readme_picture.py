"""Draw the README's picture: a built-in film beside its heatmap by the default bundle.

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
from hilum.serve.heatmap import limit_of, overlay, with_legend
from hilum.serve.samples import read_samples

FILM = "frontal-opacities.png"
HEIGHT = 520


def main(out: Path) -> None:
    """Write the picture to ``out``."""
    path = next(sample.path for sample in read_samples() if sample.file == FILM)
    reader, film = hilum.load_bundle(), hilum.open_radiograph(path)
    heatmap = reader.heatmap(film, Label.COVID_19)
    limit = limit_of(heatmap)
    grey = np.repeat(np.round(film.pixels * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    colored = with_legend(
        overlay(film.pixels, heatmap, limit), "covid-19: evidence in logits", limit
    )
    blank = np.zeros((colored.shape[0] - grey.shape[0], grey.shape[1], 3), np.uint8)
    both = np.concatenate([np.concatenate([grey, blank]), colored], axis=1)
    width = round(both.shape[1] * HEIGHT / both.shape[0])
    write_png(out, cv2.resize(both, (width, HEIGHT), interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

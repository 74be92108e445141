"""Draw what the opacity network finds on the built-in virtual films, beside what was put there.

    python tools/opacities_picture.py recipes/teacher docs/images/opacities.png

White: where the renderer put opacities; yellow: ground-glass found; magenta: consolidation
found; green: the lungs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.bundle.lungs import LungSegmenter
from hilum.bundle.opacities import OpacitySegmenter
from hilum.core.details import Opacity
from hilum.image.lungs import affected
from hilum.image.open import open_radiograph
from hilum.image.write import write_png
from hilum.serve.samples import read_samples

HEIGHT = 460
GREEN, WHITE = (0, 158, 115), (255, 255, 255)
COLORS = {Opacity.GROUND_GLASS: (240, 228, 66), Opacity.CONSOLIDATION: (214, 39, 190)}
FILMS = ("frontal-opacities.png", "frontal.png", "cropped.jpg")

Picture = NDArray[np.uint8]


def main(run: Path, out: Path) -> None:
    """Write the picture to ``out``."""
    lungs_of, opacities_of = LungSegmenter(run), OpacitySegmenter(run)
    panels = [_panel(name, lungs_of, opacities_of) for name in FILMS]
    write_png(out, np.concatenate(panels, axis=1))


def _panel(name: str, lungs_of: LungSegmenter, opacities_of: OpacitySegmenter) -> Picture:
    sample = next(each for each in read_samples() if each.file == name)
    film = open_radiograph(sample.path)
    lungs = lungs_of.segment(film)
    found = opacities_of.segment(film, lungs)
    picture = np.repeat(np.round(film.pixels * 255).astype(np.uint8)[..., None], 3, axis=2)
    _outline(picture, lungs.on_film(film.shape), GREEN)
    drawn = sample.path.with_suffix(".lesions.png")
    if drawn.is_file():
        _outline(picture, cv2.imread(str(drawn), cv2.IMREAD_GRAYSCALE) > 127, WHITE)
    for kind, color in COLORS.items():
        _outline(picture, found.on_film(film.shape, kind), color)
    rows = affected(found, lungs)
    says = f"{rows[0].share:.0%} of the lungs" if rows else "no lungs"
    width = round(picture.shape[1] * HEIGHT / picture.shape[0])
    small = cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_AREA)
    line = np.zeros((34, width, 3), np.uint8)
    cv2.putText(line, f"{name}: {says}", (8, 23), 0, 0.5, WHITE, 1, cv2.LINE_AA)
    return np.concatenate([small, line])


def _outline(picture: Picture, mask: NDArray[np.bool_], color: tuple[int, int, int]) -> None:
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, found, -1, color, max(1, round(max(mask.shape) / 300)), cv2.LINE_AA)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

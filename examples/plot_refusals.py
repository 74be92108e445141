"""What is put right, and what is refused.

A film that came inverted or on its side is put right where that is certain. What is no frontal film
is refused with a reason, and gets no probability.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import hilum
from hilum.image.write import write_png
from hilum.serve.samples import ROOT


def plot() -> Figure:
    """Read a film in four states, and draw each with what became of it."""
    film = hilum.open_radiograph(ROOT / "frontal.png").pixels
    lateral = hilum.open_radiograph(ROOT / "lateral.png").pixels
    states = {
        "as it is": film,
        "inverted": 1 - film,
        "on its side": np.rot90(film),
        "lateral": lateral,
    }
    reader = hilum.load_bundle()
    figure = Figure(figsize=(8, 3.1), layout="constrained")
    with tempfile.TemporaryDirectory() as folder:
        for axes, (state, pixels) in zip(figure.subplots(1, 4), states.items(), strict=True):
            path = Path(folder) / "film.png"
            write_png(path, pixels)
            reading = reader.read(path)
            put_right = any(step.startswith("corrected: ") for step in reading.history)
            became = "put right, and read" if put_right else reading.status.value
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=1)
            axes.set_title(f"{state}:\n{became}", fontsize=9)
            axes.axis("off")
    return figure


if __name__ == "__main__":
    plot().savefig(sys.argv[1], dpi=100)

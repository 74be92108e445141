"""Notebook: a reading as a piece of HTML, for a notebook that shows what a cell ends with.

A reading keeps no pixels, so the film is opened again where it lies. Lines are drawn into the
picture: they stay in a notebook that is passed on, where a host may strip what a page draws.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hilum.core.errors import ImageError
from hilum.core.page import data_uri, render
from hilum.core.reading import Reading
from hilum.image.open import open_radiograph
from hilum.image.write import jpeg
from hilum.serve.dicom.source import Placement
from hilum.serve.heatmap import thumbnail
from hilum.serve.marks import STYLES, Layer, draw_lines, layers_of, marks_of
from hilum.serve.said import said_of

TEMPLATE = Path(__file__).parent / "templates" / "notebook.html"
SIDE = 512
"""Long side of the picture, in pixels."""
QUALITY = 85
"""Of its JPEG."""


def reading_html(reading: Reading) -> str:
    """Return a reading as HTML: its film with what was found drawn on it, and its words.

    The film is named without its folders, which may be named after a patient. Where it is no
    longer there, or no SOP Instance UID says that it is the one that was read, the words stand
    alone: another film under these findings would be believed.
    """
    picture = _picture(reading)
    return render(
        TEMPLATE,
        reading=reading,
        said=said_of(reading),
        name=Path(reading.path).name,
        picture=picture and data_uri(picture, "image/jpeg"),
        layers=[STYLES[each] for each in layers_of(marks_of(reading.details))],
    )


def _picture(reading: Reading) -> bytes | None:
    """Draw the film as it was read, put right where the history says so."""
    if "width" not in reading.film or "instance_uid" not in reading.film:
        return None
    shape = reading.film["height"], reading.film["width"]
    try:
        film = open_radiograph(reading.path, turned=False)
        pixels = Placement(reading.history, shape, film.shape).as_read(film.pixels)
    except (ImageError, OSError):
        return None
    if film.metadata.instance_uid != reading.film["instance_uid"] or pixels.shape != shape:
        return None
    small = thumbnail(pixels, SIDE)
    scale = np.array(small.shape[::-1]) / np.array(shape[::-1])
    lines = [
        (mark.layer, (np.array(mark.points, float) + (mark.layer is not Layer.BOXES) / 2) * scale)
        for mark in marks_of(reading.details)
    ]
    return jpeg(draw_lines(small, lines), QUALITY)

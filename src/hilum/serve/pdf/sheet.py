"""Sheet: everything that one page of a PDF report shows, prepared from an examined film."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hilum.core.labels import Label
from hilum.core.reading import Reading
from hilum.image.write import jpeg
from hilum.serve.heatmap import limit_of, overlay, thumbnail
from hilum.serve.marks import Mark, marks_of
from hilum.serve.reader import Examined, Reader

SIDE = 800
"""Long side of a picture in pixels: 200 dots an inch or more on paper."""
QUALITY = 80
"""Of the JPEGs."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page.

    Attributes:
        name: of the film's file, without its folders, which may name a patient.
        shape: (height, width) of the film in pixels; None if it did not open.
        film, heatmap: JPEGs; None where there is nothing to show.
        label: that the heatmap speaks of; ``limit`` the end of its scale in logits.
        marks: in pixels of the film.
    """

    reading: Reading
    name: str
    shape: tuple[int, int] | None = None
    film: bytes | None = None
    heatmap: bytes | None = None
    label: Label | None = None
    limit: float = 0.0
    marks: tuple[Mark, ...] = ()

    @classmethod
    def of(cls, examined: Examined, reader: Reader) -> Sheet:
        """Prepare a page; the film itself is not kept."""
        reading, radiograph = examined.reading, examined.radiograph
        name = Path(reading.path).name
        if radiograph is None:
            return cls(reading, name)
        small = thumbnail(radiograph.pixels, SIDE)
        film = jpeg(small, QUALITY)
        marks = marks_of(reading.details)
        if examined.evidence is None or not reading.findings:
            return cls(reading, name, radiograph.shape, film, marks=marks)
        label = reading.findings[0].label
        heatmap = reader.on_film(examined.evidence, label, small.shape, examined.lungs)
        limit = limit_of(heatmap)
        colored = jpeg(overlay(small, heatmap, limit), QUALITY)
        return cls(reading, name, radiograph.shape, film, colored, label, limit, marks)

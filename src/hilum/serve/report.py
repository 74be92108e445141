"""Report: readings as one self-contained HTML page for a person."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hilum.bundle.card import card_html, cell
from hilum.bundle.facts import Facts, honest_numbers
from hilum.bundle.folder import Bundle
from hilum.core.details import Opacity
from hilum.core.files import write_text
from hilum.core.page import data_uri, render
from hilum.core.reading import Status
from hilum.core.rounded import fixed, percent
from hilum.image.write import jpeg
from hilum.serve.heatmap import AGAINST, FOR, OPACITY, limit_of, overlay, thumbnail
from hilum.serve.marks import STYLES, layers_of, marks_of
from hilum.serve.reader import Examined, Reader
from hilum.serve.said import said_of
from hilum.serve.sketch import HEIGHT, WIDTH, zone_shapes

TEMPLATE = Path(__file__).parent / "templates" / "report.html"
SIDE = 512
"""Long side of a picture in the page, in pixels."""
QUALITY = 85
"""Of its JPEG."""
MAX_PICTURED = 200
"""Films with pictures in one page; the films after them have their numbers only."""
NOT_SHOWN = frozenset(
    {"patient_id", "study_date", "study_uid", "series_uid", "instance_uid", "sop_class_uid"}
)
"""Facts of a film that name a person or a study; a page is passed on, so it leaves them out."""


@dataclass(frozen=True, slots=True)
class HeatmapPicture:
    """One heatmap in the page."""

    label: str
    address: str
    limit: float


class HtmlReport:
    """Collects readings, then writes the page.

    Pictures are made as films arrive, so the films themselves are not kept.

    Args:
        reader: that made the readings.
        title: heading of the page.
        intro: a paragraph above the summary, or "".
    """

    def __init__(self, reader: Reader, *, title: str = "Readings", intro: str = "") -> None:
        self._reader = reader
        self._title = title
        self._intro = intro
        self._films: list[dict[str, Any]] = []
        self._pictured = 0

    def add(self, examined: Examined) -> None:
        """Add one film, read or not."""
        reading = examined.reading
        shown = examined.radiograph is not None and self._pictured < MAX_PICTURED
        self._pictured += shown
        marks = marks_of(reading.details) if shown else ()
        self._films.append(
            {
                "reading": reading,
                "said": said_of(reading),
                "name": Path(reading.path).name,
                "picture": self._film(examined) if shown else None,
                "heatmaps": self._heatmaps(examined) if shown else [],
                "marks": marks,
                "layers": layers_of(marks),
                "zones": zone_shapes(reading.details.affected) if reading.details else (),
                "facts": {k: v for k, v in reading.film.items() if k not in NOT_SHOWN},
            }
        )

    def html(self) -> str:
        """Return the page."""
        bundle = self._reader.bundle
        facts = Facts.read(bundle.root)
        counts = {status: self._count(status) for status in Status}
        return render(
            TEMPLATE,
            title=self._title,
            intro=self._intro,
            films=self._films,
            counts=counts,
            bundle=bundle,
            manifest=bundle.manifest,
            card=card_html(bundle),
            honest=[[cell(value) for value in line] for line in honest_numbers(facts)],
            audits=facts.audits,
            points=_points(bundle),
            hilum_version=version("hilum"),
            legend=_legend(),
            max_pictured=MAX_PICTURED,
            styles=STYLES,
            kinds=list(Opacity),
            sketch=(WIDTH, HEIGHT),
            fixed=fixed,
            percent=percent,
        )

    def write(self, path: Path) -> None:
        """Write the page to ``path``, whole or not at all."""
        write_text(path, self.html())

    def _count(self, status: Status) -> int:
        return sum(film["reading"].status is status for film in self._films)

    def _film(self, examined: Examined) -> str | None:
        if examined.radiograph is None:
            return None
        small = thumbnail(examined.radiograph.pixels, SIDE)
        return _address(small)

    def _heatmaps(self, examined: Examined) -> list[HeatmapPicture]:
        if examined.radiograph is None or examined.evidence is None:
            return []
        small = thumbnail(examined.radiograph.pixels, SIDE)
        pictures = []
        for label in self._reader.labels:
            heatmap = self._reader.on_film(examined.evidence, label, small.shape, examined.lungs)
            limit = limit_of(heatmap)
            address = _address(overlay(small, heatmap, limit))
            pictures.append(HeatmapPicture(label, address, limit))
        return pictures


def _address(picture: NDArray[Any]) -> str:
    return data_uri(jpeg(picture, QUALITY), "image/jpeg")


def _points(bundle: Bundle) -> list[dict[str, Any]]:
    return [
        {"label": output.label, "point": point, "default": position == 0}
        for output in bundle.manifest.labels
        for position, point in enumerate(output.operating_points)
    ]


def _legend() -> str:
    against, toward = (f"rgba({r},{g},{b},{OPACITY})" for r, g, b in (AGAINST, FOR))
    return f"linear-gradient(90deg, {against}, rgba(0,0,0,0) 50%, {toward})"

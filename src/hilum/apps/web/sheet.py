"""Sheet: a stored report as one page, in HTML and in PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.apps.web.pictures import QUALITY
from hilum.core.page import data_uri, render
from hilum.core.reading import RESEARCH_USE
from hilum.core.words import Language, words
from hilum.image.write import jpeg
from hilum.serve.marks import CASING, ClosedLine, draw_lines
from hilum.serve.pdf.pen import LEADING, SOFT, Pen, wrap

TEMPLATE = Path(__file__).parent / "templates" / "report.html"
PARTS = ("indication", "technique", "comparison", "findings", "measurements", "impression")
_WIDTH, _HEIGHT, _MARGIN = 595.28, 841.89, 40.0
_BLUE = (86, 180, 233)
"""Of people, as no layer of the model is: of the palette of Okabe and Ito, too."""
_SIZES = (9.5, 9.0, 8.5, 8.0, 7.5, 7.0, 6.5, 6.0, 5.5)


@dataclass(frozen=True)
class SheetPicture:
    """A picture on the page: a JPEG and what it shows."""

    jpeg: bytes
    caption: str
    width: int
    height: int


@dataclass(frozen=True)
class Sheet:
    """Everything on the page.

    Attributes:
        body: the report's text, as it is stored.
        patient: who it is about, in one line.
        signed: whether it is, by whom and when.
        by: who wrote it, when, which version; ``model`` what read the film.
    """

    body: dict[str, Any]
    patient: str
    signed: str
    by: str
    model: str
    pictures: tuple[SheetPicture, ...] = ()

    @property
    def language(self) -> Language:
        """Of the text."""
        return "ru" if self.body["language"] == "ru" else "en"

    def html(self) -> str:
        """Return the page as one file."""
        pictures = [
            {"address": data_uri(each.jpeg, "image/jpeg"), "caption": each.caption}
            for each in self.pictures
        ]
        text = words(self.language)
        return render(
            TEMPLATE,
            body=self.body,
            patient=self.patient,
            signed=self.signed,
            by=self.by,
            model=self.model,
            parts=PARTS,
            words={part: text[f"report.{part}"] for part in PARTS} | {"notice": text["notice"]},
            pictures=pictures,
        )

    def pdf(self) -> bytes:
        """Return the page as a PDF; the letters shrink until the text fits."""
        from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

        out = BytesIO()
        size = (_WIDTH, _HEIGHT)
        canvas = Canvas(out, pagesize=size, pageCompression=1, lang=self.language)
        canvas.setTitle(self.body["title"])
        canvas.setAuthor("Hilum")
        canvas.setSubject(RESEARCH_USE)
        self._draw(Pen(canvas, _HEIGHT))
        canvas.showPage()
        canvas.save()
        return out.getvalue()

    def _draw(self, pen: Pen) -> None:
        text, width = words(self.language), _WIDTH - 2 * _MARGIN
        top = pen.notice(_MARGIN, 26.0, width, text["notice"])
        top = pen.lines(_MARGIN, top + 6, width, self.body["title"], 15, most=2, bold=True)
        top = pen.lines(_MARGIN, top, width, self.patient, 9, most=2, color=SOFT) + 6
        top = self._pictures(pen, top, width)
        foot = _HEIGHT - _MARGIN - 62
        self._text(pen, top, foot - 8, width)
        pen.lines(_MARGIN, foot + 2, 190, self.signed, 8.5, most=3, bold=True)
        end = pen.lines(_MARGIN + 200, foot + 2, width - 200, self.by, 7.5, most=2, color=SOFT)
        pen.lines(_MARGIN + 200, end, width - 200, self.model, 7.5, most=2, color=SOFT)
        pen.notice(_MARGIN, _HEIGHT - _MARGIN - 20, width, text["notice"])

    def _pictures(self, pen: Pen, top: float, width: float) -> float:
        if not self.pictures:
            return top
        room, high = (width - 12) / 2, 250.0
        bottom = top
        for place, each in enumerate(self.pictures[:2]):
            scale = min(room / each.width, high / each.height)
            x = _MARGIN + place * (room + 12)
            pen.picture(each.jpeg, x, top, scale * each.width, scale * each.height)
            end = top + scale * each.height + 3
            bottom = max(bottom, pen.lines(x, end, room, each.caption, 7, most=2, color=SOFT))
        return bottom + 6

    def _text(self, pen: Pen, top: float, bottom: float, width: float) -> None:
        text = words(self.language)
        parts = [(text[f"report.{part}"], self.body[part]) for part in PARTS if self.body.get(part)]
        size = next((s for s in _SIZES if top + _tall(parts, width, s) <= bottom), _SIZES[-1])
        for heading, text in parts:
            top = pen.lines(_MARGIN, top, width, heading, size, bold=True) + 1
            for line in text.splitlines() or [""]:
                room = int((bottom - top) / (LEADING * size))
                if room < 1:
                    pen.text(_MARGIN, bottom, "\u2026 (HTML)", size)
                    return
                top = pen.lines(_MARGIN, top, width, line or " ", size, most=room)
            top += 0.6 * size


def picture(pixels: NDArray[Any], caption: str) -> SheetPicture:
    """Make a picture of a film, float32 (h, w) in [0, 1], or of uint8 (h, w, 3), RGB."""
    height, width = pixels.shape[:2]
    return SheetPicture(jpeg(pixels, QUALITY), caption, width, height)


def drawn(
    film: NDArray[np.float32],
    machine: Sequence[ClosedLine],
    marks: Sequence[Mapping[str, Any]],
    scale: float,
) -> NDArray[np.uint8]:
    """Draw what the model found, and a person's marks in blue with their numbers, over a film.

    Args:
        film: (h, w) in [0, 1].
        machine: of the model; in pixels of the whole film.
        marks: {kind, points}, too; an ellipse and a rectangle by two corners.
        scale: a pixel of the whole film in those of ``film``.

    Returns:
        (h, w, 3), RGB.
    """
    made = draw_lines(film, [(each.layer, np.array(each.points) * scale) for each in machine])

    def at(points: Sequence[Sequence[float]]) -> NDArray[np.int32]:
        return np.rint(np.asarray(points, np.float64) * scale).astype(np.int32).reshape(-1, 2)

    for number, mark in enumerate(marks, 1):
        points = at(mark["points"])
        for color, wide in ((CASING, 4), (_BLUE, 2)):
            if mark["kind"] == "point" or len(points) == 1:
                cv2.circle(made, points[0].tolist(), 5, color, wide, cv2.LINE_AA)
            elif mark["kind"] == "rectangle":
                cv2.rectangle(made, points[0].tolist(), points[-1].tolist(), color, wide)
            elif mark["kind"] == "ellipse":
                middle, half = points.sum(0) // 2, abs(points[1] - points[0]) // 2
                axes = half.tolist()
                cv2.ellipse(made, middle.tolist(), axes, 0, 0, 360, color, wide, cv2.LINE_AA)
            else:
                closed = mark["kind"] == "polygon"
                cv2.polylines(made, [points], closed, color, wide, cv2.LINE_AA)
            font, said = cv2.FONT_HERSHEY_SIMPLEX, str(number)
            (broad, high), _ = cv2.getTextSize(said, font, 0.8, 4)
            right = made.shape[1] - broad - 2
            x, y = int(points[:, 0].max()) + 6, int(points[:, 1].min()) - 4
            place = (max(min(x, right), 2), max(y, high + 2))
            cv2.putText(made, said, place, font, 0.8, color, wide, cv2.LINE_AA)
    return made


def _tall(parts: list[tuple[str, str]], width: float, size: float) -> float:
    lines = sum(
        1 + sum(max(1, len(wrap(line, width, size))) for line in text.splitlines() or [""])
        for _, text in parts
    )
    return LEADING * size * lines + (1 + 0.6 * size) * len(parts)

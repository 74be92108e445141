"""PDF report: one page a film, for a person to print, sign and file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from hilum.bundle.facts import Facts, audit_line, honest_line
from hilum.bundle.folder import Bundle
from hilum.core.files import atomic_path
from hilum.core.reading import RESEARCH_USE
from hilum.serve.pdf import blocks
from hilum.serve.pdf.blocks import PdfPage
from hilum.serve.pdf.pen import SOFT, Pen, fit_middle, shown
from hilum.serve.reader import Examined, Reader
from hilum.serve.said import said_of

Page = Literal["A4", "Letter"]
PAGES: dict[Page, tuple[float, float]] = {"A4": (595.28, 841.89), "Letter": (612.0, 792.0)}
"""Width and height in points."""
MARGIN = 34.0
GAP = 6.0
ROOM = 190.0
"""Points of height that the pictures should have."""
ROWS_AND_LINES = ((6, 10), (5, 5), (3, 3))
"""Most findings and most lines of notes; fewer where the pictures would grow too small."""

Block = Callable[[Pen, float, float, float], float]
"""(pen, left, top, width) -> where it ends."""


class PdfReport:
    """Collects examined films, then writes them, a page each.

    Only the finished pages are kept, not the films.

    Args:
        bundle: that made the readings.
        page: size of the paper.
        made: date and time to write on every page; None for now. Everything else in the file
            follows from the readings, byte for byte.
    """

    def __init__(self, bundle: Bundle, *, page: Page = "A4", made: datetime | None = None) -> None:
        self._bundle = bundle
        self._width, self._height = PAGES[page]
        self._made = made or datetime.now().astimezone()
        self._facts = Facts.read(bundle.root)
        self._file = BytesIO()
        self._canvas = self._new_canvas()
        self.pages = 0

    def add(self, sheet: PdfPage) -> None:
        """Add one film, read or not."""
        pen, left = Pen(self._canvas, self._height), MARGIN
        width = self._width - 2 * MARGIN
        foot = self._foot(sheet)
        bottom = self._height - MARGIN + 8 - self._tall(foot, width)
        top = self._head(pen, left, MARGIN - 14, width, sheet)
        top = blocks.refusal(pen, left, top, width, said_of(sheet.reading)) + GAP
        for rows, lines in ROWS_AND_LINES:
            below = self._below(sheet, rows, lines)
            room = bottom - top - sum(self._tall(each, width) + GAP for each in below)
            if room > ROOM:
                break
        if sheet.film is not None:
            top = blocks.pictures(pen, left, top, width, room - GAP, sheet) + GAP
        for block in below:
            top = block(pen, left, top, width) + GAP
        foot(pen, left, bottom, width)
        self._canvas.showPage()
        self.pages += 1
        one = f"Hilum reading: {shown(sheet.name)}"
        self._canvas.setTitle(one if self.pages == 1 else f"Hilum: {self.pages} readings")

    def write(self, path: Path) -> None:
        """Write the pages to ``path``, whole or not at all; nothing can be added afterwards.

        Raises:
            ValueError: no film was added.
        """
        data = self.finish()
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)

    def finish(self) -> bytes:
        """Return the file; nothing can be added afterwards.

        Raises:
            ValueError: no film was added.
        """
        if not self.pages:
            raise ValueError("a report without a film has no page")
        self._canvas.save()
        return self._file.getvalue()

    def _new_canvas(self) -> Any:
        from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

        canvas = Canvas(
            self._file,
            pagesize=(self._width, self._height),
            pageCompression=1,
            invariant=1,
            lang="en",
        )
        canvas.setAuthor("Hilum")
        canvas.setSubject(RESEARCH_USE)
        canvas.setCreator(f"hilum {version('hilum')}")
        canvas.setKeywords(self._bundle.identity)
        canvas.setViewerPreference("DisplayDocTitle", "true")
        canvas.setDateFormatter(lambda *_: self._made.strftime("D:%Y%m%d%H%M%S"))
        return canvas

    def _tall(self, block: Block, width: float) -> float:
        return block(Pen(None, self._height), 0, 0, width)

    def _head(self, pen: Pen, left: float, top: float, width: float, sheet: PdfPage) -> float:
        top = pen.notice(left, top, width, RESEARCH_USE)
        made = f"made {self._made:%Y-%m-%d %H:%M}{self._made:%z}"
        pen.text(left, top + 13, "Chest radiograph: reading by a model", 11, bold=True)
        pen.text(left + width, top + 13, made, 7.5, color=SOFT, align="right")
        name = fit_middle(sheet.name, width - 60, 9)
        pen.text(left, top + 27, "Film", 7.5, color=SOFT)
        pen.text(left + 24, top + 27, name, 9)
        status = said_of(sheet.reading).status
        pen.text(left + 24, top + 37, f"{status}{_opened(sheet)}", 7.5, color=SOFT, width=width)
        return top + 43

    def _below(self, sheet: PdfPage, rows: int, lines: int) -> list[Block]:
        said, details = said_of(sheet.reading), sheet.reading.details

        def thirds(pen: Pen, left: float, top: float, width: float) -> float:
            if not details or not (said.regions or said.severity or said.similar):
                return top
            column = (width - 2 * 14) / 3
            step = column + 14
            return max(
                blocks.zones(pen, left, top, column, details.affected, said),
                blocks.severity(pen, left + step, top, column, said.severity),
                blocks.similar(pen, left + 2 * step, top, column, said),
            )

        return [
            partial(blocks.findings, found=said.findings, most=rows),
            *[partial(blocks.appearance, said=said.appearance)] * bool(said.appearance),
            thirds,
            partial(blocks.notes, said=said.notes, most=lines),
        ]

    def _foot(self, sheet: PdfPage) -> Block:
        bundle, manifest = self._bundle, self._facts.manifest

        def block(pen: Pen, left: float, top: float, width: float) -> float:
            top = blocks.heading(pen, left, top, width, "Model")
            top = pen.lines(left, top, width, f"{bundle.identity}, made {manifest.created}", 7.5)
            top = pen.lines(left, top, width, f"sha256 {bundle.checksum}", 6.5, color=SOFT)
            top = pen.lines(left, top, width, f"Trained on {manifest.trained_on}", 6.5, most=2)
            top = pen.lines(left, top, width, manifest.intended_use, 6.5, most=2)
            if sheet.reading.findings:
                top = pen.lines(left, top, width, honest_line(self._facts), 6.5, most=3)
            top = pen.lines(left, top, width, audit_line(self._facts), 7.5, most=2, bold=True)
            top = blocks.signature(pen, left, top, width) + 6
            top = pen.notice(left, top, width, RESEARCH_USE)
            made = f"hilum {version('hilum')}, {sheet.reading.bundle}"
            made += f"; schema {sheet.reading.schema_version}"
            pen.text(left, top + 7, made, 6.5, color=SOFT, width=width - 60)
            pen.text(
                left + width, top + 7, f"page {self.pages + 1}", 6.5, color=SOFT, align="right"
            )
            return top + 8

        return block


def write_pdf(
    path: Path,
    examined: Examined,
    reader: Reader,
    *,
    page: Page = "A4",
    made: datetime | None = None,
) -> None:
    """Write one film's reading as a PDF of one page.

    Args:
        path: of the PDF; written whole or not at all.
        examined: with its film (``keep=True``), which may have been refused; a file that did not
            open gives a page with the reason.
        reader: that examined it.
        page: "A4" or "Letter".
        made: date and time to write on it; None for now.
    """
    report = PdfReport(reader.bundle, page=page, made=made)
    report.add(PdfPage.of(examined, reader))
    report.write(path)


def _opened(sheet: PdfPage) -> str:
    facts = sheet.reading.film
    said = [str(facts[key]) for key in ("format",) if key in facts]
    if "width" in facts and "height" in facts:
        said.append(f"{facts['width']} \u00d7 {facts['height']} pixels")
    said += [f"{facts['bits']} bits"] if "bits" in facts else []
    said += [f"view {facts['view']}"] if "view" in facts else []
    return "".join(f"; {each}" for each in said)

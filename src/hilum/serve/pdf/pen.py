"""Pen: draws on a page in points from its upper left corner, y downward; or only measures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

from hilum.serve.marks import CASING, Style
from hilum.serve.pdf.letters import BOLD, REGULAR, fit, runs, shown, width_of, wrap

RGB = tuple[int, int, int]
INK, SOFT, LINE = (27, 39, 51), (80, 94, 108), (205, 213, 221)
WARN, WARN_BACK, WHITE = (122, 62, 0), (255, 244, 224), (255, 255, 255)
LEADING = 1.28
"""Of a line, in sizes of its letters."""


class Pen:
    """Args:
    canvas: of reportlab; None draws nothing, so that a block can be measured before it is drawn.
    height: of the page, in points.
    """

    def __init__(self, canvas: Any, height: float) -> None:
        self._canvas = canvas
        self._height = height

    def text(
        self,
        x: float,
        y: float,
        text: object,
        size: float,
        *,
        width: float = 0,
        bold: bool = False,
        color: RGB = INK,
        align: str = "left",
    ) -> None:
        """Write one line with its baseline at ``y``, cut to ``width`` points if that is given."""
        if self._canvas is None:
            return
        font = BOLD if bold else REGULAR
        line = fit(text, width, size, font) if width else shown(text, font)
        shift = {"left": 0.0, "center": 0.5, "right": 1.0}[align] * width_of(line, size, font)
        self._canvas.setFillColorRGB(*_unit(color))
        x -= shift
        for name, part in runs(line, font):
            self._canvas.setFont(name, size)
            self._canvas.drawString(x, self._height - y, part)
            x += width_of(part, size, font)

    def lines(
        self,
        x: float,
        top: float,
        width: float,
        text: object,
        size: float,
        *,
        most: int = 100,
        bold: bool = False,
        color: RGB = INK,
    ) -> float:
        """Write text in lines from ``top`` on; return where they end."""
        for line in wrap(text, width, size, BOLD if bold else REGULAR, most):
            self.text(x, top + size, line, size, bold=bold, color=color)
            top += LEADING * size
        return top

    def box(
        self,
        x: float,
        top: float,
        width: float,
        height: float,
        *,
        fill: RGB | None = None,
        edge: RGB | None = None,
    ) -> None:
        """Draw a rectangle."""
        if self._canvas is None:
            return
        self._colors(fill, edge)
        self._canvas.setLineWidth(0.6)
        self._canvas.rect(
            x, self._height - top - height, width, height, stroke=bool(edge), fill=bool(fill)
        )

    def notice(self, x: float, top: float, width: float, words: str) -> float:
        """Write a warning in a box; return where it ends."""
        self.box(x, top, width, 15, fill=WARN_BACK, edge=WARN)
        middle = x + width / 2
        self.text(middle, top + 10.5, words, 8.5, bold=True, color=WARN, align="center")
        return top + 15

    def rule(self, x: float, y: float, width: float, color: RGB = LINE) -> None:
        """Draw a horizontal hairline."""
        self.box(x, y, width, 0, edge=color)

    def polygon(
        self,
        points: Iterable[Sequence[float]],
        *,
        fill: RGB | None = None,
        edge: RGB | None = None,
        line: float = 0.6,
    ) -> None:
        """Draw a closed polygon."""
        if self._canvas is None:
            return
        self._colors(fill, edge)
        self._canvas.setLineWidth(line)
        path = self._path(points, closed=True)
        self._canvas.drawPath(path, stroke=bool(edge), fill=bool(fill))

    def mark(
        self, points: Iterable[Sequence[float]], style: Style, line: float, *, closed: bool = True
    ) -> None:
        """Draw a line in the style of a layer, on a darker and wider one."""
        if self._canvas is None:
            return
        path = self._path(points, closed=closed)
        self._canvas.saveState()
        self._canvas.setLineJoin(1)
        dash = [line * each for each in style.dash]
        for color, width, pattern in ((CASING, 2 * line, []), (style.color, line, dash)):
            self._canvas.setDash(pattern)
            self._canvas.setStrokeColorRGB(*_unit(color))
            self._canvas.setLineWidth(width)
            self._canvas.drawPath(path, stroke=1, fill=0)
        self._canvas.restoreState()

    def picture(self, jpeg: bytes, x: float, top: float, width: float, height: float) -> None:
        """Put a JPEG on the page; its bytes go into the file as they are."""
        if self._canvas is None:
            return
        from reportlab.lib.utils import ImageReader  # type: ignore[import-untyped]

        bottom = self._height - top - height
        self._canvas.drawImage(ImageReader(BytesIO(jpeg)), x, bottom, width, height)

    def ramp(self, x: float, top: float, width: float, height: float, colors: list[RGB]) -> None:
        """Draw colors side by side, as the scale of a heatmap."""
        step = width / len(colors)
        for place, color in enumerate(colors):
            self.box(x + place * step, top, step + 0.2, height, fill=color)

    def _path(self, points: Iterable[Sequence[float]], *, closed: bool) -> Any:
        path = self._canvas.beginPath()
        for place, (x, y) in enumerate(points):
            (path.lineTo if place else path.moveTo)(x, self._height - y)
        if closed:
            path.close()
        return path

    def _colors(self, fill: RGB | None, edge: RGB | None) -> None:
        if fill:
            self._canvas.setFillColorRGB(*_unit(fill))
        if edge:
            self._canvas.setStrokeColorRGB(*_unit(edge))


def _unit(color: RGB) -> tuple[float, float, float]:
    red, green, blue = color
    return red / 255, green / 255, blue / 255

"""Pictures: lungs, lesions and boxes drawn on a film, with a legend beneath."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hilum.core.details import Details
from hilum.serve.heatmap import RGB
from hilum.serve.marks import CASING, STYLES, Layer, Mark, Style, layers_of, marks_of

Polyline = NDArray[np.float32]

_FINE = 3
"""OpenCV draws on a grid of 2^-3 pixel."""


def draw_details(
    picture: RGB,
    details: Details,
    shape: tuple[int, int],
    *,
    layers: Collection[Layer] = tuple(Layer),
) -> RGB:
    """Draw lung contours, lesion outlines and boxes on a film.

    Args:
        picture: uint8 (H, W, 3), RGB: the film or a thumbnail of it, plain or with a heatmap.
        details: of that film.
        shape: (height, width) of the film in pixels, which the details are measured in.
        layers: what to draw.

    Returns:
        uint8 (H, W, 3); the film keeps its coordinates.
    """
    drawn = picture.copy()
    width = max(1, round(max(picture.shape[:2]) / 400))
    scale = np.float32(picture.shape[1] / shape[1]), np.float32(picture.shape[0] / shape[0])
    chosen = [mark for mark in marks_of(details) if mark.layer in layers]
    for mark in chosen:
        _line(drawn, np.asarray(mark.points, np.float32) * scale, STYLES[mark.layer], width)
    return _tagged(drawn, [mark for mark in chosen if mark.tag], scale, width)


def with_key(picture: RGB, layers: Collection[Layer]) -> RGB:
    """Put a legend of lines beneath a picture.

    Args:
        picture: uint8 (H, W, 3), from ``draw_details``.
        layers: to name, such as ``layers_of(marks_of(details))``.

    Returns:
        uint8 (H + legend, W, 3); the picture itself where there is nothing to name.
    """
    named = [layer for layer in Layer if layer in layers]
    if not named:
        return picture
    width = picture.shape[1]
    size = max(9, min(30, width // 34))
    font = _font(size)
    row, sample, margin = math.ceil(1.6 * size), 3 * size, size // 2
    strip = np.zeros((row * len(named) + margin, width, 3), np.uint8)
    for place, layer in enumerate(named):
        middle = row * place + row / 2 + margin / 2
        ends = np.array([[margin, middle], [margin + sample, middle]], np.float32)
        _line(strip, ends, STYLES[layer], max(2, size // 9), closed=False)
    image = Image.fromarray(strip)
    pen = ImageDraw.Draw(image)
    for place, layer in enumerate(named):
        middle = row * place + row / 2 + margin / 2
        pen.text((2 * margin + sample, middle), STYLES[layer].words, "white", font, anchor="lm")
    return np.vstack([picture, np.asarray(image, np.uint8)])


def key_of(details: Details | None) -> tuple[Layer, ...]:
    """Return the layers that a film's details draw."""
    return layers_of(marks_of(details))


def _line(picture: RGB, points: Polyline, style: Style, width: int, *, closed: bool = True) -> None:
    """Draw on ``picture`` itself: a dark line, then the colored one, dashed as the style says."""
    whole = np.vstack([points, points[:1]]) if closed else points
    dash = [width * each for each in style.dash]
    for color, thickness, pattern in ((CASING, width + 2, []), (style.color, width, dash)):
        grid = [np.rint(piece * 2**_FINE).astype(np.int32) for piece in _dashed(whole, pattern)]
        cv2.polylines(picture, grid, False, color, thickness, cv2.LINE_AA, _FINE)


def _dashed(points: Polyline, dash: list[float]) -> list[Polyline]:
    """Cut a line into its dashes; one piece where there is no dash."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    at = np.concatenate([[0.0], np.cumsum(steps)])
    if not dash or at[-1] == 0:
        return [points]
    turns = np.arange(math.ceil(at[-1] / sum(dash)))[:, None] * sum(dash)
    cuts = (turns + np.concatenate([[0.0], np.cumsum(dash[:-1])])).ravel()
    cuts = np.append(cuts[cuts < at[-1]], at[-1])
    stops = np.union1d(cuts, at)
    line = np.stack([np.interp(stops, at, points[:, axis]) for axis in (0, 1)], axis=1)
    place = np.searchsorted(stops, cuts)
    pairs = zip(place[:-1:2], place[1::2], strict=False)
    return [line[start : end + 1].astype(np.float32) for start, end in pairs]


def _tagged(
    picture: RGB, marks: list[Mark], scale: tuple[np.float32, np.float32], width: int
) -> RGB:
    """Write the tag of each mark at its upper left corner, inside where there is no room above."""
    if not marks:
        return picture
    image = Image.fromarray(picture)
    pen, size = ImageDraw.Draw(image), max(9, 7 * width)
    font = _font(size)
    for mark in marks:
        x, y = (float(at * by) for at, by in zip(mark.corner, scale, strict=True))
        x = min(max(x, 1.0), picture.shape[1] - font.getlength(mark.tag) - 1)
        above = y > size + width
        place = (x, y - width) if above else (x + 2 * width, y + 2 * width)
        pen.text(
            place,
            mark.tag,
            STYLES[mark.layer].color,
            font,
            anchor="ls" if above else "lt",
            stroke_width=max(1, width),
            stroke_fill="black",
        )
    return np.asarray(image, np.uint8)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font

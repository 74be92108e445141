"""The picture of a map: the film, the map over it, a legend in the map's own unit, the numbers.

Maps that speak for and against a label are orange and blue, as every heatmap of Hilum; maps of one
direction use cividis, which is perceptually even and made for people who see color differently
(Nuñez et al., PLoS ONE 2018). Both panels show the contours of the lungs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hilum.core.radiograph import Pixels
from hilum.core.reading import RESEARCH_USE
from hilum.image.lungs import Lungs
from hilum.serve.heatmap import OPACITY, RGB, overlay

PANEL = 480
"""Height of each panel in pixels; films are scaled to it, so that text and lines look alike."""
LUNG_COLOR = (0, 200, 150)
"""RGB of the lungs' contour; after Okabe and Ito (2008)."""
_NARROWEST = 300  # pixels of a panel, however slim the film, so that the text fits
_PAD, _GAP = 12, 4
_ROUND = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """What the colors mean.

    Attributes:
        low, high: ends; a signed scale has low = -high.
        signed: orange above 0 and blue below; else cividis from low to high.
        unit: of the numbers.
    """

    low: float
    high: float
    signed: bool
    unit: str


def scale_of(heat: NDArray[np.float32], *, signed: bool, unit: str) -> Scale:
    """Choose the ends of a scale: round numbers, at or beyond the strongest of the map.

    >>> scale_of(np.array([[0.2, 3.1]], np.float32), signed=False, unit="logits")
    Scale(low=0.0, high=4.0, signed=False, unit='logits')
    """
    finite = heat[np.isfinite(heat)]
    high, low = float(finite.max(initial=0.0)), float(finite.min(initial=0.0))
    if signed:
        high = _round_up(max(high, -low))
        return Scale(-high, high, signed, unit)
    return Scale(-_round_up(-low) if low < 0 else 0.0, _round_up(max(high, 0)), signed, unit)


def draw_map(
    pixels: Pixels,
    heat: NDArray[np.float32],
    lungs: Lungs | None,
    scale: Scale,
    lines: Sequence[str],
    peak: tuple[float, float] | None = None,
) -> RGB:
    """Draw the film beside the map on the film, with legend, numbers and notice.

    Args:
        pixels: float32 (H, W) in [0, 1].
        heat: float32 (H, W) in film coordinates; NaN, where the network did not look, stays film.
        lungs: of the film; None draws no contour.
        scale: of the colors.
        lines: the numbers, one sentence a line; long lines are broken.
        peak: (x, y) in pixels of the film, marked with a ring; None marks nothing.

    Returns:
        uint8 (h, w, 3), RGB.
    """
    factor = PANEL / pixels.shape[0]
    size = max(round(pixels.shape[1] * factor), 1), PANEL
    film = np.clip(_resized(pixels, size, shrinks=factor < 1), 0, 1)
    grey = np.repeat(np.rint(255 * film).astype(np.uint8)[..., None], 3, axis=2)
    colored = color_map(film, _resized_map(heat, size), scale)
    for panel in (grey, colored):
        _outline(panel, lungs)
    if peak is not None:
        _ring(colored, (peak[0] * factor, peak[1] * factor))
    width = max(size[0], _NARROWEST)
    both = np.hstack([_centered(grey, width), np.zeros((PANEL, _GAP, 3), np.uint8)])
    both = np.hstack([both, _centered(colored, width)])
    return np.vstack([both, _strip(both.shape[1], scale, lines)])


def color_map(film: Pixels, heat: NDArray[np.float32], scale: Scale) -> RGB:
    """Lay a map over a film (H, W) in [0, 1]; nothing where the map is 0, NaN or at its low end."""
    if scale.signed:
        return overlay(film, heat, scale.high)
    reach = max(scale.high - scale.low, 1e-12)
    strength = np.clip((np.nan_to_num(heat, nan=scale.low) - scale.low) / reach, 0, 1)
    table = cv2.applyColorMap(np.rint(255 * strength).astype(np.uint8), cv2.COLORMAP_CIVIDIS)
    opacity = (OPACITY * np.sqrt(strength))[..., None]
    grey = 255 * film[..., None]
    mixed = grey + opacity * (table[..., ::-1] - grey)
    return np.asarray(np.rint(mixed), np.uint8)


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in _ROUND if m * power >= value * (1 - 1e-6))


def _resized(pixels: Pixels, size: tuple[int, int], *, shrinks: bool) -> Pixels:
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.float32)


def _resized_map(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Nearest: the map is smooth at film size already, and NaN must not spread."""
    return np.asarray(cv2.resize(heat, size, interpolation=cv2.INTER_NEAREST), np.float32)


def _outline(panel: RGB, lungs: Lungs | None) -> None:
    if lungs is None:
        return
    mask = lungs.on_film(panel.shape[:2]).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(panel, contours, -1, LUNG_COLOR, 1, cv2.LINE_AA)


def _ring(panel: RGB, center: tuple[float, float]) -> None:
    place = round(center[0]), round(center[1])
    for color, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        cv2.circle(panel, place, 9, color, thickness, cv2.LINE_AA)


def _centered(panel: RGB, width: int) -> RGB:
    left = (width - panel.shape[1]) // 2
    return np.pad(panel, ((0, 0), (left, width - panel.shape[1] - left), (0, 0)))


def _strip(width: int, scale: Scale, lines: Sequence[str]) -> RGB:
    font, small = _font(15), _font(12)
    broken = [part for line in lines for part in _broken(line, font, width - 2 * _PAD)]
    notice = _broken(RESEARCH_USE, small, width - 2 * _PAD)
    line, little = 21, 16
    height = 2 * _PAD + line * len(broken) + 44 + little * len(notice)
    strip = Image.new("RGB", (width, height), "black")
    draw = ImageDraw.Draw(strip)
    y = _PAD
    for text in broken:
        draw.text((_PAD, y), text, "white", font)
        y += line
    y += 4
    strip.paste(Image.fromarray(_bar(width - 2 * _PAD, 12, scale)), (_PAD, y))
    for x, text, anchor in _ticks(width, scale):
        draw.text((x, y + 15), text, "white", small, anchor=anchor)
    y += 40
    for text in notice:
        draw.text((_PAD, y), text, (170, 170, 170), small)
        y += little
    return np.asarray(strip, np.uint8)


def _ticks(width: int, scale: Scale) -> list[tuple[int, str, str]]:
    if scale.signed:
        low, middle, high = f"{scale.low:g} against", f"0 {scale.unit}", f"for {scale.high:+g}"
    else:
        low, middle, high = f"{scale.low:g}", scale.unit, f"{scale.high:g}"
    return [(_PAD, low, "la"), (width // 2, middle, "ma"), (width - _PAD, high, "ra")]


def _bar(width: int, height: int, scale: Scale) -> RGB:
    ramp = np.tile(np.linspace(scale.low, scale.high, width, dtype=np.float32), (height, 1))
    return color_map(np.full(ramp.shape, 0.25, np.float32), ramp, scale)


def _broken(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font

"""Heatmap pictures: evidence over the film, with a legend in the model's own units.

Orange speaks for a label, blue against it, nothing where the evidence is zero. The two hues are of
the palette of Okabe and Ito (2008), which people with any color vision tell apart, and they stay
apart when printed in grey over a film because the strength is an opacity, not a hue.
"""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hilum.core.radiograph import Pixels
from hilum.core.reading import RESEARCH_USE

RGB = NDArray[np.uint8]

FOR = (240, 130, 0)
"""RGB of evidence for a label."""
AGAINST = (60, 160, 240)
"""RGB of evidence against a label."""
OPACITY = 0.7
"""Of the strongest evidence; the film shows through everywhere."""
MIN_LIMIT = 0.5
"""Logits; a weaker map is drawn as weak, not stretched until it looks like a finding."""

_DIM = (170, 170, 170)
_TRIAL = 32
_BAND = 64
"""Rows that are blended at a time: they stay in the processor's cache."""
_STEPS = 255
"""Strengths of each hue; finer ones would not change a channel of 8 bits."""


def limit_of(heatmap: NDArray[np.float32]) -> float:
    """Return the end of a symmetric scale: 1, 2 or 5 times a power of ten, in logits.

    >>> limit_of(np.array([[-1.3, 0.2]], np.float32))
    2.0
    >>> limit_of(np.zeros((2, 2), np.float32))
    0.5
    """
    strongest = float(np.fmax.reduce(np.abs(heatmap), axis=None, initial=0.0))
    if math.isinf(strongest):
        strongest = float(np.abs(heatmap[np.isfinite(heatmap)]).max(initial=0.0))
    strongest = max(strongest, MIN_LIMIT)
    power = 10.0 ** math.floor(math.log10(strongest))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= strongest * (1 - 1e-6))


def overlay(pixels: Pixels, heatmap: NDArray[np.float32], limit: float) -> RGB:
    """Lay a heatmap over a film.

    Args:
        pixels: float32 (H, W) in [0, 1].
        heatmap: float32 (H, W) in logits; NaN where the network did not look stays plain film.
        limit: logits at which the color is strongest, > 0.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    picture = np.empty((*pixels.shape, 3), np.uint8)
    for top in range(0, len(pixels), _BAND):
        band = slice(top, top + _BAND)
        picture[band] = _blended(pixels[band], heatmap[band], limit)
    return picture


def _blended(pixels: Pixels, heatmap: NDArray[np.float32], limit: float) -> RGB:
    grey = np.asarray(cv2.convertScaleAbs(pixels, alpha=255), np.uint8)
    scaled = np.multiply(heatmap, np.float32(_STEPS / limit), order="C")
    strength = cv2.patchNaNs(scaled, 0.0)
    np.clip(strength, -_STEPS, _STEPS, out=strength)
    place = (np.rint(strength, out=strength).astype(np.intp) + _STEPS) * 256 + grey
    blended = _blends().take(place).view(np.uint8).reshape(*grey.shape, 4)
    return np.asarray(cv2.cvtColor(blended, cv2.COLOR_RGBA2RGB), np.uint8)


@cache
def _blends() -> NDArray[np.uint32]:
    """Return the color of every strength over every grey, four bytes each: R, G, B, 0.

    To look colors up takes a third of the time of blending each channel of each pixel.
    """
    strength = np.linspace(-1, 1, 2 * _STEPS + 1)[:, None, None]
    color = np.where(strength > 0, np.array(FOR, float), np.array(AGAINST, float))
    grey = np.arange(256.0)[None, :, None]
    table = np.zeros((2 * _STEPS + 1, 256, 4), np.uint8)
    table[..., :3] = np.rint(grey + OPACITY * np.abs(strength) * (color - grey))
    return table.view(np.uint32).ravel()


def with_legend(picture: RGB, title: str, limit: float, unit: str = "") -> RGB:
    """Put a legend and the research-use notice beneath a picture; the film keeps its coordinates.

    Args:
        picture: uint8 (H, W, 3), from ``overlay``.
        title: such as "covid-19: logit -0.32 = mean evidence + bias"; each of its lines
            is broken where the picture is narrow.
        limit: as in ``overlay``.
        unit: of the scale, where the title does not say it.

    Returns:
        uint8 (H + legend, W, 3).
    """
    width = picture.shape[1]
    low, middle, high = f"-{limit:g} against", f"0 {unit}".strip(), f"for +{limit:g}"
    said = title.split("\n")
    font = _fitting((f"{low}   {middle}   {high}", said[0], RESEARCH_USE), width)
    line = math.ceil(1.5 * font.size)
    margin = line // 3
    above = [part for each in said for part in _wrapped(each, font, width - margin)]
    beneath = _wrapped(RESEARCH_USE, font, width - margin)
    top = line * len(above)
    strip = Image.new("RGB", (width, top + (2 + len(beneath)) * line + line // 2), "black")
    draw = ImageDraw.Draw(strip)
    for place, text in enumerate(above):
        draw.text((margin, place * line + margin // 2), text, "white", font)
    bar = _bar(width - 2 * margin, line // 2, limit)
    strip.paste(Image.fromarray(bar), (margin, top + line // 3))
    for x, text, anchor in (
        (margin, low, "la"),
        (width // 2, middle, "ma"),
        (width - margin, high, "ra"),
    ):
        draw.text((x, top + line), text, "white", font, anchor=anchor)
    for place, text in enumerate(beneath, start=2):
        draw.text((margin, top + place * line + margin // 2), text, _DIM, font)
    return np.vstack([picture, np.asarray(strip, np.uint8)])


def thumbnail(pixels: Pixels, side: int) -> Pixels:
    """Shrink a film so that its long side is at most ``side`` pixels; never enlarge."""
    height, width = pixels.shape
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)


def _bar(width: int, height: int, limit: float) -> RGB:
    scale = np.linspace(-limit, limit, max(width, 2), dtype=np.float32)
    ramp = np.tile(scale, (max(height, 2), 1))
    return overlay(np.full(ramp.shape, 0.25, np.float32), ramp, limit)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a text between words, so that no line is wider than ``width`` pixels if it can be."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _fitting(lines: tuple[str, ...], width: int) -> ImageFont.FreeTypeFont:
    """Return a font in which every line fits, if one of 7 to 40 pixels does.

    Lines grow as the font does.
    """
    longest = max(map(_font(_TRIAL).getlength, lines)) / _TRIAL
    return _font(max(7, min(40, max(12, width // 30), int(width / (longest + 1)))))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font

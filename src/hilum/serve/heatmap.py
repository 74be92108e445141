"""Heatmap pictures: evidence over the film, with a legend in the model's own units.

Orange speaks for a label, blue against it, nothing where the evidence is zero. The two hues are of
the palette of Okabe and Ito (2008), which people with any color vision tell apart, and they stay
apart when printed in grey over a film because the strength is an opacity, not a hue.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hilum.core.radiograph import Pixels

RGB = NDArray[np.uint8]

FOR = (240, 130, 0)
"""RGB of evidence for a label."""
AGAINST = (60, 160, 240)
"""RGB of evidence against a label."""
OPACITY = 0.7
"""Of the strongest evidence; the film shows through everywhere."""
MIN_LIMIT = 0.5
"""Logits; a weaker map is drawn as weak, not stretched until it looks like a finding."""


def limit_of(heatmap: NDArray[np.float32]) -> float:
    """Return the end of a symmetric scale: 1, 2 or 5 times a power of ten, in logits.

    >>> limit_of(np.array([[-1.3, 0.2]], np.float32))
    2.0
    >>> limit_of(np.zeros((2, 2), np.float32))
    0.5
    """
    finite = np.abs(heatmap[np.isfinite(heatmap)])
    strongest = max(float(finite.max(initial=0.0)), MIN_LIMIT)
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
    strength = np.clip(np.nan_to_num(heatmap) / np.float32(limit), -1, 1)
    opacity = OPACITY * np.abs(strength)
    grey = 255 * pixels
    picture = np.empty((*pixels.shape, 3), np.uint8)
    for channel, (toward, against) in enumerate(zip(FOR, AGAINST, strict=True)):
        color = np.where(strength > 0, np.float32(toward), np.float32(against))
        picture[..., channel] = np.rint(grey + opacity * (color - grey))
    return picture


def with_legend(picture: RGB, title: str, limit: float) -> RGB:
    """Put a legend beneath a picture; the film keeps its coordinates.

    Args:
        picture: uint8 (H, W, 3), from ``overlay``.
        title: one line, such as "covid-19: logit -0.32 = mean evidence + bias".
        limit: as in ``overlay``.

    Returns:
        uint8 (H + legend, W, 3).
    """
    width = picture.shape[1]
    low, high = f"-{limit:g} against", f"for +{limit:g}"
    font = _fitting(f"{low}   0   {high}", title, width)
    line = math.ceil(1.5 * font.size)
    strip = Image.new("RGB", (width, 3 * line + line // 2), "black")
    draw = ImageDraw.Draw(strip)
    margin = line // 3
    draw.text((margin, margin // 2), title, "white", font)
    bar = _bar(width - 2 * margin, line // 2, limit)
    strip.paste(Image.fromarray(bar), (margin, line + line // 3))
    for x, text, anchor in (
        (margin, low, "la"),
        (width // 2, "0", "ma"),
        (width - margin, high, "ra"),
    ):
        draw.text((x, 2 * line), text, "white", font, anchor=anchor)
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


def _fitting(labels: str, title: str, width: int) -> ImageFont.FreeTypeFont:
    """Find the largest font in which both lines fit, from 40 down to 7 pixels."""
    font = _font(7)
    for size in range(8, min(40, max(12, width // 30)) + 1):
        larger = _font(size)
        if max(larger.getlength(labels), larger.getlength(title)) > width - size:
            break
        font = larger
    return font


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font

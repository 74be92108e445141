"""Automatic: the window of a film that has none, and whose values use little of their range.

Detectors give 12 or 13 bits, which many files declare as 16 without a window; shown over the whole
range they are black. The rule, the same for every format, for reading and for showing:

A film of more than 8 bits without a VOI LUT and without a window that is narrower than the range of
its bits, whose values between percentile 0.5 and 99.5 take less than a quarter of the range that
its bits can hold, but at least 64 levels, has the window from the one percentile to the other. It
is the first window of the viewer, and the pixels of the reading are what it shows, so that the gate
measures them too.

The levels are counted on a film averaged to 64 x 64, where noise does not count: one that is blank
stays as it is, and the gate refuses it. Films of 8 bits are left alone: what they do not use is
lost.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.radiograph import Pixels, Radiograph

PERCENTILES = (0.5, 99.5)
_USED = 0.25
_LEVELS = 64
_SMALL = 64
_SAMPLE_SIDE = 512
_BYTE = 255


def automatic_window(
    pixels: Pixels, top: float, padding: NDArray[np.bool_] | None = None
) -> tuple[float, float] | None:
    """Return the window of a film that has none of its own; None where it needs none.

    Args:
        pixels: float32 (H, W) in [0, 1] over the whole range.
        top: levels from 0 to 1, without the lowest: 65535 for 16 bits.
        padding: bool (H, W): pixels that are no part of the film.

    Returns:
        (low, high) in [0, 1], shown black and white.
    """
    if top <= _BYTE:
        return None
    step = max(1, max(pixels.shape) // _SAMPLE_SIDE)
    film = pixels[::step, ::step]
    if padding is not None and not padding.all():
        film = film[~padding[::step, ::step]]
    low, high = (float(each) for each in np.percentile(film, PERCENTILES))
    if high - low >= _USED or _range(pixels, padding) * top < _LEVELS:
        return None
    return low, high


def through_window(
    radiograph: Radiograph, top: float, padding: NDArray[np.bool_] | None = None
) -> Radiograph:
    """Show a film that has no window through its automatic one, if it needs that, and say so.

    Args:
        radiograph: over the whole range.
        top, padding: as for ``automatic_window``.
    """
    window = automatic_window(radiograph.pixels, top, padding)
    if window is None:
        return radiograph
    low, high = window
    pixels = np.clip((radiograph.pixels - np.float32(low)) / np.float32(high - low), 0, 1)
    if padding is not None:
        pixels[padding] = 0
    shown = radiograph.stepped(
        np.asarray(pixels, np.float32),
        "window",
        f"automatic, percentile {PERCENTILES[0]} to {PERCENTILES[1]}: "
        f"{low * top:.0f} .. {high * top:.0f} of 0 .. {top:.0f} to 0 .. 1",
    )
    return replace(shown, notes=(*shown.notes, automatic_note(window)))


def automatic_note(window: tuple[float, float]) -> str:
    """Say that a film has the automatic window, (low, high) in [0, 1]."""
    return (
        f"no window but the whole range, and only {window[1] - window[0]:.1%} of it is used: "
        "shown and read through the automatic window"
    )


def _range(pixels: Pixels, padding: NDArray[np.bool_] | None) -> float:
    """Return what a film uses of [0, 1] once noise is averaged away."""
    height, width = pixels.shape
    size = min(width, _SMALL), min(height, _SMALL)
    if padding is not None and padding.any() and not padding.all():
        pixels = np.where(padding, np.median(pixels[~padding]), pixels).astype(np.float32)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, PERCENTILES)
    return float(high - low)

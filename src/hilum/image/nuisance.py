"""Nuisance features: twelve numbers of a film that say nothing of the lungs.

Size, aspect, brightness, border and corners tell the hospital, the scanner and the journal that
printed the film. What a logistic regression reaches on these alone is the part of a score that
needs no radiology: see ``hilum.judge.nuisance``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hilum.core.radiograph import Pixels, Radiograph

NUISANCE_FEATURES: dict[str, str] = {
    "log_megapixels": "natural logarithm of the pixel count in millions",
    "log_aspect": "natural logarithm of width / height",
    "long_side": "longer side of the file, in pixels",
    "mean": "mean grey level, in [0, 1]",
    "std": "standard deviation of the grey level",
    "dark": "share of pixels below 0.05",
    "bright": "share of pixels above 0.95",
    "border_mean": "mean grey level of the outer frame, 5 % of the shorter side wide",
    "border_std": "standard deviation of the grey level in that frame",
    "border_dark": "share of that frame below 0.05",
    "corner_mean": "mean grey level of the four corner squares, 10 % of the shorter side wide",
    "corner_spread": "brightest less darkest of the four corner means",
}
"""Name -> what it measures. Sizes are those of the file as it was opened."""


def nuisance_features(radiograph: Radiograph) -> dict[str, float]:
    """Measure the twelve numbers of ``NUISANCE_FEATURES``, in that order; all finite."""
    pixels = radiograph.pixels
    values = (*_size(*radiograph.shape), *_grey(pixels), *_border(pixels), *_corners(pixels))
    return dict(zip(NUISANCE_FEATURES, (float(value) for value in values), strict=True))


def _size(height: int, width: int) -> tuple[float, float, float]:
    return math.log(height * width / 1e6), math.log(width / height), max(height, width)


def _grey(pixels: Pixels) -> tuple[float, float, float, float]:
    return _mean(pixels), _std(pixels), _mean(pixels < 0.05), _mean(pixels > 0.95)


def _border(pixels: Pixels) -> tuple[float, float, float]:
    width = max(1, round(0.05 * min(pixels.shape)))
    frame = np.ones(pixels.shape, bool)
    frame[width:-width, width:-width] = False
    border = pixels[frame]
    return _mean(border), _std(border), _mean(border < 0.05)


def _corners(pixels: Pixels) -> tuple[float, float]:
    side = max(1, round(0.1 * min(pixels.shape)))
    near, far = slice(None, side), slice(-side, None)
    means = [_mean(pixels[rows, columns]) for rows in (near, far) for columns in (near, far)]
    return sum(means) / 4, max(means) - min(means)


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean(dtype=np.float64))


def _std(values: Pixels) -> float:
    return float(values.std(dtype=np.float64))

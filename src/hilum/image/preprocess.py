"""Preprocess: the one way from a Radiograph to what a network sees.

Training, evaluation and every reader call the same frozen object, which travels in the bundle.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.config import Config
from hilum.core.radiograph import Pixels, Radiograph


class Preprocess(Config):
    """How pixels become a network's input.

    Attributes:
        size: side of the square input, in pixels.
        channels: 1, or 3 equal copies.
        fit: "stretch" gives up the aspect ratio (and with it a trace of the source), "pad" keeps
            all and adds black, "crop" keeps the central square.
        low_percentile, high_percentile: grey levels that become 0 and 1 (clipped beyond);
            0 and 100 keep the film's own extremes, None for both leaves pixels as opened.
        mean, std: of the input after scaling, equal for every channel: ``(x - mean) / std``.
    """

    size: int = 224
    channels: Literal[1, 3] = 3
    fit: Literal["stretch", "pad", "crop"] = "stretch"
    low_percentile: float | None = 0.5
    high_percentile: float | None = 99.5
    mean: float = 0.5
    std: float = 0.25

    def square(self, radiograph: Radiograph) -> Pixels:
        """Return the film as one square picture.

        Returns:
            float32 (size, size) in [0, 1]: normalised in grey, fitted, not yet standardised.
            This is the array that a training cache keeps.
        """
        resized = _resize(_fit(radiograph.pixels, self.fit), self.size)
        return self._grey(resized)

    def __call__(self, radiograph: Radiograph) -> NDArray[np.float32]:
        """Return float32 (channels, size, size): ``square`` standardised by mean and std."""
        return self.standardise(self.square(radiograph))

    def standardise(self, square: Pixels) -> NDArray[np.float32]:
        """Standardise float32 (H, W) in [0, 1] and repeat it: float32 (channels, H, W)."""
        standard = ((square - self.mean) / self.std).astype(np.float32)
        return np.repeat(standard[None], self.channels, axis=0)

    def to_film(self, heatmap: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Bring a map of the network's input back into film coordinates.

        Args:
            heatmap: float32 (h, w), any resolution, covering the whole network input.
            shape: (height, width) of the film, in pixels.

        Returns:
            float32 (height, width); NaN where the network did not look ("crop").
        """
        height, width = shape
        if self.fit == "stretch":
            return _linear(heatmap, height, width)
        side = max(shape) if self.fit == "pad" else min(shape)
        square = _linear(heatmap, side, side)
        top, left = abs(height - side) // 2, abs(width - side) // 2
        if self.fit == "pad":
            return square[top : top + height, left : left + width]
        film = np.full(shape, np.nan, np.float32)
        film[top : top + side, left : left + side] = square
        return film

    def _grey(self, pixels: Pixels) -> Pixels:
        if self.low_percentile is None or self.high_percentile is None:
            return pixels
        low, high = np.percentile(pixels, [self.low_percentile, self.high_percentile])
        if high - low < 1e-6:
            return np.zeros_like(pixels)
        return np.asarray(np.clip((pixels - low) / (high - low), 0, 1), np.float32)


def _fit(pixels: Pixels, fit: str) -> Pixels:
    height, width = pixels.shape
    if fit == "stretch" or height == width:
        return pixels
    side = max(height, width) if fit == "pad" else min(height, width)
    top, left = abs(height - side) // 2, abs(width - side) // 2
    if fit == "crop":
        return pixels[top : top + side, left : left + side]
    padded = np.zeros((side, side), np.float32)
    padded[top : top + height, left : left + width] = pixels
    return padded


def _resize(pixels: Pixels, size: int) -> Pixels:
    shrinks = min(pixels.shape) >= size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=method), np.float32)


def _linear(heatmap: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    resized = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32)

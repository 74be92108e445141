"""Preprocess: the one way from a Radiograph to what a network sees.

Training, evaluation and every reader call the same frozen object, which travels in the bundle.
"""

from __future__ import annotations

from typing import Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hilum.core.config import Config
from hilum.core.errors import ConfigError
from hilum.core.radiograph import Pixels, Radiograph
from hilum.image.lungs import Lungs

Region = Literal["film", "lung-field", "lungs-only", "lungs-removed"]


class Preprocess(Config):
    """How pixels become a network's input.

    Attributes:
        size: side of the square input, in pixels.
        channels: 1, or 3 equal copies.
        region: "film" is all of it; "lung-field" the box around the lungs with a margin, which
            leaves out most text, borders and shoulders; "lungs-only" that box, black outside the
            lungs; "lungs-removed" the whole film, black inside the lungs: a model that still
            works on that has not read them.
        margin: of "lung-field" and "lungs-only", as a fraction of the box's height and width.
        fit: "stretch" gives up the aspect ratio (and with it a trace of the source), "pad" keeps
            all and adds black, "crop" keeps the central square.
        low_percentile, high_percentile: grey levels of the region that become 0 and 1 (clipped
            beyond); 0 and 100 keep its own extremes, None for both leaves pixels as opened.
        equalize: clip limit of a contrast-limited adaptive histogram equalization (Zuiderveld,
            Graphics Gems IV, 1994) on 8 x 8 tiles; None for none.
        mean, std: of the input after scaling, equal for every channel: ``(x - mean) / std``.
    """

    size: int = Field(default=224, ge=1)
    channels: Literal[1, 3] = 3
    region: Region = "film"
    margin: float = Field(default=0.1, ge=0, le=1)
    fit: Literal["stretch", "pad", "crop"] = "stretch"
    low_percentile: float | None = 0.5
    high_percentile: float | None = 99.5
    equalize: float | None = Field(default=None, gt=0)
    mean: float = 0.5
    std: float = Field(default=0.25, gt=0)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        low, high = self.low_percentile, self.high_percentile
        if not all(0 <= each <= 100 for each in (low, high) if each is not None):
            raise ValueError(f"low_percentile {low}, high_percentile {high}: expected 0 to 100")
        if low is not None and high is not None and low >= high:
            raise ValueError(f"low_percentile {low:g} is not below high_percentile {high:g}")
        return self

    @property
    def needs_lungs(self) -> bool:
        """True when a film's lungs must be given."""
        return self.region != "film"

    def square(self, radiograph: Radiograph, lungs: Lungs | None = None) -> Pixels:
        """Return the film as one square picture.

        Args:
            radiograph: an opened film.
            lungs: of that film; needed unless ``region`` is "film".

        Returns:
            float32 (size, size) in [0, 1]: normalised in grey, fitted, not yet standardised.
            This is the array that a training cache keeps.

        Raises:
            ConfigError: the region needs lungs, and there are none.
        """
        pixels = radiograph.pixels
        if self.region == "film":
            return self._to_square(pixels)
        lungs = _given(lungs, self.region)
        if self.region == "lungs-removed":
            return self._to_square(np.where(lungs.on_film(pixels.shape), 0, pixels))
        rows, columns = self._crop(pixels.shape, lungs)
        square = self._to_square(pixels[rows, columns])
        if self.region == "lungs-only":
            inside = lungs.on_film(pixels.shape)[rows, columns].astype(np.float32)
            square = np.where(_resize(_fit(inside, self.fit), self.size) > 0.5, square, 0)
        return np.asarray(square, np.float32)

    def __call__(self, radiograph: Radiograph, lungs: Lungs | None = None) -> NDArray[np.float32]:
        """Return float32 (channels, size, size): ``square`` standardised by mean and std."""
        return self.standardise(self.square(radiograph, lungs))

    def standardise(self, square: Pixels) -> NDArray[np.float32]:
        """Standardise float32 (H, W) in [0, 1] and repeat it: float32 (channels, H, W)."""
        standard = ((square - self.mean) / self.std).astype(np.float32)
        return np.repeat(standard[None], self.channels, axis=0)

    def to_film(
        self, heatmap: NDArray[np.float32], shape: tuple[int, int], lungs: Lungs | None = None
    ) -> NDArray[np.float32]:
        """Bring a map of the network's input back into film coordinates.

        Args:
            heatmap: float32 (h, w), any resolution, covering the whole network input.
            shape: (height, width) of the film, in pixels.
            lungs: those that ``square`` was given.

        Returns:
            float32 (height, width); NaN where the network did not look (beyond the lung field,
            or beyond the central square of "crop").
        """
        if self.region not in ("lung-field", "lungs-only"):
            return self._from_square(heatmap, shape)
        rows, columns = self._crop(shape, _given(lungs, self.region))
        film = np.full(shape, np.nan, np.float32)
        inside = (rows.stop - rows.start, columns.stop - columns.start)
        film[rows, columns] = self._from_square(heatmap, inside)
        return film

    def window(
        self, shape: tuple[int, int], lungs: Lungs | None = None
    ) -> tuple[float, float, float, float]:
        """Return the part of a film that the network's input shows.

        Args:
            shape: (height, width) of the film, in pixels.
            lungs: those that ``square`` was given.

        Returns:
            (left, top, width, height) in pixels of the film; with "pad" it reaches beyond it.
        """
        rows, columns = slice(0, shape[0]), slice(0, shape[1])
        if self.region in ("lung-field", "lungs-only"):
            rows, columns = self._crop(shape, _given(lungs, self.region))
        left, top = columns.start, rows.start
        width, height = columns.stop - left, rows.stop - top
        if self.fit == "stretch":
            return left, top, width, height
        side = max(height, width) if self.fit == "pad" else min(height, width)
        # as _fit cuts and fills: the odd pixel lies at the end
        away = 1 if self.fit == "crop" else -1
        across, down = abs(width - side) // 2, abs(height - side) // 2
        return left + away * across, top + away * down, side, side

    def _crop(self, shape: tuple[int, int], lungs: Lungs) -> tuple[slice, slice]:
        height, width = shape
        top, left, bottom, right = lungs.box(self.margin)
        rows = slice(int(top * height), max(round(bottom * height), int(top * height) + 1))
        columns = slice(int(left * width), max(round(right * width), int(left * width) + 1))
        return rows, columns

    def _to_square(self, pixels: Pixels) -> Pixels:
        square = self._grey(_resize(_fit(pixels, self.fit), self.size))
        return square if self.equalize is None else _equalized(square, self.equalize)

    def _from_square(
        self, heatmap: NDArray[np.float32], shape: tuple[int, int]
    ) -> NDArray[np.float32]:
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


def _given(lungs: Lungs | None, region: str) -> Lungs:
    if lungs is None:
        raise ConfigError(
            f"preprocess.region '{region}' needs the lungs of the film",
            hint="segment the film first: hilum.bundle.lungs.LungSegmenter().segment(radiograph)",
        )
    return lungs


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


def _equalized(square: Pixels, clip: float) -> Pixels:
    grey = np.round(square * 255).astype(np.uint8)
    return np.asarray(cv2.createCLAHE(clip, (8, 8)).apply(grey), np.float32) / np.float32(255)


def _linear(heatmap: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    resized = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32)

"""Boxes from any map of scores: what lies above a threshold, piece by piece."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hilum.core.config import Config
from hilum.core.details import OpacityBox, PixelBox
from hilum.image.opacities import Opacities

LONG_SIDE = 128
"""Of the map from which the boxes of opacities are taken, in pixels, however large the film."""


class BoxSettings(Config):
    """How a map becomes boxes.

    A bundle names its own in ``opacities.json``. The defaults are those that were chosen for the
    opacity network of earlier bundles; docs/explanation/boxes.md says how.

    Attributes:
        threshold: a pixel belongs to a box from this score on, in [0, 1].
        minimum_area: of a piece, as a share of the film; smaller ones are dropped.
        gap: pieces nearer to each other than this share of the film's long side are one.
        score: of a box: the mean or the largest score of the pixels of its piece.
        grow: each side is multiplied by this about the center: readers draw wider, or tighter,
            than a map glows. What lies beyond the film is cut off.
        most: boxes a film, those of the highest score.
    """

    threshold: float = Field(default=0.5, ge=0, le=1)
    minimum_area: float = Field(default=0.005, ge=0, le=1)
    gap: float = Field(default=0.0, ge=0, le=1)
    score: Literal["mean", "max"] = "mean"
    grow: float = Field(default=1.0, gt=0, le=3)
    most: int = Field(default=6, ge=1)


def boxes_of(
    scores: NDArray[np.float32],
    settings: BoxSettings | None = None,
    *,
    holding: NDArray[np.bool_] | None = None,
) -> tuple[OpacityBox, ...]:
    """Return boxes around what is bright on a map.

    Args:
        scores: float32 (H, W) in [0, 1], in film coordinates; NaN where nothing was looked at.
        settings: None for the defaults.
        holding: bool (H, W), a piece without any of these pixels gets no box; None: every piece.

    Returns:
        Highest score first, in pixels of the map; none where nothing reaches the threshold.
    """
    settings = settings or BoxSettings()
    known = np.nan_to_num(scores, nan=-1.0)
    bright = known >= settings.threshold
    if not bright.any():
        return ()
    count, marks = cv2.connectedComponents(_bridged(bright, settings.gap), connectivity=8)
    marks = np.where(bright, marks, 0)  # the bridge between two pieces is not part of the box
    found = []
    for mark in range(1, count):
        piece = marks == mark
        large = piece.sum() >= settings.minimum_area * piece.size
        if large and (holding is None or holding[piece].any()):
            found.append(_box(piece, known[piece], settings))
    found.sort(key=lambda each: -each.score)
    return tuple(found[: settings.most])


def opacity_boxes(
    opacities: Opacities, shape: tuple[int, int], settings: BoxSettings | None = None
) -> tuple[OpacityBox, ...]:
    """Return boxes around the opacities of one film, of whatever kind.

    A box lies around a piece of the whole map, of which some is shown as opaque; its score is that
    of the piece times the chance that the film shows any opacity.

    Args:
        opacities: of the film.
        shape: (height, width) of the film, in pixels.
        settings: None for the defaults.

    Returns:
        Highest score first, in pixels of the film.
    """
    scale = LONG_SIDE / max(shape)
    small = max(round(shape[0] * scale), 1), max(round(shape[1] * scale), 1)
    union = opacities.scores.max(0)
    scores = cv2.resize(union, (small[1], small[0]), interpolation=cv2.INTER_LINEAR)
    shown = opacities.on_film(small)
    down, across = shape[0] / small[0], shape[1] / small[1]
    return tuple(
        OpacityBox(
            box=_stretched(each.box, across, down, shape),
            score=round(opacities.chance * each.score, 4),
        )
        for each in boxes_of(np.asarray(scores, np.float32), settings, holding=shown)
    )


def _stretched(box: PixelBox, across: float, down: float, shape: tuple[int, int]) -> PixelBox:
    left, top, width, height = box
    low_x, low_y = round(left * across), round(top * down)
    high_x = min(round((left + width) * across), shape[1])
    high_y = min(round((top + height) * down), shape[0])
    return low_x, low_y, max(high_x - low_x, 1), max(high_y - low_y, 1)


def _bridged(bright: NDArray[np.bool_], gap: float) -> NDArray[np.uint8]:
    """Return the pieces grown until those nearer than ``gap`` touch."""
    pieces = bright.astype(np.uint8)
    reach = round(gap * max(bright.shape) / 2)
    if reach < 1:
        return pieces
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(pieces, disc), np.uint8)


def _box(
    piece: NDArray[np.bool_], scores: NDArray[np.float32], settings: BoxSettings
) -> OpacityBox:
    value = float(scores.mean() if settings.score == "mean" else scores.max())
    rows, columns = np.flatnonzero(piece.any(1)), np.flatnonzero(piece.any(0))
    box = (columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0])
    return OpacityBox(
        box=_grown(tuple(int(side) for side in box), settings.grow, piece.shape),  # type: ignore[arg-type]
        score=round(min(max(value, 0.0), 1.0), 4),
    )


def _grown(box: PixelBox, factor: float, shape: tuple[int, ...]) -> PixelBox:
    left, top, width, height = box
    across, down = (factor - 1) * width / 2, (factor - 1) * height / 2
    low_x, low_y = max(round(left - across), 0), max(round(top - down), 0)
    high_x = min(round(left + width + across), shape[1])
    high_y = min(round(top + height + down), shape[0])
    return low_x, low_y, max(high_x - low_x, 1), max(high_y - low_y, 1)

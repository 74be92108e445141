"""Outlines: where lungs and opacities lie on a film, as polygons and boxes in its pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.details import Lesion, LungDetail, Opacity, Outline, PixelBox
from hilum.image.lungs import Lungs, split_sides
from hilum.image.opacities import KINDS, Opacities

Mask = NDArray[np.bool_]
Shape = tuple[int, int]

_SIDE = 768
"""Long side, in pixels, of the picture on which borders are followed: finer than any mask."""
_STRAIGHT = 0.75
"""Pixels of that picture by which a polygon may leave the border."""
_SPECK = 0.002
"""An opacity smaller than this share of the lungs is left out of the list of lesions."""


def describe_lungs(lungs: Lungs, shape: Shape) -> tuple[LungDetail, ...]:
    """Return each lung that was found, the patient's right first.

    Args:
        lungs: of a film.
        shape: (height, width) of the film, in pixels.
    """
    found = []
    for side, mask in split_sides(lungs).items():
        outline = outline_of(mask, shape)
        if outline:
            area = round(float(mask.mean()), 5)
            found.append(LungDetail(side=side, area=area, box=box_of(mask, shape), outline=outline))
    return tuple(found)


def describe_lesions(opacities: Opacities, lungs: Lungs, shape: Shape) -> tuple[Lesion, ...]:
    """Return the connected opacities of each kind, largest first, specks left out."""
    total = int(lungs.mask.sum())
    if not total:
        return ()
    lesions = [
        _lesion(kind, region, opacities, total, shape)
        for kind in KINDS
        for region in _regions(opacities.mask(kind), _SPECK * total)
    ]
    return tuple(sorted(lesions, key=lambda lesion: -lesion.area))


def outline_of(mask: Mask, shape: Shape) -> Outline:
    """Return the border of the largest region of a mask as a polygon in film pixels.

    Args:
        mask: bool (S, S), the whole film stretched to a square.
        shape: (height, width) of the film.

    Returns:
        (x, y) of its corners, in pixels of the film; empty for an empty mask.
    """
    height, width = shape
    scale = _SIDE / max(shape)
    fine = max(round(width * scale), 1), max(round(height * scale), 1)
    soft = cv2.resize(mask.astype(np.float32), fine, interpolation=cv2.INTER_LINEAR)
    found, _ = cv2.findContours(
        (soft > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not found:
        return ()
    polygon = cv2.approxPolyDP(max(found, key=cv2.contourArea), _STRAIGHT, closed=True)[:, 0]
    stretch = np.array([width, height]) / np.array(fine)
    corners = np.rint((polygon + 0.5) * stretch - 0.5).astype(int)
    return tuple((int(x), int(y)) for x, y in corners)


def box_of(mask: Mask, shape: Shape) -> PixelBox:
    """Return the box around a mask, bool (S, S) and not empty, in pixels of a film of ``shape``."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    down, across = shape[0] / mask.shape[0], shape[1] / mask.shape[1]
    left, top = round(columns[0] * across), round(rows[0] * down)
    right, bottom = round((columns[-1] + 1) * across), round((rows[-1] + 1) * down)
    return int(left), int(top), max(int(right - left), 1), max(int(bottom - top), 1)


def _regions(mask: Mask, smallest: float) -> list[Mask]:
    count, marks, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    return [marks == place for place in range(1, count) if areas[place] >= smallest]


def _lesion(kind: Opacity, region: Mask, opacities: Opacities, total: int, shape: Shape) -> Lesion:
    scores = opacities.scores[KINDS.index(kind)]
    return Lesion(
        kind=kind,
        area=min(round(int(region.sum()) / total, 4), 1.0),
        score=round(float(scores[region].mean()), 4),
        box=box_of(region, shape),
        outline=outline_of(region, shape),
    )

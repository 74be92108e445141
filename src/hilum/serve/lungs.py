"""Lungs of films: where they lie, as numbers, as contours over the film, as a mask."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydantic import BaseModel, ConfigDict, Field

from hilum.bundle.lungs import LungSegmenter
from hilum.core.errors import ImageError
from hilum.core.radiograph import Pixels, Radiograph
from hilum.core.reading import RESEARCH_USE
from hilum.image.lungs import Box, Lungs
from hilum.image.open import open_radiograph
from hilum.image.write import write_png
from hilum.serve.film import printable
from hilum.serve.heatmap import RGB

COLORS = ((0, 200, 150), (240, 220, 60))
"""RGB of the largest region, of the next one, and so on; after Okabe and Ito (2008)."""


class LungStatus(StrEnum):
    """What became of a film: lungs found, none found, or an error in opening it."""

    FOUND = "found"
    NONE = "none"
    ERROR = "error"


class LungPart(BaseModel):
    """One connected region, most often one lung.

    Attributes:
        area: as a fraction of the film, in [0, 1].
        center: (x, y), in pixels of the film.
        box: (left, top, width, height), in pixels of the film.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    area: float = Field(ge=0, le=1)
    center: tuple[float, float]
    box: tuple[int, int, int, int]


class LungReport(BaseModel):
    """Where the lungs of one film lie.

    Attributes:
        path: of the film.
        status: ``found``, ``none`` or ``error``.
        reason, hint: why there are none, and what to do about it; None otherwise.
        width, height: of the film, in pixels; None if it did not open.
        area: of the lungs, as a fraction of the film.
        box: around all of them, (left, top, width, height) in pixels; None without lungs.
        parts: connected regions, largest first; two for most films.
        network: first digits of the SHA-256 of the lung network.
        notice: the research-use notice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: str = "1"
    path: str
    status: LungStatus
    reason: str | None = None
    hint: str | None = None
    width: int | None = None
    height: int | None = None
    area: float = 0.0
    box: tuple[int, int, int, int] | None = None
    parts: tuple[LungPart, ...] = ()
    network: str
    notice: str = RESEARCH_USE


def find_lungs(
    path: str | Path,
    segmenter: LungSegmenter,
    *,
    picture: Path | None = None,
    mask: Path | None = None,
) -> LungReport:
    """Find the lungs of one film; never raise for what is wrong with its file.

    Args:
        path: of the film.
        segmenter: of a bundle.
        picture: PNG to write the film with its contours to; None writes none.
        mask: PNG to write the mask to: film size, 8 bits, 255 inside; None writes none.
    """
    network = segmenter.checksum[:8]
    try:
        radiograph = open_radiograph(path)
    except (ImageError, MemoryError) as error:
        reason = error.message if isinstance(error, ImageError) else "not enough memory to open it"
        return LungReport(
            path=printable(path),
            status=LungStatus.ERROR,
            reason=printable(reason.removeprefix(f"{path}: ")),
            hint=getattr(error, "hint", "") or None,
            network=network,
        )
    lungs = segmenter.segment(radiograph)
    if picture is not None:
        write_png(picture, with_notice(outline(radiograph.pixels, lungs)))
    if mask is not None:
        write_png(mask, lungs.on_film(radiograph.shape).astype(np.float32))
    return describe_lungs(radiograph, lungs, path=printable(path), network=network)


def describe_lungs(radiograph: Radiograph, lungs: Lungs, *, path: str, network: str) -> LungReport:
    """Say where lungs lie, in pixels of the film."""
    height, width = radiograph.shape
    parts = tuple(
        LungPart(
            area=round(part.area, 5),
            center=(round(part.center[0] * width, 1), round(part.center[1] * height, 1)),
            box=_pixels(part.box, radiograph.shape),
        )
        for part in lungs.parts
    )
    return LungReport(
        path=path,
        status=LungStatus.FOUND if parts else LungStatus.NONE,
        reason=None if parts else "no lungs found on this film",
        hint=None if parts else "is it a frontal chest film? look at it with 'hilum show'",
        width=width,
        height=height,
        area=round(lungs.area, 5),
        box=_pixels(lungs.box(), radiograph.shape) if parts else None,
        parts=parts,
        network=network,
    )


def outline(pixels: Pixels, lungs: Lungs) -> RGB:
    """Draw the contours of the lungs on a film.

    Args:
        pixels: float32 (H, W) in [0, 1].
        lungs: of that film.

    Returns:
        uint8 (H, W, 3), RGB; beyond the contours the film as it is.
    """
    grey = np.rint(255 * pixels).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=2)
    found, _ = cv2.findContours(
        lungs.on_film(pixels.shape).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    thickness = max(1, round(max(pixels.shape) / 350))
    largest_first = sorted(found, key=cv2.contourArea, reverse=True)
    for place, contour in enumerate(largest_first):
        color = COLORS[place % len(COLORS)]
        cv2.drawContours(picture, [contour], -1, color, thickness, cv2.LINE_AA)
    return picture


def with_notice(picture: RGB) -> RGB:
    """Write the research-use notice into the lower left corner, uint8 (H, W, 3)."""
    height, width = picture.shape[:2]
    size = max(7, min(28, width // 40))
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text(
        (size // 2, height - size // 2),
        RESEARCH_USE,
        "white",
        ImageFont.load_default(size),
        anchor="ls",
        stroke_width=max(1, size // 9),
        stroke_fill="black",
    )
    return np.asarray(image, np.uint8)


def _pixels(box: Box, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """From fractions (top, left, bottom, right) to pixels (left, top, width, height)."""
    height, width = shape
    top, left = math.floor(box[0] * height), math.floor(box[1] * width)
    bottom, right = math.ceil(box[2] * height), math.ceil(box[3] * width)
    return left, top, min(right, width) - left, min(bottom, height) - top

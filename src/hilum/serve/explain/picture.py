"""The picture of a map: the film, the map over it, a legend in the map's own unit, the numbers.

Orange speaks for the label and blue against it, as in every heatmap of Hilum. Both panels show the
contours of the lungs.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.radiograph import Pixels
from hilum.image.lungs import Lungs
from hilum.serve.heatmap import RGB, overlay, with_legend
from hilum.serve.marks import STYLES, Layer

PANEL = 480
"""Height of each panel in pixels; films are scaled to it, so that text and lines look alike."""
_NARROWEST = 300  # pixels of a panel, however slim the film, so that the text fits
_GAP = 4


def draw_map(
    pixels: Pixels,
    heat: NDArray[np.float32],
    lungs: Lungs | None,
    limit: float,
    unit: str,
    lines: Sequence[str],
    peak: tuple[float, float] | None = None,
) -> RGB:
    """Draw the film beside the map on the film, with legend, numbers and notice.

    Args:
        pixels: float32 (H, W) in [0, 1].
        heat: float32 (H, W) in film coordinates; NaN, where the network did not look, stays film.
        lungs: of the film; None draws no contour.
        limit: number of the map at which the color is strongest, > 0.
        unit: of the map's numbers.
        lines: the numbers, one sentence a line; long lines are broken.
        peak: (x, y) in pixels of the film, marked with a ring; None marks nothing.

    Returns:
        uint8 (h, w, 3), RGB.
    """
    factor = PANEL / pixels.shape[0]
    size = max(round(pixels.shape[1] * factor), 1), PANEL
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    film = np.clip(np.asarray(cv2.resize(pixels, size, interpolation=how), np.float32), 0, 1)
    # nearest: the map is smooth at film size already, and NaN must not spread
    laid = np.asarray(cv2.resize(heat, size, interpolation=cv2.INTER_NEAREST), np.float32)
    grey = np.repeat(np.rint(255 * film).astype(np.uint8)[..., None], 3, axis=2)
    colored = overlay(film, laid, limit)
    if lungs is not None:
        mask = lungs.on_film((size[1], size[0])).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for panel in (grey, colored):
            cv2.drawContours(panel, contours, -1, STYLES[Layer.LUNGS].color, 1, cv2.LINE_AA)
    if peak is not None:
        place = round(peak[0] * factor), round(peak[1] * factor)
        for color, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
            cv2.circle(colored, place, 9, color, thickness, cv2.LINE_AA)
    left, gap = max(_NARROWEST - size[0], 0) // 2, np.zeros((PANEL, _GAP, 3), np.uint8)
    border = ((0, 0), (left, max(_NARROWEST - size[0], 0) - left), (0, 0))
    both = np.hstack([np.pad(grey, border), gap, np.pad(colored, border)])
    return with_legend(both, "\n".join(lines), limit, unit)

"""The smoothed form of a coarse map, as the second paper shows it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def smooth(brightness: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Bring a map to the size of its film, and smooth it.

    Args:
        brightness: float32 (h, w) over the whole film.
        shape: (height, width) of the film in pixels.

    Returns:
        float32 (height, width): bicubic, then a Gaussian of half a cell of the map.
    """
    height, width = shape
    large = cv2.resize(brightness, (width, height), interpolation=cv2.INTER_CUBIC)
    cell_y, cell_x = height / brightness.shape[0], width / brightness.shape[1]
    blurred = cv2.GaussianBlur(large, (0, 0), sigmaX=cell_x / 2, sigmaY=cell_y / 2)
    return np.asarray(blurred, np.float32)

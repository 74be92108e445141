"""Turns: the eight ways in which a picture can lie, and what makes it upright."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_Kind = TypeVar("_Kind", bound=np.generic)

TURNS: dict[int, str] = {
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "mirrored about the main diagonal",
    6: "turned by 90 degrees clockwise",
    7: "mirrored about the other diagonal",
    8: "turned by 90 degrees counter-clockwise",
}
"""EXIF 2.32 tag 274: value -> what makes the picture upright; 1 is upright."""

ACROSS = (5, 6, 7, 8)
"""Those in which rows become columns."""


def turn_upright(samples: NDArray[_Kind], turn: int) -> NDArray[_Kind]:
    """Undo an EXIF orientation (1 to 8) of samples (H, W) of any kind."""
    found: NDArray[Any] = samples
    if turn in ACROSS:
        found = found.T
    if turn in (2, 3, 6, 7):
        found = found[:, ::-1]
    if turn in (3, 4, 7, 8):
        found = found[::-1]
    return np.ascontiguousarray(found)

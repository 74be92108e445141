"""Lungs: where they lie on a film, as a mask and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

_SPECK = 0.15
"""A region smaller than this share of the largest one is no lung."""

Box = tuple[float, float, float, float]
"""(top, left, bottom, right), as fractions of the film in [0, 1]."""


@dataclass(frozen=True)
class Part:
    """One connected region of a mask.

    Attributes:
        area: as a fraction of the film.
        center: (x, y), as fractions of the film.
        box: that holds it.
    """

    area: float
    center: tuple[float, float]
    box: Box


@dataclass(frozen=True, eq=False)
class Lungs:
    """The lungs of one film.

    Attributes:
        mask: bool (S, S), the whole film stretched to a square; True inside a lung.
        embedding: float32 (E,), what the film as a whole looks like to the lung network; empty
            where a mask was drawn by hand.
    """

    mask: NDArray[np.bool_]
    embedding: NDArray[np.float32]

    @classmethod
    def drawn(cls, mask: NDArray[np.bool_], size: int = 256) -> Lungs:
        """Return lungs from a mask at film size, bool (H, W)."""
        square = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        return cls(np.asarray(square > 0.5), np.zeros(0, np.float32))

    @property
    def area(self) -> float:
        """Lungs as a fraction of the film, in [0, 1], specks left out."""
        return sum(part.area for part in self.parts)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The connected regions, largest first, without specks."""
        return tuple(part for part, _ in self._found)

    @property
    def regions(self) -> tuple[NDArray[np.bool_], ...]:
        """The mask of each of ``parts``, bool (S, S)."""
        return tuple(region for _, region in self._found)

    @cached_property
    def _found(self) -> list[tuple[Part, NDArray[np.bool_]]]:
        count, marks, stats, centers = cv2.connectedComponentsWithStats(self.mask.astype(np.uint8))
        side = self.mask.shape[0]
        found = [(_part(stats[i], centers[i], side), i) for i in range(1, count)]
        found.sort(key=lambda each: -each[0].area)
        kept = [each for each in found if each[0].area >= _SPECK * found[0][0].area]
        return [(part, marks == i) for part, i in kept]  # specks, of noise thousands, get no mask

    def box(self, margin: float = 0.0) -> Box:
        """Return the box around the lungs.

        Args:
            margin: added on each side, as a fraction of the box's own height and width; what
                would lie beyond the film is cut off.

        Returns:
            The whole film where no lung was found.
        """
        if not self.parts:
            return 0.0, 0.0, 1.0, 1.0
        top = min(part.box[0] for part in self.parts)
        left = min(part.box[1] for part in self.parts)
        bottom = max(part.box[2] for part in self.parts)
        right = max(part.box[3] for part in self.parts)
        down, across = margin * (bottom - top), margin * (right - left)
        return (
            max(top - down, 0.0),
            max(left - across, 0.0),
            min(bottom + down, 1.0),
            min(right + across, 1.0),
        )

    def on_film(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask at film size, bool (H, W) = ``shape``, with smooth borders."""
        height, width = shape
        soft = cv2.resize(
            self.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
        )
        return np.asarray(soft > 0.5)


def _part(stats: NDArray[np.int32], center: NDArray[np.float64], side: int) -> Part:
    left, top, width, height, area = (int(value) for value in stats)
    box = (top / side, left / side, (top + height) / side, (left + width) / side)
    x, y = ((float(value) + 0.5) / side for value in center)
    return Part(area / side**2, (x, y), box)

"""DICOM windows: Window Center and Width as pairs, and what a window does (PS3.3 C.11.2.1.2)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from hilum.image.dicom_lut import Values
from hilum.image.dicom_values import Given, code_of, given

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


class Pair(NamedTuple):
    """A window of the file, in output of the modality LUT; ``place`` is its own, from 1."""

    center: float
    width: float
    place: int


class Windows(NamedTuple):
    """What a file says of its windows.

    Attributes:
        function: VOI LUT Function (0028,1056): LINEAR, LINEAR_EXACT or SIGMOID.
        pairs: the valid ones, in the file's order.
        total: how many it names, valid or not.
        notes: what was left out, or read otherwise than it stands there.
    """

    function: str
    pairs: tuple[Pair, ...]
    total: int
    notes: tuple[str, ...]

    def within(self, low: float, high: float) -> Windows:
        """Leave out the windows that show all of ``low`` .. ``high`` black, or all of it white."""
        if self.function == "SIGMOID":
            return self
        notes, kept = list(self.notes), []
        for pair in self.pairs:
            black, white = ends(pair, self.function)
            if black < high and white > low:
                kept.append(pair)
            else:
                notes.append(f"window {pair.place} left out: the film has no value in it")
        return self._replace(pairs=tuple(kept), notes=tuple(notes))


def read_windows(dataset: Dataset) -> Windows:
    """Pair the centers and widths of a data set by their places.

    A pair that is not two numbers, or whose width the standard does not allow (C.11.2.1.2: LINEAR
    needs 1 or more, C.11.2.1.3: the others more than 0), is left out, and a note says so.
    """
    notes: list[str] = []
    function = _function(dataset, notes)
    centers, widths = given(dataset, "WindowCenter"), given(dataset, "WindowWidth")
    total = max(len(centers), len(widths))
    pairs = []
    for place in range(total):
        center, width = (_at(each, place) for each in (centers, widths))
        if center.number is None or width.number is None:
            notes.append(f"window {place + 1} left out: center '{center}', width '{width}'")
        elif width.number <= 0 or (function == "LINEAR" and width.number < 1):
            notes.append(f"window width {width.number:g} is not allowed: window left out")
        else:
            pairs.append(Pair(center.number, width.number, place + 1))
            notes.extend(each.note for each in (center, width) if each.note)
    return Windows(function, tuple(pairs), total, tuple(dict.fromkeys(notes)))


def windowed(values: Values, center: float, width: float, function: str) -> Values:
    """Window values, any shape, to [0, 1] (PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2).

    >>> windowed(np.array([0.0, 2047.5, 4095.0]), 2048, 4096, "LINEAR")
    array([0. , 0.5, 1. ])
    """
    if function == "SIGMOID":
        return 0.5 + 0.5 * np.tanh(2 * (values - center) / width)  # 1 / (1 + exp(-4 x / width))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def ends(pair: Pair, function: str) -> tuple[float, float]:
    """Return the values that a window shows black and white; of a curve, roughly."""
    if function == "LINEAR":
        middle, half = pair.center - 0.5, (pair.width - 1) / 2
    else:
        middle, half = pair.center, pair.width / 2
    return middle - half, middle + half


def _at(values: list[Given], place: int) -> Given:
    return values[place] if place < len(values) else Given()


def _function(dataset: Dataset, notes: list[str]) -> str:
    function = code_of(dataset, "VOILUTFunction") or "LINEAR"
    if function in _FUNCTIONS:
        return function
    notes.append(f"VOILUTFunction '{function}' is not in the standard: taken as LINEAR")
    return "LINEAR"

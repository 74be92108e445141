"""DICOM full depth: from stored values to whole numbers that a viewer windows by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from hilum.image.dicom_grey import (
    Levels,
    Lut,
    Values,
    apply_modality,
    ends,
    read_windows,
    rescale,
    stored_levels,
    voi_tables,
)
from hilum.image.dicom_values import code_of, value_of


@dataclass(frozen=True)
class Full:
    """The whole depth of a film, before any window.

    Attributes:
        values: int64 (2^BitsAllocated,), indexed by the code as it lies in the file; 0 to ``top``,
            a higher value is whiter.
        top: largest value that can be stored.
        slope, intercept: ``value * slope + intercept`` is the output of the modality LUT.
        inverted: low values are stored white; they were turned.
        windows: (low, high) in ``values`` that are shown black and white, in the file's order.
        automatic: the same, where the file has none and needs one.
    """

    values: NDArray[np.int64]
    top: int
    slope: float
    intercept: float
    inverted: bool
    windows: tuple[tuple[float, float], ...]
    automatic: tuple[float, float] | None = None


def full_depth(dataset: Dataset, shown: Levels, name: str) -> Full:
    """Make the table from stored code to value, for a viewer that windows by itself.

    Args:
        dataset: of one monochrome frame.
        shown: its ``grey_levels``.
        name: of the file, for messages.

    Raises:
        UnreadableImageError: as ``grey_levels``.
    """
    levels = stored_levels(dataset, name)
    slope, intercept = 1.0, 0.0
    if value_of(dataset, "ModalityLUTSequence"):
        apply_modality(dataset, levels, name)
    else:
        slope, intercept = rescale(dataset, [])
    low, top = levels.low, levels.top
    values, intercept = levels.values - low, intercept + slope * low
    inverted = _inverted(dataset) != _falls(dataset, name)
    if inverted != (slope < 0):
        values, slope, intercept = top - values, -slope, intercept + slope * top
    values[levels.padding] = 0
    whole = np.rint(values).astype(np.int64)
    windows = _windows(dataset, shown.values, values, (slope, intercept, top))
    return Full(whole, top, slope, intercept, inverted, windows)


def _inverted(dataset: Dataset) -> bool:
    inverse = code_of(dataset, "PresentationLUTShape") == "INVERSE"
    return bool(dataset.PhotometricInterpretation == "MONOCHROME1" or inverse)


def _falls(dataset: Dataset, name: str) -> bool:
    """True for a VOI LUT that turns black to white by itself, which no window could show."""
    tables = voi_tables(dataset)
    entries = Lut.read(tables[0], "VOI LUT", name, (0, 0)).entries if tables else np.zeros(1)
    return bool(entries[-1] < entries[0])


def _windows(
    dataset: Dataset, shown: Values, values: Values, scale: tuple[float, float, int]
) -> tuple[tuple[float, float], ...]:
    """Bring the file's windows into values; a curve becomes the window of its ends."""
    slope, intercept, top = scale
    low, high = sorted((intercept, top * slope + intercept))
    named = read_windows(dataset).within(low, high)
    found = []
    for pair in named.pairs:
        black, white = sorted((end - intercept) / slope for end in ends(pair, named.function))
        found.append((black, white))
    if voi_tables(dataset):
        found.insert(0, _ends(values, shown))
    elif found and named.function == "SIGMOID":
        found[0] = _ends(values, shown)
    return tuple(found)


def _ends(values: Values, shown: Values) -> tuple[float, float]:
    """Find the values that a curve shows nearly black and nearly white."""
    black, white = values[shown <= 0.02], values[shown >= 0.98]
    low = float(black.max()) if black.size else float(values.min())
    high = float(white.min()) if white.size else float(values.max())
    return (low, high) if high > low else (float(values.min()), float(values.max()))

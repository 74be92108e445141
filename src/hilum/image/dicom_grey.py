"""DICOM grey levels: from stored values to [0, 1] in the order of the standard.

    stored value -> Modality LUT or Rescale (PS3.3 C.11.1) -> VOI LUT or Window (C.11.2)
                 -> polarity, once (C.7.6.3.1.2, C.11.6) -> padding to black (C.7.5.1.1.2)

Each of these is a function of the stored value alone, so the chain runs once over all values that
8 or 16 bits can hold and becomes one look-up table; a film of any size then costs one pass.
pydicom's ``apply_voi_lut`` computes the same and is what the tests compare with; it is not called
here because it cuts the index of 8-bit tables to 8 bits, turns the window upside down under a
negative slope, and makes several passes in 64 bits over the whole film.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from hilum.core.errors import UnreadableImageError
from hilum.core.radiograph import Step
from hilum.image.dicom_metadata import numbers

Values = NDArray[np.float64]


@dataclass
class Levels:
    """Grey levels of every stored code, on their way through the chain.

    Attributes:
        values: float64 (2^BitsAllocated,), indexed by the code as it lies in the file.
        low, high: range that the values may take at this stage.
        windowed: a VOI LUT or a window was applied.
    """

    values: Values
    low: float
    high: float
    windowed: bool = False
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def step(self, name: str, detail: str) -> None:
        """Write down what was done."""
        self.steps.append(Step(name, detail))


def grey_levels(dataset: Dataset, name: str) -> Levels:
    """Make the table from stored code to grey level.

    Args:
        dataset: of one monochrome frame of 1, 8 or 16 bits allocated.
        name: of the file, for messages.

    Returns:
        levels whose ``values`` lie in [0, 1], 0 = black = air.

    Raises:
        UnreadableImageError: a table that is shorter than it says, or impossible bits.
    """
    levels = _stored(dataset, name)
    ends = _padding(dataset)
    padding = (levels.values >= ends[0]) & (levels.values <= ends[1])
    _modality(dataset, levels, name)
    _voi(dataset, levels, name)
    _polarity(dataset, levels)
    if padding.any():
        levels.values[padding] = 0.0
        levels.step("padding", f"stored values {ends[0]:g} .. {ends[1]:g} shown as black")
    return levels


def _stored(dataset: Dataset, name: str) -> Levels:
    """Turn every code into its stored value by BitsStored, HighBit and PixelRepresentation."""
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high_bit, signed = int(dataset.get("HighBit", stored - 1)), bool(dataset.PixelRepresentation)
    if not 0 < stored <= allocated or not stored - 1 <= high_bit < allocated:
        raise UnreadableImageError(
            f"{name}: BitsAllocated {allocated}, BitsStored {stored}, HighBit {high_bit}; "
            "expected BitsStored - 1 <= HighBit < BitsAllocated",
            hint="export the file again; its pixel description is broken",
        )
    codes = np.arange(2 ** max(allocated, 8), dtype=np.int64)
    values = (codes >> (high_bit + 1 - stored)) & (2**stored - 1)
    if signed:
        values = np.where(values >= 2 ** (stored - 1), values - 2**stored, values)
    low = -(2 ** (stored - 1)) if signed else 0
    levels = Levels(values.astype(np.float64), low, low + 2**stored - 1)
    if high_bit != stored - 1:
        levels.step("bits", f"bits {high_bit} to {high_bit + 1 - stored} of {allocated} taken")
    return levels


def _modality(dataset: Dataset, levels: Levels, name: str) -> None:
    """Apply Modality LUT Sequence (0028,3000), else Rescale Slope and Intercept."""
    if items := dataset.get("ModalityLUTSequence"):
        table = _Table.read(items[0], dataset, name, "Modality LUT")
        levels.values = table(levels.values)
        levels.low, levels.high = 0, 2**table.bits - 1
        levels.step("modality LUT", table.words)
        return
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if not slope and not intercept:
        return
    a, b = (slope or [1.0])[0], (intercept or [0.0])[0]
    if a == 0:
        levels.notes.append("RescaleSlope 0 would erase the film: rescaling left out")
        return
    levels.values = levels.values * a + b
    levels.low, levels.high = sorted((levels.low * a + b, levels.high * a + b))
    if (a, b) != (1.0, 0.0):
        levels.step("rescale", f"value * {a:g} + {b:g}: {levels.low:g} .. {levels.high:g}")


def _voi(dataset: Dataset, levels: Levels, name: str) -> None:
    """Apply the first VOI LUT, else the first window that is valid, else the stored range."""
    items = dataset.get("VOILUTSequence")
    windows = list(
        zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False)
    )
    if items and "LUTData" in items[0]:
        table = _Table.read(items[0], dataset, name, "VOI LUT")
        levels.values = table(levels.values) / (2**table.bits - 1)
        levels.windowed = True
        unused = f"; preferred to {len(windows)} window(s)" if windows else ""
        levels.step("VOI LUT", f"{table.words} to 0 .. 1{_of(items)}{unused}")
    elif windows:
        _window(dataset, levels, windows)
    if not levels.windowed:
        levels.values = (levels.values - levels.low) / (levels.high - levels.low)
        levels.step(
            "scale",
            f"no VOI LUT and no window: whole range {levels.low:g} .. {levels.high:g} to 0 .. 1",
        )


def _window(dataset: Dataset, levels: Levels, windows: list[tuple[float, float]]) -> None:
    """Apply Window Center and Width by VOI LUT Function (C.11.2.1.2 and C.11.2.1.3)."""
    center, width = windows[0]
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        levels.notes.append(f"VOILUTFunction '{function}' is not in the standard: taken as LINEAR")
        function = "LINEAR"
    if width <= 0 or (function == "LINEAR" and width < 1):
        levels.notes.append(f"window width {width:g} is not allowed: window left out")
        return
    levels.values = windowed(levels.values, center, width, function)
    levels.windowed = True
    levels.step("window", f"{function}, center {center:g}, width {width:g} to 0 .. 1{_of(windows)}")


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


def _polarity(dataset: Dataset, levels: Levels) -> None:
    """Invert once: MONOCHROME1 and Presentation LUT Shape INVERSE say the same thing."""
    monochrome1 = dataset.PhotometricInterpretation == "MONOCHROME1"
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    if monochrome1 and shape == "IDENTITY":
        levels.notes.append("MONOCHROME1 with PresentationLUTShape IDENTITY contradict each other")
    reasons = ["MONOCHROME1"] * monochrome1
    reasons += ["PresentationLUTShape INVERSE"] * (shape == "INVERSE")
    if reasons:
        levels.values = 1 - levels.values
        levels.step("polarity", f"inverted once: {' and '.join(reasons)}")


def _padding(dataset: Dataset) -> tuple[float, float]:
    """Read PixelPaddingValue (0028,0120) to PixelPaddingRangeLimit (0028,0121); empty if none."""
    value = numbers(dataset, "PixelPaddingValue")
    if not value:
        return np.inf, -np.inf
    limit = numbers(dataset, "PixelPaddingRangeLimit") or value
    first, last = sorted(_resigned(v, dataset) for v in (value[0], limit[0]))
    return first, last


def _resigned(value: float, dataset: Dataset) -> float:
    """Read an unsigned value as signed where the pixels are (ambiguous VR US or SS)."""
    signed = bool(dataset.PixelRepresentation)
    return value - 65536 if signed and value > 32767 else value


def _of(items: Any) -> str:
    return f" (first of {len(items)})" if len(items) > 1 else ""


@dataclass(frozen=True)
class _Table:
    """A LUT of the standard (C.11.1.1): first value mapped, entries, bits of an entry."""

    first: float
    bits: int
    entries: Values

    def __call__(self, values: Values) -> Values:
        """Look values up; below the first and above the last they take the nearest entry."""
        index = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1)
        return self.entries[index.astype(np.int64)]

    @property
    def words(self) -> str:
        return f"{self.entries.size} entries of {self.bits} bits from value {self.first:g}"

    @classmethod
    def read(cls, item: Dataset, dataset: Dataset, name: str, what: str) -> _Table:
        """Read LUTDescriptor (0028,3002) and LUTData (0028,3006), packed or not."""
        descriptor = numbers(item, "LUTDescriptor")
        if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
            raise _broken_table(name, what, f"LUTDescriptor {descriptor}")
        size, bits = int(descriptor[0]) or 65536, int(descriptor[2])
        entries = _entries(item, size, bits)
        if entries.size < size:
            raise _broken_table(name, what, f"{entries.size} entries; expected {size}")
        return cls(_resigned(descriptor[1], dataset), bits, entries[:size].astype(np.float64))


def _entries(item: Dataset, size: int, bits: int) -> NDArray[Any]:
    data = item.get("LUTData")
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data if data is not None else [], np.uint16))
    if bits <= 8 and len(data) < 2 * size:
        return np.frombuffer(data, np.uint8)  # two entries in each 16-bit word
    little_endian = item.original_encoding[1] is not False
    return np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little_endian else ">u2")


def _broken_table(name: str, what: str, found: str) -> UnreadableImageError:
    return UnreadableImageError(
        f"{name}: {what}: {found}", hint="export the file again; this table is broken"
    )


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
    """

    values: NDArray[np.int64]
    top: int
    slope: float
    intercept: float
    inverted: bool
    windows: tuple[tuple[float, float], ...]


def full_depth(dataset: Dataset, name: str) -> Full:
    """Make the table from stored code to value, for a viewer that windows by itself.

    Raises:
        UnreadableImageError: as ``grey_levels``.
    """
    levels = _stored(dataset, name)
    ends = _padding(dataset)
    padding = (levels.values >= ends[0]) & (levels.values <= ends[1])
    slope, intercept = 1.0, 0.0
    if dataset.get("ModalityLUTSequence"):
        _modality(dataset, levels, name)
    else:
        slope = (numbers(dataset, "RescaleSlope") or [1.0])[0] or 1.0
        intercept = (numbers(dataset, "RescaleIntercept") or [0.0])[0]
    low, top = levels.low, round(levels.high - levels.low)
    values, intercept = levels.values - low, intercept + slope * low
    inverted = _inverted(dataset)
    if inverted != (slope < 0):
        values, slope, intercept = top - values, -slope, intercept + slope * top
    values[padding] = 0
    shown = grey_levels(dataset, name)
    windows = _windows_of(dataset, slope, intercept)
    if shown.windowed and (dataset.get("VOILUTSequence") or _sigmoid(dataset)):
        windows = [_ends(values, shown.values), *windows[1:]]
    whole = np.rint(values).astype(np.int64)
    return Full(whole, top, slope, intercept, inverted, tuple(windows))


def _inverted(dataset: Dataset) -> bool:
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    return bool(dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE")


def _sigmoid(dataset: Dataset) -> bool:
    return str(dataset.get("VOILUTFunction") or "").strip().upper() == "SIGMOID"


def _windows_of(dataset: Dataset, slope: float, intercept: float) -> list[tuple[float, float]]:
    """Bring the file's windows into values (C.11.2.1.2: c - 0.5 - (w - 1) / 2 is black)."""
    exact = str(dataset.get("VOILUTFunction") or "").strip().upper() == "LINEAR_EXACT"
    found = []
    for center, width in zip(
        numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False
    ):
        if width < 1:
            continue
        middle, half = (center, width / 2) if exact else (center - 0.5, (width - 1) / 2)
        ends = sorted((side - intercept) / slope for side in (middle - half, middle + half))
        found.append((ends[0], ends[1]))
    return found


def _ends(values: Values, shown: Values) -> tuple[float, float]:
    """Find the values that a curve shows nearly black and nearly white."""
    black, white = values[shown <= 0.02], values[shown >= 0.98]
    low = float(black.max()) if black.size else float(values.min())
    high = float(white.min()) if white.size else float(values.max())
    return (low, high) if high > low else (float(values.min()), float(values.max()))

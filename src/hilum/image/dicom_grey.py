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

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from hilum.core.errors import UnreadableImageError
from hilum.core.radiograph import Step
from hilum.image.dicom_values import StatedValue, code_of, given, items_of, numbers, value_of

_LARGEST = 1e9
"""Slope or intercept that no modality has."""


@dataclass
class Levels:
    """Grey levels of every stored code, on their way through the chain.

    Attributes:
        values: float64 (2^BitsAllocated,), indexed by the code as it lies in the file.
        low, high: range that the values may take at this stage.
        top: how many levels lie above the lowest, whatever their unit.
        padding: bool, same shape: codes that are no part of the film (PixelPaddingValue).
        windowed: a VOI LUT was applied, or a window that is not the whole range.
    """

    values: Values
    low: float
    high: float
    top: int
    padding: NDArray[np.bool_]
    windowed: bool = False
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def step(self, name: str, detail: str) -> None:
        """Write down what was done."""
        self.steps.append(Step(name, detail))

    def look_up(self, table: Lut, top: int) -> None:
        """Send the values through a table whose entries lie in 0 .. ``top``."""
        self.values, self.low, self.high, self.top = table(self.values), 0, top, top
        if table.note:
            self.notes.append(table.note)


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
    levels = stored_levels(dataset, name)
    apply_modality(dataset, levels, name)
    _voi(dataset, levels, name)
    # Invert once: MONOCHROME1 and Presentation LUT Shape INVERSE say the same thing
    monochrome1 = dataset.PhotometricInterpretation == "MONOCHROME1"
    shape = code_of(dataset, "PresentationLUTShape")
    if monochrome1 and shape == "IDENTITY":
        levels.notes.append("MONOCHROME1 with PresentationLUTShape IDENTITY contradict each other")
    reasons = ["MONOCHROME1"] * monochrome1
    reasons += ["PresentationLUTShape INVERSE"] * (shape == "INVERSE")
    if reasons:
        levels.values = 1 - levels.values
        levels.step("polarity", f"inverted once: {' and '.join(reasons)}")
    if levels.padding.any():
        first, last = _padding(dataset)
        levels.values[levels.padding] = 0.0
        levels.step("padding", f"stored values {first:g} .. {last:g} shown as black")
    return levels


def stored_levels(dataset: Dataset, name: str) -> Levels:
    """Turn every code into its stored value by BitsStored, HighBit and PixelRepresentation."""
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high_bit, signed = int(dataset.HighBit), bool(dataset.PixelRepresentation)
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
    first, last = _padding(dataset)
    padding = (values >= first) & (values <= last)
    levels = Levels(values.astype(np.float64), low, low + 2**stored - 1, 2**stored - 1, padding)
    if high_bit != stored - 1:
        levels.step("bits", f"bits {high_bit} to {high_bit + 1 - stored} of {allocated} taken")
    return levels


def apply_modality(dataset: Dataset, levels: Levels, name: str) -> None:
    """Apply Modality LUT Sequence (0028,3000), else Rescale Slope and Intercept."""
    if value_of(dataset, "ModalityLUTSequence"):
        items = items_of(dataset, "ModalityLUTSequence") or [Dataset()]
        table = Lut.read(items[0], "Modality LUT", name, (levels.low, levels.high))
        levels.look_up(table, 2**table.bits - 1)
        levels.step("modality LUT", table.words)
        return
    slope, intercept = rescale(dataset, levels.notes)
    levels.values = levels.values * slope + intercept
    ends = (levels.low * slope + intercept, levels.high * slope + intercept)
    levels.low, levels.high = sorted(ends)
    if (slope, intercept) != (1.0, 0.0):
        low, high = levels.low, levels.high
        levels.step("rescale", f"value * {slope:g} + {intercept:g}: {low:g} .. {high:g}")


def rescale(dataset: Dataset, notes: list[str]) -> tuple[float, float]:
    """Read Rescale Slope (0028,1053) and Intercept (0028,1052): (1, 0) unless both can be used.

    What is wrong with them is added to ``notes``.
    """
    found = []
    for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        values = given(dataset, keyword)
        if not values and keyword in dataset:
            notes.append(f"{keyword} is empty: taken as {default:g}")
        if values and (values[0].number is None or abs(values[0].number) > _LARGEST):
            notes.append(f"{keyword} '{values[0]}' cannot be: rescaling left out")
            return 1.0, 0.0
        found.append(values[0].number if values and values[0].number is not None else default)
        if values and values[0].note:
            notes.append(values[0].note)
    slope, intercept = found
    if abs(slope) < 1 / _LARGEST:
        notes.append(f"RescaleSlope {slope:g} would erase the film: rescaling left out")
        return 1.0, 0.0
    return slope, intercept


def voi_tables(dataset: Dataset) -> list[Dataset]:
    """Return the items of VOI LUT Sequence (0028,3010) that hold a table; the first is applied."""
    return [item for item in items_of(dataset, "VOILUTSequence") if "LUTData" in item]


def _voi(dataset: Dataset, levels: Levels, name: str) -> None:
    """Apply the first VOI LUT, else the first window that is valid, else the stored range."""
    windows = read_windows(dataset).within(levels.low, levels.high)
    levels.notes += windows.notes
    tables = voi_tables(dataset)
    if not tables and value_of(dataset, "VOILUTSequence"):
        levels.notes.append("VOILUTSequence holds no table: left out")
    if tables:
        table = Lut.read(tables[0], "VOI LUT", name, (levels.low, levels.high))
        table = table.in_own_bits("VOI LUT")
        which = f" (first of {len(tables)})" if len(tables) > 1 else ""
        unused = f"; preferred to {len(windows.pairs)} window(s)" if windows.pairs else ""
        levels.step("VOI LUT", f"{table.words} to 0 .. 1{which}{unused}")
        levels.look_up(table, 2**table.bits - 1)
        levels.values /= levels.high
        levels.windowed = True
    elif windows.pairs:
        center, width, place = windows.pairs[0]
        black, white = ends(windows.pairs[0], windows.function)
        levels.values = windowed(levels.values, center, width, windows.function)
        levels.windowed = black > levels.low or white < levels.high
        number = "first" if place == 1 else f"number {place}"
        which = f" ({number} of {windows.total})" if windows.total > 1 else ""
        words = f"{windows.function}, center {center:g}, width {width:g} to 0 .. 1{which}"
        levels.step("window", words)
    else:
        levels.values = (levels.values - levels.low) / (levels.high - levels.low)
        levels.step(
            "scale",
            f"no VOI LUT and no window: whole range {levels.low:g} .. {levels.high:g} to 0 .. 1",
        )


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


def _at(values: list[StatedValue], place: int) -> StatedValue:
    return values[place] if place < len(values) else StatedValue()


def _function(dataset: Dataset, notes: list[str]) -> str:
    function = code_of(dataset, "VOILUTFunction") or "LINEAR"
    if function in _FUNCTIONS:
        return function
    notes.append(f"VOILUTFunction '{function}' is not in the standard: taken as LINEAR")
    return "LINEAR"


Values = NDArray[np.float64]

_BYTE = 8
FEWER = 2
"""Bits that a table must lack before its entries are believed more than its descriptor."""


@dataclass(frozen=True)
class Lut:
    """A LUT of the standard.

    Attributes:
        first: value that the first entry is for.
        bits: of an entry.
        entries: float64 (N,), 0 to 2^bits - 1.
        note: what the file says otherwise, in words; "" if it fits.
    """

    first: float
    bits: int
    entries: Values
    note: str = ""

    def __call__(self, values: Values) -> Values:
        """Look values up; below the first and above the last they take the nearest entry."""
        index = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1)
        return self.entries[index.astype(np.int64)]

    def in_own_bits(self, what: str) -> Lut:
        """Return the table with the bits that its entries take, where they are far fewer.

        A table of 12 bits that is declared to have 16 would show a film black.
        """
        own = int(self.entries.max()).bit_length()
        if not _BYTE <= own <= self.bits - FEWER:
            return self
        note = f"{what}: entries of up to {own} bits; the file says {self.bits}"
        return replace(self, bits=own, note=note)

    @property
    def words(self) -> str:
        """Say what it is: "4096 entries of 12 bits from value 0"."""
        return f"{self.entries.size} entries of {self.bits} bits from value {self.first:g}"

    @classmethod
    def read(
        cls, item: Dataset, what: str, name: str, span: tuple[float, float], keyword: str = "LUT"
    ) -> Lut:
        """Read LUTDescriptor (0028,3002) and LUTData (0028,3006), packed or not.

        Args:
            item: that holds them.
            what: the table is called in messages.
            name: of the file.
            span: least and greatest value that is looked up in it.
            keyword: that theirs begin with; "RedPaletteColorLookupTable" for that of a palette.

        Raises:
            UnreadableImageError: shorter than it says, or a descriptor that cannot be.
        """
        descriptor = numbers(item, f"{keyword}Descriptor")
        if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
            raise _broken(name, what, f"{keyword}Descriptor {descriptor}")
        size, bits = int(descriptor[0]) & 0xFFFF or 65536, int(descriptor[2])
        entries = _entries(item, f"{keyword}Data", size, bits)
        if entries.size < size:
            raise _broken(name, what, f"{entries.size} entries; expected {size}")
        entries = entries[:size].astype(np.float64)
        first, own = _first(int(descriptor[1]), size, span), int(entries.max()).bit_length()
        if own <= bits:
            return cls(first, bits, entries)
        note = f"{what}: entries of up to {own} bits; the file says {bits}"
        return cls(first, max(own, _BYTE), entries, note)


def _first(written: int, size: int, span: tuple[float, float]) -> int:
    """Read the first value mapped, 16 bits, which an ambiguous VR leaves signed or unsigned.

    C.11.1.1 and C.11.2.1.1: it is signed if what is looked up may be negative, whatever the VR
    says. Where no value would fall into such a table, the other sign is meant.
    """
    unsigned = written & 0xFFFF
    signed = unsigned - 65536 if unsigned > 32767 else unsigned
    for first in (signed, unsigned) if span[0] < 0 else (unsigned, signed):
        if first <= span[1] and first + size > span[0]:
            return first
    return written


def _entries(item: Dataset, keyword: str, size: int, bits: int) -> NDArray[Any]:
    """Read entries as words of 16 bits, or of 8 where two of them share a word, the low one first.

    Numbers (VR US or SS) come in order; bytes (OW, UN) as they lie in the file.
    """
    data = item.get(keyword)
    if isinstance(data, bytes):
        order = "<u2" if item.original_encoding[1] is not False else ">u2"
        words = np.frombuffer(data + bytes(len(data) % 2), order).astype("<u2")
    else:
        found = np.atleast_1d(np.asarray(data if data is not None else [], np.int64))
        words = (found & 0xFFFF).astype("<u2")
    return words.view(np.uint8) if bits <= 8 and words.size < size else words


def _broken(name: str, what: str, found: str) -> UnreadableImageError:
    return UnreadableImageError(
        f"{name}: {what}: {found}", hint="export the file again; this table is broken"
    )

"""DICOM tables: a LUT as it lies in a file, and what it gives for a value (PS3.3 C.11)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from hilum.core.errors import UnreadableImageError
from hilum.image.dicom_values import numbers

Values = NDArray[np.float64]

_BYTE = 8
FEWER = 2
"""Bits that a table must lack before its entries are believed more than its descriptor."""


@dataclass(frozen=True)
class Table:
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

    def in_own_bits(self, what: str) -> Table:
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
    ) -> Table:
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

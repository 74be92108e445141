"""DICOM values: what an attribute holds, whatever its VR says, and whatever is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

_COMMA = re.compile(r"[+-]?\d+,(\d{1,2}|\d{6,})")
"""A decimal comma. With three to five digits behind it, it could part thousands or two values."""

_LONGEST = 64
"""Characters of a value that are looked at and repeated in a note."""


@dataclass(frozen=True, slots=True)
class StatedValue:
    """One value of an attribute.

    Attributes:
        text: as it stands in the file.
        number: what it says; None if it is no finite number.
        note: that it was read otherwise than it stands there; "" as a rule.
    """

    text: str = ""
    number: float | None = None
    note: str = ""

    def __str__(self) -> str:
        """Return it as it stands in the file."""
        return self.text


def given(dataset: Dataset, keyword: str) -> list[StatedValue]:
    """Return the values of an attribute by their places; none if it is absent or empty."""
    values = _values(dataset, keyword)
    if all(value is None or value == "" for value in values):
        return []
    return [_given("" if value is None else value, keyword) for value in values]


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Read the numbers of an attribute; none if it is absent, empty, or any of it is no number."""
    found = [each.number for each in given(dataset, keyword) if each.text]
    return [] if None in found else [each for each in found if each is not None]


def text_of(dataset: Dataset, keyword: str) -> str | None:
    """Read an attribute as one text without blanks at its ends; None if it is absent or empty."""
    value = value_of(dataset, keyword)
    return (str(value).strip(" \0") or None) if value is not None else None


def code_of(dataset: Dataset, keyword: str) -> str | None:
    """Read a code (VR CS): one word of capitals; None if it is absent or empty.

    Lower case, which PS3.5 6.2 forbids, is raised. Several codes where one is meant count as one
    if they are equal; else they are returned as they stand, "PA\\LATERAL", and mean nothing.
    """
    values = (str("" if each is None else each) for each in _values(dataset, keyword))
    found = dict.fromkeys(each.strip(" \0").upper() for each in values)
    return "\\".join(each for each in found if each) or None


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return an attribute's value; its text where it is none that the VR allows."""
    try:
        return dataset.get(keyword)
    except (ValueError, OverflowError, NotImplementedError):  # of its bytes, 1e400, no such VR
        raw = dataset.get_item(keyword)
        return raw.value.decode("latin-1") if raw and isinstance(raw.value, bytes) else None


def items_of(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none if it is absent, empty or no sequence."""
    value = value_of(dataset, keyword)
    return list(value) if isinstance(value, Sequence) else []


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    value = value_of(dataset, keyword)
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        return [part.strip(" \0") for part in value.split("\\")]
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]


def _given(value: Any, keyword: str) -> StatedValue:
    written = str(value).strip(" \0")[:_LONGEST]
    if _COMMA.fullmatch(written):
        number = float(written.replace(",", "."))
        return StatedValue(written, number, f"{keyword} '{written}': taken as a decimal comma")
    try:
        number = float(written.replace("_", "?"))  # float() would pass over it
    except ValueError:
        return StatedValue(written)
    return StatedValue(written, number if isfinite(number) else None)

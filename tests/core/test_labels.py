"""Labels: names fit into CSV headers and codes belong to labels."""

from __future__ import annotations

import re

from hilum.core.case import COLUMNS, LABEL_COLUMNS, REQUIRED_COLUMNS
from hilum.core.labels import CODES, Label, View


def test_names_are_lower_case_words() -> None:
    assert [
        name for name in LABEL_COLUMNS if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    ] == []


def test_no_label_hides_a_column_and_required_ones_exist() -> None:
    assert set(LABEL_COLUMNS).isdisjoint(COLUMNS)
    assert set(REQUIRED_COLUMNS) <= set(COLUMNS)


def test_codes_are_snomed_identifiers_with_a_valid_check_digit() -> None:
    """The last digit of a SNOMED CT identifier is a Verhoeff check digit."""
    for label, code in CODES.items():
        assert isinstance(label, Label)
        assert code.scheme == "SCT"
        assert verhoeff_is_zero(code.value), f"{label}: {code.value}"


def verhoeff_is_zero(digits: str) -> bool:
    """Check a Verhoeff number by the dihedral group of the pentagon."""
    permutation = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]
    first = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    for _ in range(7):
        permutation.append([first[digit] for digit in permutation[-1]])
    total = 0
    for position, digit in enumerate(reversed(digits)):
        total = dihedral(total, permutation[position % 8][int(digit)])
    return total == 0


def dihedral(a: int, b: int) -> int:
    """Multiply in D5, elements 0-4 rotations and 5-9 reflections."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


def test_only_the_lateral_is_not_frontal() -> None:
    assert [view for view in View if not view.frontal] == [View.LATERAL]

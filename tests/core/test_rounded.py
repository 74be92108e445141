"""Numbers for a person, against rounding done on decimals by hand."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest

from hilum.core.rounded import figures, fixed, percent


def _by_hand(value, digits):
    """Round to the nearest multiple of 10**-digits, halves to the even one, in whole numbers."""
    scaled = Fraction(repr(value)) * 10**digits
    below = scaled.numerator // scaled.denominator
    rest = scaled - below
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1)
    return Fraction(below + up, 10**digits)


def _values():
    chance = random.Random(4)
    halves = [n / 8 for n in range(-40, 200)] + [n / 200 for n in range(-40, 400)]
    return [*halves, *(chance.uniform(-20, 120) for _ in range(500)), 1e-7, 5e-324, 1e22, 0.1 + 0.2]


@pytest.mark.parametrize("digits", [0, 1, 2, 3])
def test_halves_go_to_the_even_digit_of_the_decimal(digits):
    for value in _values():
        assert Fraction(fixed(value, digits)) == _by_hand(value, digits), value
        assert Fraction(percent(value, digits)) == _by_hand_percent(value, digits), value


def _by_hand_percent(value, digits):
    return 100 * _by_hand(value, digits + 2)


def test_what_is_written():
    assert (fixed(2.25, 1), fixed(2.75, 1), fixed(2, 1)) == ("2.2", "2.8", "2.0")
    assert (fixed(-0.04, 1), fixed(-0.0, 0), percent(-0.001)) == ("0.0", "0", "0")
    assert (percent(0.29), percent(0.57), percent(1)) == ("29", "57", "100")
    assert (fixed(math.nan, 2), fixed(math.inf, 1), figures(-math.inf)) == ("nan", "inf", "-inf")
    assert (figures(0), figures(99.96), figures(-0.0012345)) == ("0", "100", "-0.00123")

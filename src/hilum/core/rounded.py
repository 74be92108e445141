"""Rounded: numbers as a person reads them, by one rule wherever they stand.

A number is rounded as it is written in JSON, in decimal, and halves go to the even digit, which
leans neither up nor down: 0.25 is 0.2, 0.75 is 0.8. Python's own formatting rounds the binary
fraction behind a number, and a browser rounds halves up, so that a table, a report and a page would
differ in the last digit. The viewer has the same rule in ``viewer/src/core/i18n.ts``, and a test
that both say the same.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

_ROOM = Context(prec=400, rounding=ROUND_HALF_EVEN)
"""Enough for any float, written out."""


def fixed(value: float, digits: int) -> str:
    """Write a number with so many digits after the point; never "-0".

    >>> fixed(0.25, 1), fixed(-0.04, 1), fixed(1.015, 2)
    ('0.2', '0.0', '1.02')
    """
    return _written(_rounded(_decimal(value), -digits))


def percent(share: float, digits: int = 0) -> str:
    """Write a share, 1 for all, in percent without the sign.

    >>> percent(0.145), percent(0.155), percent(0.0125, 1)
    ('14', '16', '1.2')
    """
    return _written(_rounded(_decimal(share).scaleb(2, _ROOM), -digits))


def figures(value: float, most: int = 3) -> str:
    """Write a number with at most so many significant figures, zeros at its end left out.

    >>> figures(0.012345), figures(1234.5), figures(2.0)
    ('0.0123', '1230', '2')
    """
    number = _decimal(value)
    known = number.is_finite() and number != 0
    written = _written(_rounded(number, number.adjusted() - most + 1) if known else number)
    return written.rstrip("0").rstrip(".") if "." in written else written


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _rounded(number: Decimal, exponent: int) -> Decimal:
    return (
        number.quantize(Decimal(1).scaleb(exponent), context=_ROOM)
        if number.is_finite()
        else number
    )


def _written(number: Decimal) -> str:
    if not number.is_finite():
        return str(float(number))
    return format(abs(number) if number == 0 else number, "f")

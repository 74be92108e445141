"""Estimate: prints with interval and n; NaN is null in JSON and comes back."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from hilum.core.estimate import Estimate

numbers = st.floats(allow_infinity=False)


@given(numbers, numbers, numbers, st.integers(0, 10**9))
def test_json_round_trip(value: float, low: float, high: float, n: int) -> None:
    estimate = Estimate(value=value, low=low, high=high, n=n)
    text = estimate.model_dump_json()
    json.loads(text, parse_constant=lambda name: 1 / 0)  # NaN would not be JSON
    again = Estimate.model_validate_json(text)
    for name in ("value", "low", "high"):
        before, after = getattr(estimate, name), getattr(again, name)
        assert before == after or (math.isnan(before) and math.isnan(after))


def test_undefined_says_why() -> None:
    assert str(Estimate.undefined(0, "no cases")) == "undefined: no cases (n=0)"

"""Estimate: a number that never travels without its interval and its n."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from hilum.core.rounded import fixed

_Number = Annotated[float, WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]})]


class Estimate(BaseModel):
    """A metric with its 95 % interval and the number of cases behind it.

    Attributes:
        value: the metric; NaN where it is undefined.
        low, high: ends of the interval; NaN where undefined. NaN is null in JSON.
        n: cases that the metric was computed from.
        note: why it is undefined, or "".

    >>> print(Estimate(value=0.91, low=0.87, high=0.94, n=412))
    0.91 [0.87, 0.94] (n=412)
    >>> print(Estimate.undefined(3, "one class only"))
    undefined: one class only (n=3)
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_inf_nan="null",
        json_schema_serialization_defaults_required=True,
    )

    value: _Number = Field(examples=[0.8])
    low: _Number = Field(default=math.nan, examples=[0.7])
    high: _Number = Field(default=math.nan, examples=[0.88])
    n: int = Field(examples=[120])
    note: str = Field(default="", examples=[""])

    @field_validator("value", "low", "high", mode="before")
    @classmethod
    def _nan_is_null_in_json(cls, value: Any) -> Any:
        return math.nan if value is None else value

    @classmethod
    def undefined(cls, n: int, note: str) -> Estimate:
        """Return NaN with the reason."""
        return cls(value=math.nan, n=n, note=note)

    def cell(self, digits: int = 2, undefined: str = "-") -> str:
        """Write value and interval as a cell of a table has them.

        >>> Estimate(value=0.91, low=0.87, high=0.94, n=412).cell()
        '0.91 [0.87, 0.94]'
        """
        if math.isnan(self.value):
            return undefined
        if math.isnan(self.low):
            return fixed(self.value, digits)
        low, high = fixed(self.low, digits), fixed(self.high, digits)
        return f"{fixed(self.value, digits)} [{low}, {high}]"

    def __str__(self) -> str:
        """Two decimals, interval, n."""
        return f"{self.cell(undefined=f'undefined: {self.note}')} (n={self.n})"

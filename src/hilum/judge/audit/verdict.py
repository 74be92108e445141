"""Verdict: from checks to the verdict of a test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hilum.judge.audit.schema import Check, Row, Verdict


class Judged(NamedTuple):
    """What a test function returns; see ``Outcome``."""

    verdict: Verdict
    said: str
    checks: tuple[Check, ...] = ()
    rows: tuple[Row, ...] = ()
    rows_are: str = ""


def decide(
    checks: Sequence[Check], said: str = "", rows: Sequence[Row] = (), rows_are: str = ""
) -> Judged:
    """Fail if a check failed, pass if one passed and none failed, else not run."""
    verdicts = {check.passed for check in checks}
    if False in verdicts:
        return Judged(Verdict.FAIL, said, tuple(checks), tuple(rows), rows_are)
    if True in verdicts:
        return Judged(Verdict.PASS, said, tuple(checks), tuple(rows), rows_are)
    why = next((_why(check) for check in checks), "nothing could be measured")
    return Judged(Verdict.NOT_RUN, why, tuple(checks), tuple(rows), rows_are)


def _why(check: Check) -> str:
    if math.isnan(check.measured.value):
        return check.measured.note or "undefined"
    limit = f"{check.side} {check.limit:.2f}"
    return f"too few films to tell: {check.what} is {check.measured}; expected {limit}"


def not_run(why: str, rows: Sequence[Row] = (), rows_are: str = "") -> Judged:
    """Say why a test could not be run; ``rows`` are what is known all the same."""
    return Judged(Verdict.NOT_RUN, why, (), tuple(rows), rows_are)

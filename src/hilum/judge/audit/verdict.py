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
    notes = [check.measured.note for check in checks if math.isnan(check.measured.value)]
    return not_run(next(iter(notes), "nothing could be measured"), rows, rows_are)


def not_run(why: str, rows: Sequence[Row] = (), rows_are: str = "") -> Judged:
    """Say why a test could not be run; ``rows`` are what is known all the same."""
    return Judged(Verdict.NOT_RUN, why, (), tuple(rows), rows_are)

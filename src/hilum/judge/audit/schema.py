"""What an audit found, as one versioned JSON object, and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple

from hilum.core.config import Written
from hilum.core.estimate import Estimate
from hilum.core.files import write_text
from hilum.core.reading import RESEARCH_USE
from hilum.judge.audit.limits import AuditLimits
from hilum.judge.schema import About, FlowStep, NotRead, SeenFilms

UNDECIDED = 0.5
"""An interval that holds the limit and is wider than this decides nothing: too few films."""


class AuditVerdict(StrEnum):
    """Of one test."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    NOT_RUN = "not run"


class Overall(StrEnum):
    """Of the whole audit.

    ``uninformative``: within single sources the model is not shown to tell the classes apart.
    ``incomplete``: nothing failed, but it could not be tested whether the model is informative,
    or whether what it knows comes from the lungs.
    """

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    UNINFORMATIVE = "uninformative"
    INCOMPLETE = "incomplete"


class AuditCheck(Written):
    """One measured value against its limit.

    Attributes:
        what: the value in words.
        limit: ``measured`` must be ``side`` this.
        by_interval: it fails only where the whole interval lies beyond the limit: for the worst of
            many parts, since the worst of many noisy numbers is beyond any limit by chance.
        passed: None where it could not be measured, or the films are too few to decide it.
    """

    what: str
    measured: Estimate
    limit: float
    side: Literal["at most", "at least"]
    by_interval: bool = False
    passed: bool | None

    @property
    def borderline(self) -> bool:
        """The interval holds the limit: more films could turn the verdict."""
        return self.measured.low <= self.limit <= self.measured.high


class AuditRow(Written):
    """One line of a test's table; ``beyond`` marks a value beyond the limit for sure."""

    name: str
    measured: Estimate
    beyond: bool = False


class AuditOutcome(Written):
    """What one test found.

    Attributes:
        name: as ``--only`` takes it.
        question: what it asks.
        said: the answer in a sentence; for a test that was not run, why.
        rows_are: what the values of ``rows`` are.
    """

    name: str
    title: str
    question: str
    verdict: AuditVerdict
    said: str
    checks: tuple[AuditCheck, ...] = ()
    rows: tuple[AuditRow, ...] = ()
    rows_are: str = ""

    @property
    def shown(self) -> AuditCheck | None:
        """The check that decided: the first that failed, else the first that passed."""
        by_verdict = [[c for c in self.checks if c.passed is side] for side in (False, True)]
        return next(iter([*by_verdict[0], *by_verdict[1]]), None)


class Audit(Written):
    """An audit of one label of one model.

    Attributes:
        subject: what was audited, in words.
        threshold: a film is called when score >= threshold; ``operating_point`` in words.
        limits: those of this run; ``changed`` names those that are not the defaults.
        said: the overall verdict in sentences.
        seen: which of the films the bundle knew before; None for any other model.
    """

    schema_version: Literal["1.0"] = "1.0"
    about: About
    subject: str
    label: str
    threshold: float
    operating_point: str
    limits: AuditLimits
    changed: tuple[str, ...] = ()
    seed: int
    folds: int
    flow: tuple[FlowStep, ...]
    not_read: tuple[NotRead, ...] = ()
    verdict: Overall
    said: tuple[str, ...]
    tests: tuple[AuditOutcome, ...]
    seen: SeenFilms | None = None
    notice: str = RESEARCH_USE

    def __getitem__(self, name: str) -> AuditOutcome:
        """Return one test by its name."""
        for test in self.tests:
            if test.name == name:
                return test
        raise KeyError(name)

    @property
    def failed(self) -> tuple[AuditOutcome, ...]:
        """The tests that failed."""
        return tuple(test for test in self.tests if test.verdict is AuditVerdict.FAIL)

    def write(self, path: Path) -> None:
        """Write JSON; NaN becomes null."""
        write_text(path, self.model_dump_json(indent=2) + "\n")


def at_most(
    what: str, measured: Estimate, limit: float, *, by_interval: bool = False
) -> AuditCheck:
    """Check that a value is no more than ``limit``; see ``UNDECIDED``."""
    value = measured.low if by_interval else measured.value
    passed = value <= limit
    return _check(what, measured, limit, "at most", by_interval, value, passed)


def at_least(
    what: str, measured: Estimate, limit: float, *, by_interval: bool = False
) -> AuditCheck:
    """Check that a value is no less than ``limit``; see ``UNDECIDED``."""
    value = measured.high if by_interval else measured.value
    passed = value >= limit
    return _check(what, measured, limit, "at least", by_interval, value, passed)


def _check(
    what: str,
    measured: Estimate,
    limit: float,
    side: Literal["at most", "at least"],
    by_interval: bool,
    value: float,
    passed: bool,
) -> AuditCheck:
    wide = measured.high - measured.low > UNDECIDED
    unknown = math.isnan(value) or (wide and measured.low <= limit <= measured.high)
    return AuditCheck(
        what=what,
        measured=measured,
        limit=limit,
        side=side,
        by_interval=by_interval,
        passed=None if unknown else passed,
    )


class AuditAnswer(NamedTuple):
    """What a test function returns; see ``AuditOutcome``."""

    verdict: AuditVerdict
    said: str
    checks: tuple[AuditCheck, ...] = ()
    rows: tuple[AuditRow, ...] = ()
    rows_are: str = ""


def decide(
    checks: Sequence[AuditCheck], said: str = "", rows: Sequence[AuditRow] = (), rows_are: str = ""
) -> AuditAnswer:
    """Fail if a check failed, pass if one passed and none failed, else not run."""
    verdicts = {check.passed for check in checks}
    if False in verdicts:
        return AuditAnswer(AuditVerdict.FAIL, said, tuple(checks), tuple(rows), rows_are)
    if True in verdicts:
        return AuditAnswer(AuditVerdict.PASS, said, tuple(checks), tuple(rows), rows_are)
    why = next((_why(check) for check in checks), "nothing could be measured")
    return AuditAnswer(AuditVerdict.NOT_RUN, why, tuple(checks), tuple(rows), rows_are)


def _why(check: AuditCheck) -> str:
    if math.isnan(check.measured.value):
        return check.measured.note or "undefined"
    limit = f"{check.side} {check.limit:.2f}"
    return f"too few films to tell: {check.what} is {check.measured}; expected {limit}"


def not_run(why: str, rows: Sequence[AuditRow] = (), rows_are: str = "") -> AuditAnswer:
    """Say why a test could not be run; ``rows`` are what is known all the same."""
    return AuditAnswer(AuditVerdict.NOT_RUN, why, (), tuple(rows), rows_are)


VERDICTS: dict[Overall, str] = {
    Overall.PASS: "No test failed: on these films it reads lungs, as far as the tests can see.",
    Overall.FAIL: "It fails: see which tests, and by how much.",
    Overall.UNINFORMATIVE: "It is not shown to beat a coin.",
    Overall.INCOMPLETE: "Nothing failed, but what decides could not be tested.",
}


def limit(check: AuditCheck) -> str:
    """Write the limit of a check.

    >>> from hilum.judge.audit.schema import at_most
    >>> limit(at_most("x", Estimate(value=0.2, n=5), 0.1))
    'at most 0.10'
    """
    rule = " (whole interval)" if check.by_interval else ""
    return f"{check.side} {check.limit:.2f}{rule}"


def remark(outcome: AuditOutcome) -> str:
    """Say what was measured, and whether more films could turn the verdict."""
    check = outcome.shown
    if check is None:
        return outcome.said
    unsure = "; the interval holds the limit" if check.borderline else ""
    return f"{check.what}{unsure}"

"""What an audit found, as one versioned JSON object."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from hilum.core.estimate import Estimate
from hilum.core.files import write_text
from hilum.core.reading import RESEARCH_USE
from hilum.judge.audit.limits import AuditLimits
from hilum.judge.schema import About, FlowStep, NotRead, SeenFilms

UNDECIDED = 0.5
"""An interval that holds the limit and is wider than this decides nothing: too few films."""


class Verdict(StrEnum):
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


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Check(_Part):
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


class Row(_Part):
    """One line of a test's table; ``beyond`` marks a value beyond the limit for sure."""

    name: str
    measured: Estimate
    beyond: bool = False


class Outcome(_Part):
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
    verdict: Verdict
    said: str
    checks: tuple[Check, ...] = ()
    rows: tuple[Row, ...] = ()
    rows_are: str = ""

    @property
    def shown(self) -> Check | None:
        """The check that decided: the first that failed, else the first that passed."""
        by_verdict = [[c for c in self.checks if c.passed is side] for side in (False, True)]
        return next(iter([*by_verdict[0], *by_verdict[1]]), None)


class Audit(_Part):
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
    tests: tuple[Outcome, ...]
    seen: SeenFilms | None = None
    notice: str = RESEARCH_USE

    def __getitem__(self, name: str) -> Outcome:
        """Return one test by its name."""
        for test in self.tests:
            if test.name == name:
                return test
        raise KeyError(name)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The tests that failed."""
        return tuple(test for test in self.tests if test.verdict is Verdict.FAIL)

    def write(self, path: Path) -> None:
        """Write JSON; NaN becomes null."""
        write_text(path, self.model_dump_json(indent=2) + "\n")


def at_most(what: str, measured: Estimate, limit: float, *, by_interval: bool = False) -> Check:
    """Check that a value is no more than ``limit``; see ``UNDECIDED``."""
    value = measured.low if by_interval else measured.value
    passed = value <= limit
    return _check(what, measured, limit, "at most", by_interval, value, passed)


def at_least(what: str, measured: Estimate, limit: float, *, by_interval: bool = False) -> Check:
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
) -> Check:
    wide = measured.high - measured.low > UNDECIDED
    unknown = math.isnan(value) or (wide and measured.low <= limit <= measured.high)
    return Check(
        what=what,
        measured=measured,
        limit=limit,
        side=side,
        by_interval=by_interval,
        passed=None if unknown else passed,
    )

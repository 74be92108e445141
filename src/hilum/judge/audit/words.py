"""Words and numbers of an audit, as the terminal and the page print them."""

from __future__ import annotations

import math

from hilum.core.estimate import Estimate
from hilum.judge.audit.schema import Check, Outcome, Overall

VERDICTS: dict[Overall, str] = {
    Overall.PASS: "No test failed: on these films it reads lungs, as far as the tests can see.",
    Overall.FAIL: "It fails: see which tests, and by how much.",
    Overall.UNINFORMATIVE: "Between films of one source it is not shown to beat a coin.",
    Overall.INCOMPLETE: "Nothing failed, but what decides could not be tested.",
}


def number(estimate: Estimate) -> str:
    """Write value and interval.

    >>> number(Estimate(value=0.91, low=0.87, high=0.94, n=412))
    '0.91 [0.87, 0.94]'
    >>> number(Estimate.undefined(3, "one class only"))
    '-'
    """
    if math.isnan(estimate.value):
        return "-"
    if math.isnan(estimate.low):
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def limit(check: Check) -> str:
    """Write the limit of a check.

    >>> from hilum.judge.audit.schema import at_most
    >>> limit(at_most("x", Estimate(value=0.2, n=5), 0.1))
    'at most 0.10'
    """
    rule = " (whole interval)" if check.by_interval else ""
    return f"{check.side} {check.limit:.2f}{rule}"


def remark(outcome: Outcome) -> str:
    """Say what was measured, and whether more films could turn the verdict."""
    check = outcome.shown
    if check is None:
        return outcome.said
    unsure = "; the interval holds the limit" if check.borderline else ""
    return f"{check.what}{unsure}"

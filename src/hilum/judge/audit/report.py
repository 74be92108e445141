"""Report: an audit as a folder.

OUT/
  audit.json       every verdict, value, interval, limit and n
  tests.csv        one row per check
  parts.csv        one row per line of the tests' tables
  scores.csv       one row per film: what was known, its score, and the score of each changed film
  audit.html       all of it on one page that needs no other file
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hilum.core.estimate import Estimate
from hilum.core.extras import require
from hilum.core.files import atomic_path, write_text
from hilum.core.page import data_uri, render
from hilum.judge.audit.limits import AuditLimits
from hilum.judge.audit.schema import (
    VERDICTS,
    Audit,
    AuditCheck,
    AuditOutcome,
    AuditVerdict,
    limit,
)

TEMPLATE = Path(__file__).parent / "templates" / "audit.html"
_LISTED = 30


@dataclass(frozen=True, slots=True)
class ShownFilm:
    """A film as it was shown to the model: JPEG bytes, and what the model said."""

    jpeg: bytes
    caption: str

    @property
    def uri(self) -> str:
        """For an ``img`` element."""
        return data_uri(self.jpeg, "image/jpeg")


@dataclass(frozen=True, slots=True)
class AuditExample:
    """One film and all that was done to it."""

    title: str
    pictures: tuple[ShownFilm, ...]


def write_audit(
    audit: Audit, scores: pd.DataFrame, out: Path, examples: Sequence[AuditExample] = ()
) -> Path:
    """Write the folder drawn at the top of this file; return the page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("evaluate")
    audit.write(out / "audit.json")
    for name, table in (("tests", checks_of(audit)), ("parts", rows_of(audit)), ("scores", scores)):
        with atomic_path(out / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    page = out / "audit.html"
    write_text(page, page_of(audit, examples))
    return page


def page_of(audit: Audit, examples: Sequence[AuditExample] = ()) -> str:
    """Return the HTML page."""
    return render(
        TEMPLATE,
        audit=audit,
        charts={test.name: _chart(test) for test in audit.tests if test.rows},
        examples=examples,
        headline=VERDICTS[audit.verdict],
        listed=audit.not_read[:_LISTED],
        reasons=reasons(),
        limit=limit,
        marks={AuditVerdict.PASS: "pass", AuditVerdict.FAIL: "fail", AuditVerdict.NOT_RUN: "idle"},
    )


def checks_of(audit: Audit) -> pd.DataFrame:
    """Return one row per check, and one for each test that was not run."""
    rows: list[dict[str, object]] = []
    for test in audit.tests:
        about = {"test": test.name, "verdict": test.verdict.value, "said": test.said}
        rows += [{**about, **_as_row(check)} for check in test.checks] or [{**about}]
    return pd.DataFrame(rows)


def rows_of(audit: Audit) -> pd.DataFrame:
    """Return one row per line of the tests' tables."""
    return pd.DataFrame(
        [
            {"test": test.name, "part": row.name, **_numbers(row.measured), "beyond": row.beyond}
            for test in audit.tests
            for row in test.rows
        ],
        columns=["test", "part", "value", "low", "high", "n", "beyond"],
    )


def reasons() -> dict[str, str]:
    """Return limit -> why."""
    fields = AuditLimits.model_fields.items()
    return {name: " ".join((field.description or "").split()) for name, field in fields}


def _as_row(check: AuditCheck) -> dict[str, object]:
    return {
        "what": check.what,
        **_numbers(check.measured),
        "side": check.side,
        "limit": check.limit,
        "by_interval": check.by_interval,
        "passed": check.passed,
    }


def _numbers(estimate: Estimate) -> dict[str, float]:
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
    }


def _chart(test: AuditOutcome) -> str:
    from hilum.judge.plots import bars

    same_scale = [check for check in test.checks if test.rows_are.startswith(("share", "metric"))]
    figure = bars(test.rows, test.rows_are, same_scale[:2])
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    return data_uri(buffer.getvalue())

"""What ``hilum audit`` prints for a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hilum.apps.cli.console import plain

if TYPE_CHECKING:
    from hilum.judge.audit.lists import ListAudit
    from hilum.judge.audit.schema import Audit

_COLORS = {"pass": "green", "fail": "red", "not run": "yellow"}


def print_audit(audit: Audit, out: Path | None) -> None:
    """Print a line for each test, then the verdict."""
    from rich.table import Table
    from rich.text import Text

    from hilum.judge.audit.schema import VERDICTS, limit, remark

    console = plain()
    table = Table("test", "verdict", "value [95 % interval]", "limit", "what was measured, or why")
    for test in audit.tests:
        check = test.shown
        table.add_row(
            test.name,
            Text(test.verdict, style=_COLORS[test.verdict]),
            check.measured.cell() if check else "",
            limit(check) if check else "",
            Text(remark(test)),
        )
    console.print(table)
    for step in audit.flow:
        detail = f" ({step.detail})" if step.detail else ""
        console.print(f"{step.step}: {step.films} films{detail}", style="dim")
    if audit.not_read:
        console.print(f"{len(audit.not_read)} films were not read: counted, not judged.")
    if audit.seen:
        console.print(f"Training films: {audit.seen.said}.")
    console.print(f"Operating point: {audit.operating_point}", style="dim")
    console.print(f"\n{audit.verdict.upper()}: {audit.subject}. {VERDICTS[audit.verdict]}")
    for sentence in audit.said:
        console.print(sentence)
    if out is not None:
        console.print(f"Written: {out / 'audit.html'}", soft_wrap=True)
    console.print(audit.notice)


def print_lists(found: ListAudit) -> None:
    """Print the films by source and class, and each check."""
    from rich.table import Table
    from rich.text import Text

    console = plain()
    table = Table(
        "source", "train +", "train -", "look-up says", "test +", "test -",
        title=f"{found.label}: {found.train} and {found.test}", title_justify="left",
    )  # fmt: skip
    for row in found.sources:
        table.add_row(
            row.source,
            str(row.train_positive),
            str(row.train_negative),
            row.says,
            str(row.test_positive),
            str(row.test_negative),
        )
    console.print(table)
    for check in found.checks:
        word = "pass" if check.passed else "fail"
        line = Text(f"{check.name}: {check.said} (at most {check.limit:g}) ")
        console.print(line.append(word, style=_COLORS[word]))
    share = found.lookup_right / found.lookup_films
    console.print(
        f"A look-up from source to majority label, which sees no film, scores {share:.3f} on test "
        f"({found.lookup_right}/{found.lookup_films}), AUROC {found.lookup_auroc:.3f}."
    )
    console.print(
        f"{found.shared} of {found.lookup_films} test films come from a source that gives both "
        "classes to test: only these can tell a reader of lungs from a reader of sources."
    )
    console.print("PASS" if found.passed else "FAIL: this split cannot show that a model reads.")

"""Write: the table as CSV, Markdown and JSON, and the predictions that each variant leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hilum.core.estimate import Estimate
from hilum.core.files import write_text
from hilum.learn.compare.comparison import Comparison
from hilum.learn.compare.join import Answers, each_once
from hilum.learn.compare.judge import Gap, Row
from hilum.learn.compare.run import write_table
from hilum.learn.compare.unseen import LEFT_OUT, unseen

TABLE, GAPS, MARKDOWN, JSON = "table.csv", "gaps.csv", "table.md", "table.json"
OUT_OF_SOURCE, UNSEEN = "out-of-source", "unseen"
PREDICTION_COLUMNS = [
    "case_id", "label", "truth", "score", "logit", "group", "cohort", "source", "view",
]  # fmt: skip
HEADINGS = (
    "left out",
    "variant",
    "films",
    "AUROC",
    "difference",
    "nuisance AUROC",
    "sensitivity",
    "false positives",
    "val AUROC",
)


def write_comparison(comparison: Comparison, out: Path) -> None:
    """Write table.csv, table.md, table.json, and gaps.csv where there are gaps."""
    write_table(pd.DataFrame([flat(row) for row in comparison.rows]), out / TABLE)
    write_text(out / MARKDOWN, markdown(comparison))
    write_text(out / JSON, comparison.model_dump_json(indent=2) + "\n")
    if comparison.gaps:
        write_table(pd.DataFrame([flat(gap) for gap in comparison.gaps]), out / GAPS)


def write_out_of_source(answers: Answers, path: Path) -> None:
    """Write the predictions for all films left out; each film stands once for a label."""
    left = [answer.test for entry, answer in answers.items() if not entry.fold]
    if left:
        write_table(each_once(left)[PREDICTION_COLUMNS], path)


def write_unseen(answers: Answers, path: Path) -> None:
    """Write what decisions are fitted on; see ``unseen``."""
    if any(not entry.fold for entry in answers):
        write_table(unseen(answers)[[*PREDICTION_COLUMNS, LEFT_OUT]], path)


def flat(row: Row | Gap) -> dict[str, object]:
    """Return a row as columns: an estimate is ``name``, ``name_low`` and ``name_high``."""
    cells: dict[str, object] = {}
    for name, value in row:
        if isinstance(value, Estimate):
            cells |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        else:
            cells[name] = value
    return cells


def markdown(comparison: Comparison) -> str:
    """Return the table as a page of Markdown, a table for each label."""
    lines = ["# Variants compared"]
    for label, rows in by_label(comparison).items():
        lines += ["", f"## {label}", "", *_table(HEADINGS, [cells(row) for row in rows])]
    if comparison.gaps:
        headings = ("variant", "label", "cross-validation", "source left out", "gap")
        gaps = [
            (
                gap.variant,
                gap.label,
                gap.pooled.cell(3, ""),
                gap.left_out.cell(3, ""),
                gap.gap.cell(3, ""),
            )
            for gap in comparison.gaps
        ]
        lines += ["", "## The gap", "", *_table(headings, gaps)]
    for note in comparison.notes:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def by_label(comparison: Comparison) -> dict[str, list[Row]]:
    """Return the rows of each label, the variants side by side for what was left out."""
    found: dict[str, dict[tuple[str, str], list[Row]]] = {}
    for row in comparison.rows:
        place = found.setdefault(row.label, {})
        place.setdefault((row.left_out, row.cohort), []).append(row)
    return {
        label: [row for rows in place.values() for row in rows] for label, place in found.items()
    }


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as text, in the order of ``HEADINGS``."""
    return (
        f"of these: {row.cohort}" if row.cohort else row.left_out,
        row.variant,
        f"{row.positives} + {row.n - row.positives}",
        row.auroc.cell(3, ""),
        row.difference.cell(3, ""),
        row.nuisance_auroc.cell(3, ""),
        row.sensitivity.cell(3, ""),
        row.false_positive_rate.cell(3, ""),
        "" if math.isnan(row.val_auroc) else f"{row.val_auroc:.3f}",
    )


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [" | ".join(headings), " | ".join("---" for _ in headings)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {line} |" for line in lines]

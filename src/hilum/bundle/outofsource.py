"""What networks of the bundle's recipe scored on sources that they never saw, in a bundle.

NAME/out-of-source.json   one variant of the table of ``hilum compare``, with the nuisance numbers
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from hilum.core.config import validated
from hilum.core.errors import CohortError
from hilum.core.estimate import Estimate
from hilum.core.files import write_text

OUT_OF_SOURCE = "out-of-source.json"
NUISANCE = "nuisance numbers"
"""How ``hilum compare`` names the variant that sees twelve numbers and no lung."""
TOGETHER = "all left out"
"""How it names the films of all left-out sources together."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class LeftOut(_Part):
    """One label on the films of one source, or of several, that training did not see.

    Attributes:
        left_out: the source; "all left out" for all, each scored by the run without it.
        cohort: one of several that were left out together, or "".
        n, positives, patients: films whose truth is known.
        sensitivity, false_positive_rate: at the largest Youden index on val of the same run.
        nuisance_auroc: of twelve numbers fitted on the same training films.
    """

    left_out: str
    cohort: str = ""
    label: str
    n: int
    positives: int
    patients: int
    auroc: Estimate
    sensitivity: Estimate
    false_positive_rate: Estimate
    nuisance_auroc: Estimate

    @property
    def where(self) -> str:
        """What was left out, in words."""
        return f"{self.left_out}, of these {self.cohort}" if self.cohort else self.left_out


class Flattery(_Part):
    """Cross-validation over pooled sources against leaving sources out, on the same films."""

    label: str
    pooled: Estimate
    left_out: Estimate
    gap: Estimate


class OutOfSource(_Part):
    """What ``out-of-source.json`` holds."""

    schema_version: Literal["1"] = "1"
    variant: str
    rows: tuple[LeftOut, ...]
    gaps: tuple[Flattery, ...] = ()
    notes: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write JSON; NaN becomes null."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``write`` wrote.

        Raises:
            CohortError: not such a table.
        """
        where = f"{path}: not a table of left-out sources"
        return validated(cls, path.read_bytes(), CohortError, where=where)


def from_comparison(path: Path, variant: str | None = None) -> OutOfSource:
    """Take one variant from the ``table.json`` of ``hilum compare``.

    Args:
        path: of the table.
        variant: its name; None where only one was trained.

    Raises:
        CohortError: not such a table, several variants, or none of that name.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rows: list[dict[str, Any]] = list(values["rows"])
        named = list(dict.fromkeys(str(row["variant"]) for row in rows))
    except (ValueError, KeyError, TypeError) as error:
        raise CohortError(
            f"{path}: not the table of a comparison: {error!r}", hint="name its table.json"
        ) from None
    chosen = _choose([name for name in named if name != NUISANCE], variant, path)
    taken = {
        "variant": chosen,
        # sources were seen in rows of cross-validation; gaps have them
        "rows": [
            row
            for row in rows
            if row["variant"] == chosen and "cross-validation" not in str(row.get("left_out", ""))
        ],
        "gaps": [gap for gap in values.get("gaps", ()) if gap["variant"] == chosen],
        "notes": values.get("notes", ()),
    }
    where = f"{path}: not the table of a comparison"
    return validated(OutOfSource, taken, CohortError, where=where)


def _choose(names: list[str], variant: str | None, path: Path) -> str:
    if variant is None and len(names) == 1:
        return names[0]
    if variant in names:
        return str(variant)
    found = f"no variant '{variant}'" if variant else f"{len(names)} variants"
    raise CohortError(
        f"{path}: {found}; expected the bundle's own",
        hint=f"--variant NAME, one of: {', '.join(names)}",
    )

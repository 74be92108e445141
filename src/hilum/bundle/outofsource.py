"""What networks of the bundle's recipe scored on sources that they never saw, in a bundle.

NAME/out-of-source.json   one variant of the table of ``hilum compare``, with the nuisance numbers
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from hilum.core.config import validated
from hilum.core.errors import BundleError, CohortError
from hilum.core.estimate import Estimate
from hilum.core.files import write_text

OUT_OF_SOURCE = "out-of-source.json"
NUISANCE = "nuisance numbers"
"""How ``hilum compare`` names the variant that sees twelve numbers and no lung."""
TOGETHER = "all left out"
"""How it names the films of all left-out sources together."""
_MAY_DIFFER = (
    "split.", "bundle.", "data.cases", "data.cohorts", "dense.teacher",
    "fit.seed", "fit.members", "fit.loggers", "fit.precision", "fit.channels_last",
    "fit.deterministic", "fit.epochs",
)  # fmt: skip
"""Settings of one recipe, by how they begin: which films, where they lie, seeds, the machine, and
for how long, which is told."""


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


def from_comparison(
    path: Path, variant: str | None = None, recipe: Mapping[str, Any] | None = None
) -> tuple[OutOfSource, str]:
    """Take one variant from the ``table.json`` of ``hilum compare``.

    Args:
        path: of the table.
        variant: its name; None where only one was trained.
        recipe: ``recipe.toml`` of the bundle; empty where it has none.

    Returns:
        The table, and a note: why it cannot be told whether the variant is of that recipe, or that
        it was trained for another number of epochs; "" if neither.

    Raises:
        CohortError: not such a table, several variants, or none of that name.
        BundleError: the variant is of another recipe.
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
    found = validated(OutOfSource, taken, CohortError, where=where)
    theirs = (values.get("recipes") or {}).get(chosen)
    if not recipe or not theirs:
        who = f"the variant '{chosen}' of {path}" if recipe else "the bundle"
        return found, f"{who} does not say its recipe: nothing checks that it is the same"
    if different := list(_different(theirs, recipe)):
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        raise BundleError(
            f"{path}: the variant '{chosen}' is of another recipe than the bundle: "
            f"{'; '.join(different[:3])}{more}",
            hint="name the variant that the bundle is by --variant, or compare its recipe.toml",
        )
    epochs, ours = (dict(_flat(each)).get("fit.epochs") for each in (theirs, recipe))
    if epochs != ours and None not in (epochs, ours):
        who = f"the variant '{chosen}' of {path}"
        return found, f"{who} was trained for {epochs} epochs, the bundle for {ours}"
    return found, ""


def _different(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings that differ; one that only a newer version knows is none of them."""
    there, here = dict(_flat(theirs)), dict(_flat(ours))
    for key in there:
        if key in here and there[key] != here[key] and not key.startswith(_MAY_DIFFER):
            yield f"{key} {there[key]}, in the bundle {here[key]}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "none" if value is None else value  # as TOML writes it


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

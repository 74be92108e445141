"""Split file: a split as CSV, with a JSON beside it that says how it was made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from hilum import __version__
from hilum.core.csvtable import numbers_in, read_table
from hilum.core.files import write_text
from hilum.data.duplicates import PAIR_COLUMNS
from hilum.data.leaks import SIDE_COLUMNS, sides
from hilum.data.split import SplitSpec, fold_names
from hilum.data.table import write_cases


class SplitRecord(BaseModel):
    """How a split was made, and what came of it.

    Attributes:
        cases_sha256: fingerprint of the cases that were divided; see ``cases_fingerprint``.
        films, groups: how many there were.
        duplicate_pairs: pairs that linked patients, or None where none were looked for.
        fold_names: what each fold leaves out, for "leave-one-out".
        counts: one row for each side, cohort and label value ("1", "0", "unknown"), with
            ``films`` and ``groups``. Side "" holds films that are on no side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hilum_version: str = __version__
    spec: SplitSpec
    cases_sha256: str
    films: int
    groups: int
    duplicate_pairs: int | None
    fold_names: dict[int, str]
    counts: list[dict[str, Any]]


def record_split(split: pd.DataFrame, spec: SplitSpec, pairs: pd.DataFrame | None) -> SplitRecord:
    """Describe a split that ``make_split`` made."""
    return SplitRecord(
        spec=spec,
        cases_sha256=cases_fingerprint(split, spec),
        films=len(split),
        groups=int(split["group"].nunique()),
        duplicate_pairs=None if pairs is None else len(pairs),
        fold_names=fold_names(split, spec),
        counts=count_sides(split, spec),
    )


def count_sides(split: pd.DataFrame, spec: SplitSpec) -> list[dict[str, Any]]:
    """Count films and groups by side, cohort and label value, in that order."""
    column = next(name for name in SIDE_COLUMNS if name in split)
    value = "unknown" if spec.label is None else split[spec.label.value].map({1: "1", 0: "0"})
    table = pd.DataFrame(
        {
            "side": sides(split, column),
            "cohort": split["cohort"].astype(str),
            "label": value,
            "group": split["group"],
        }
    ).fillna({"label": "unknown"})
    counted = table.groupby(["side", "cohort", "label"])["group"].agg(["size", "nunique"])
    counted.columns = ["films", "groups"]
    return [
        {str(key): item for key, item in row.items()}
        for row in counted.reset_index().to_dict("records")
    ]


def cases_fingerprint(cases: pd.DataFrame, spec: SplitSpec) -> str:
    """Return the SHA-256 of what a split depends on: case, patient, cohort, source and label.

    The order of the rows does not matter.
    """
    columns = ["case_id", "patient_id", "cohort", "source"]
    columns += [spec.label.value] if spec.label is not None else []
    rows = cases[columns].astype(str).sort_values("case_id").to_numpy().tolist()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def write_split(split: pd.DataFrame, record: SplitRecord, path: Path) -> Path:
    """Write ``path`` (CSV) and the record beside it; return where the record is."""
    write_cases(split, path)
    beside = path.with_suffix(".json")
    write_text(beside, record.model_dump_json(indent=2) + "\n")
    return beside


def read_pairs(path: Path) -> pd.DataFrame:
    """Read duplicate pairs that ``write_pairs`` wrote.

    Raises:
        CohortError: no such file, or no such table.
    """
    pairs = read_table(path, PAIR_COLUMNS[:3])
    if "distance" in pairs:
        pairs["distance"] = numbers_in(pairs, "distance", str(path))
    return pairs.reset_index(drop=True)


def write_pairs(pairs: pd.DataFrame, path: Path) -> None:
    """Write duplicate pairs as CSV."""
    write_text(path, pairs.to_csv(index=False, lineterminator="\n"))

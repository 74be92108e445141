"""Split: divide a cases table so that no patient and no film stands on two sides; keep how.

A split is a CSV, with a JSON beside it that says how it was made.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator

from hilum import __version__
from hilum.core.case import SIDES, patient_of
from hilum.core.config import Config, Written, did_you_mean
from hilum.core.csvtable import numbers_in, read_table
from hilum.core.errors import CohortError, ConfigError
from hilum.core.files import write_text
from hilum.core.labels import Label
from hilum.data.duplicates import PAIR_COLUMNS, link_groups
from hilum.data.leaks import SIDE_COLUMNS, refuse_leaks, sides
from hilum.data.table import require_columns, write_cases


class SplitSpec(Config):
    """How a table is divided.

    Attributes:
        kind: "holdout" makes the column ``split`` (train, val, test); "folds" makes ``fold``
            (1 to ``folds``); "leave-one-out" makes ``fold``, one for each value of ``by``, or
            with ``held_out`` a ``split`` whose test is that one value, or those several.
        fractions: of train, val and test; the sum is 1. With ``held_out`` the fractions of train
            and val divide what is left.
        folds: how many.
        by: what "leave-one-out" leaves out.
        held_out: the value of ``by`` that becomes test, or several that are left out together.
        label: kept in proportion, together with ``source``; None: ``source`` alone.
        seed: of the random order.
    """

    kind: Literal["holdout", "folds", "leave-one-out"] = "holdout"
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    folds: int = Field(default=5, ge=2)
    by: Literal["cohort", "source"] = "cohort"
    held_out: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    label: Label | None = Label.COVID_19
    seed: int = Field(default=0, ge=0)

    @field_validator("fractions")
    @classmethod
    def _whole(cls, fractions: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(fractions) < 0 or fractions[0] == 0 or not math.isclose(sum(fractions), 1):
            raise ValueError("expected three parts of 1 (train, val, test), the first above 0")
        return fractions


def check_sides(cases: pd.DataFrame) -> None:
    """Refuse a column ``split`` that names another side than ``SIDES``; a blank is on none.

    Raises:
        CohortError: a film on a side that no training looks at.
    """
    strange = cases[~cases["split"].isin([*SIDES, ""])]
    if not strange.empty:
        first = strange.iloc[0]
        raise CohortError(
            f"{first['case_id']}: split '{first['split']}', as on {len(strange)} rows in all; "
            f"expected {', '.join(SIDES)} or blank",
            hint=did_you_mean(str(first["split"]), SIDES),
        )


def make_split(cases: pd.DataFrame, spec: SplitSpec) -> pd.DataFrame:
    """Divide ``cases`` as ``spec`` says.

    Groups are those of the column ``group`` and of ``patient_id``; call ``link_groups`` before to
    bring in duplicates. The result depends on the cases and the seed, not on the order of rows.

    Args:
        cases: with ``hilum.core.case.REQUIRED_COLUMNS`` and the label of the spec.

    Returns:
        A copy with ``group`` and with ``split`` (text) or ``fold`` (number, from 1). When one
        source is left out, a film whose group belongs to another source is on no side: blank.

    Raises:
        CohortError: a column is missing, a class has too few patients to stand on every side, or
            there is nothing to leave out.
        ConfigError: ``held_out`` is not in the table.

    Warns:
        UserWarning: how many films have no patient, each of which is a group of its own.
    """
    check_spec(cases, spec)
    unknown = int((patient_of(cases) == "").sum())
    if unknown:
        warnings.warn(
            f"{unknown} of {len(cases)} films have no patient_id; each is a group of its own",
            stacklevel=3,
        )
    kept = cases.drop(columns=[name for name in SIDE_COLUMNS if name in cases])
    linked = link_groups(kept, pd.DataFrame(columns=list(PAIR_COLUMNS)))
    return refuse_leaks(_divided(linked, spec))


def _divided(linked: pd.DataFrame, spec: SplitSpec) -> pd.DataFrame:
    if spec.kind == "leave-one-out":
        return _leave_one_out(linked, spec)
    if spec.kind == "folds":
        names = tuple(f"fold {number}" for number in range(1, spec.folds + 1))
        part = _divide(linked, spec, names, (1 / spec.folds,) * spec.folds)
        return linked.assign(fold=part + 1.0)
    part = _divide(linked, spec, SIDES, spec.fractions)
    return linked.assign(split=part.map(dict(enumerate(SIDES))))


def fold_names(cases: pd.DataFrame, spec: SplitSpec) -> dict[int, str]:
    """Say what each fold of a "leave-one-out" split leaves out; {} for other splits."""
    if spec.kind != "leave-one-out" or spec.held_out is not None:
        return {}
    return dict(enumerate(sorted(cases[spec.by].astype(str).unique()), start=1))


def _divide(
    cases: pd.DataFrame, spec: SplitSpec, names: tuple[str, ...], shares: tuple[float, ...]
) -> pd.Series[int]:
    wanted = [name for name, share in zip(names, shares, strict=True) if share > 0]
    groups = cases["group"].groupby(_classes(cases, spec)).nunique()
    for value in ("1", "0"):
        found = int(groups.get(value, 0))
        if spec.label is not None and 0 < found < len(wanted):
            raise CohortError(
                f"cases: {spec.label.value} = {value} in {found} patients or groups; expected "
                f"{len(wanted)} at least, one for each of {', '.join(wanted)}",
                hint="add films of this class, or divide into fewer parts",
            )
    smallest = min(share for share in shares if share > 0)
    return assign(cases["group"], _strata(cases, spec, math.ceil(1 / smallest)), shares, spec.seed)


def _strata(cases: pd.DataFrame, spec: SplitSpec, enough: int) -> pd.DataFrame:
    """Return label, and label x source; sources of too few groups to be divided are pooled."""
    label = _classes(cases, spec)
    cell = label + " | " + cases["source"].fillna("").astype(str)
    groups = cases["group"].groupby(cell).transform("nunique")
    return pd.DataFrame({"label": label, "cell": cell.where(groups >= enough, label + " | other")})


def _classes(cases: pd.DataFrame, spec: SplitSpec) -> pd.Series[str]:
    if spec.label is None:
        return pd.Series("any", index=cases.index)
    return cases[spec.label.value].map({1: "1", 0: "0"}).fillna("unknown").astype(str)


def _leave_one_out(cases: pd.DataFrame, spec: SplitSpec) -> pd.DataFrame:
    value = cases[spec.by].astype(str)
    if spec.held_out is None:
        # a group that spans two sources stays with the one that holds most of it
        home = value.groupby(cases["group"]).transform(lambda some: some.mode().min())
        number = {name: float(fold) for fold, name in fold_names(cases, spec).items()}
        return cases.assign(fold=value.map(number).where(value == home))
    held_out = _names(spec.held_out)
    test = value.isin(held_out)
    touched = test.groupby(cases["group"]).transform("any")
    if touched.all():
        raise CohortError(
            f"cases: every patient outside of {spec.by} {_quoted(held_out)} also stands in it; "
            "expected films to train on",
            hint="merge another collection in (`hilum cohort merge`)",
        )
    train, val, _ = spec.fractions
    rest = _divide(cases[~touched], spec, SIDES[:2], (train / (train + val), val / (train + val)))
    split = rest.map(dict(enumerate(SIDES))).reindex(cases.index, fill_value="")
    return cases.assign(split=split.mask(test, "test"))


def check_spec(cases: pd.DataFrame, spec: SplitSpec) -> None:
    """Refuse what cannot be divided as ``spec`` says, before a film is opened.

    Raises:
        CohortError, ConfigError: as ``make_split``.
    """
    require_columns(cases, "cases")
    if not len(cases):
        raise CohortError("cases: no rows; expected films to divide")
    if spec.label is not None and spec.label.value not in cases:
        raise CohortError(
            f"cases: no column {spec.label.value} to keep in proportion",
            hint="name another label (--stratify), or none to go by source alone",
        )
    if spec.kind == "leave-one-out":
        values = sorted(cases[spec.by].fillna("").astype(str).unique())
        if "" in values:
            blank = int((cases[spec.by].fillna("") == "").sum())
            raise CohortError(f"cases: column {spec.by} is blank in {blank} rows; expected a name")
        if len(values) < 2:
            raise CohortError(
                f"cases: only one {spec.by}, '{values[0]}'; leaving one out takes two or more",
                hint="merge another collection in (`hilum cohort merge`), or leave out by source",
            )
        for name in _names(spec.held_out):
            if name not in values:
                raise ConfigError(
                    f"no {spec.by} '{name}' in the table", hint=did_you_mean(name, values)
                )


def _names(held_out: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if held_out is None:
        return ()
    return (held_out,) if isinstance(held_out, str) else held_out


def _quoted(names: tuple[str, ...]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def assign(
    groups: pd.Series[str], strata: pd.DataFrame, shares: tuple[float, ...], seed: int
) -> pd.Series[int]:
    """Give every group to one part.

    Groups are taken from the largest to the smallest, in random order among equals; each goes to
    the part where it disturbs the strata least. This is what scikit-learn's
    ``StratifiedGroupKFold`` does, for parts of unequal size and several kinds of strata at once.

    Args:
        groups: the group of each case.
        strata: one row a case (same index), text; each column is a kind of stratum to keep in
            proportion, and so is the number of cases.
        shares: of the cases for each part; the sum is 1. A part of share 0 stays empty.
        seed: of the random order.

    Returns:
        The part of each case, 0 to ``len(shares) - 1``, on the index of ``groups``. It does not
        depend on the order of the rows.
    """
    counts = _count(groups, strata)
    part_of = dict(zip(counts.index, _fill(counts.to_numpy(float), shares, seed), strict=True))
    return groups.map(part_of).astype(int)


def _count(groups: pd.Series[str], strata: pd.DataFrame) -> pd.DataFrame:
    """Count cases by group (rows, sorted) and stratum (columns), with all cases first."""
    tables = [pd.crosstab(groups, strata[name]) for name in strata.columns]
    everything = groups.value_counts().sort_index().rename("all")
    return pd.concat([everything, *tables], axis=1).fillna(0)


def _fill(counts: NDArray[np.float64], shares: tuple[float, ...], seed: int) -> list[int]:
    share = np.array(shares)
    parts = np.flatnonzero(share)
    weight = counts / counts.sum(axis=0)  # of a group in each stratum
    filled = np.zeros((len(parts), counts.shape[1]))
    chosen = [0] * len(counts)
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    for group in shuffled[np.argsort(-counts[shuffled, 0], kind="stable")]:
        # growth of sum((filled - share)^2 / share), the distance of chi-square
        growth = ((2 * filled + weight[group]) @ weight[group]) / share[parts]
        best = int(growth.argmin())
        filled[best] += weight[group]
        chosen[group] = int(parts[best])
    return chosen


class SplitRecord(Written):
    """How a split was made, and what came of it.

    Attributes:
        cases_sha256: fingerprint of the cases that were divided; see ``cases_fingerprint``.
        films, groups: how many there were.
        duplicate_pairs: pairs that linked patients, or None where none were looked for.
        fold_names: what each fold leaves out, for "leave-one-out".
        counts: one row for each side, cohort and label value ("1", "0", "unknown"), with
            ``films`` and ``groups``. Side "" holds films that are on no side.
    """

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

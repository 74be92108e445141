"""Lists: would a look-up from source to majority label pass for a reader on this split?

A split whose test classes come from different sources cannot tell a reader of lungs from a reader
of hospital names: on COVIDx 8B and 9B the look-up scores 400 of 400 (every positive test film is
RICORD, every negative one RSNA; compare Maguolo and Nanni, Information Fusion 2021; DeGrave et
al., Nature Machine Intelligence 2021).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from hilum.core.case import owner_of
from hilum.core.config import Config
from hilum.core.errors import CohortError
from hilum.judge.metrics import auroc, balanced_accuracy, confusion


class ListLimits(Config):
    """What a split may show at most.

    Attributes:
        lookup: balanced accuracy of the look-up on test. A coin has 0.5; at 0.75 and more the
            source alone is as good as many published readers are on films from elsewhere.
        patients: patients on both sides; one is one too many.
        files: file names of one source on both sides.
    """

    lookup: float = Field(default=0.75, ge=0, le=1)
    patients: int = Field(default=0, ge=0)
    files: int = Field(default=0, ge=0)


class SourceCount(BaseModel):
    """Films of one source by side and class, and what the look-up says of it."""

    model_config = ConfigDict(frozen=True)

    source: str
    train_positive: int
    train_negative: int
    test_positive: int
    test_negative: int
    says: str


class ListCheck(BaseModel):
    """One finding against its limit."""

    model_config = ConfigDict(frozen=True)

    name: str
    measured: float
    limit: float
    passed: bool
    said: str


class ListAudit(BaseModel):
    """What an audit of a split found.

    Attributes:
        lookup_right, lookup_films: test films that the look-up gets right, of how many.
        lookup_balanced: its balanced accuracy; ``lookup_auroc`` with shares for scores. NaN where
            test has one class.
        shared: test films whose source gives both classes to test: those that can tell.
        patients, files: that stand on both sides.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    label: str
    train: str
    test: str
    sources: tuple[SourceCount, ...]
    lookup_right: int
    lookup_films: int
    lookup_balanced: float
    lookup_auroc: float
    shared: int
    patients: tuple[str, ...]
    files: tuple[str, ...]
    checks: tuple[ListCheck, ...]

    @property
    def passed(self) -> bool:
        """No check failed."""
        return all(check.passed for check in self.checks)


def audit_lists(
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    label: str,
    names: tuple[str, str] = ("train", "test"),
    limits: ListLimits | None = None,
) -> ListAudit:
    """Audit a split: the look-up, patients and files on both sides, counts by source and class.

    Args:
        train, test: cases tables with ``case_id``, ``source``, ``patient_id`` and ``label``
            (1, 0 or NaN; NaN is left out of the look-up, not of the leaks).
        label: which label.
        names: of the two lists, for the report.

    Raises:
        CohortError: a side has no film whose label is known.
    """
    limits = limits or ListLimits()
    known = [_known(side, label, name) for side, name in zip((train, test), names, strict=True)]
    share, overall = _shares(known[0], label)
    score = known[1]["source"].map(share).fillna(overall).to_numpy(np.float64)
    truth = known[1][label].to_numpy(np.float64) == 1
    called = score >= 0.5
    balanced = float(balanced_accuracy(confusion(truth, called)))
    both = set(known[1].loc[truth, "source"]) & set(known[1].loc[~truth, "source"])
    owner = owner_of(pd.concat([train, test], ignore_index=True))
    patients = _both_sides(owner[: len(train)], owner[len(train) :])
    files = _both_sides(_files(train), _files(test))
    right = int((called == truth).sum())
    return ListAudit(
        label=label,
        train=names[0],
        test=names[1],
        sources=_counts(known[0], known[1], label, share),
        lookup_right=right,
        lookup_films=truth.size,
        lookup_balanced=balanced,
        lookup_auroc=float(auroc(truth, score)),
        shared=int(known[1]["source"].isin(both).sum()),
        patients=patients,
        files=files,
        checks=_checks(right, truth.size, balanced, patients, files, limits),
    )


def _known(side: pd.DataFrame, label: str, name: str) -> pd.DataFrame:
    if label not in side:
        raise CohortError(f"{name}: no column '{label}'", hint="name another with --label")
    known = side[side[label].notna()]
    if known.empty:
        raise CohortError(f"{name}: no film has a known '{label}'")
    return known


def _shares(train: pd.DataFrame, label: str) -> tuple[pd.Series, float]:
    """Share of positives of each source in train, and over all of train."""
    return train.groupby("source")[label].mean(), float(train[label].mean())


def _files(side: pd.DataFrame) -> pd.Series:
    """Source and file name of each row."""
    return side["source"] + "/" + side["path"].astype(str).str.replace("\\", "/").str.rsplit("/", n=1).str[-1]  # noqa: E501 # fmt: skip


def _both_sides(train: pd.Series, test: pd.Series) -> tuple[str, ...]:
    return tuple(sorted((set(train) & set(test)) - {""}))


def _counts(
    train: pd.DataFrame, test: pd.DataFrame, label: str, share: pd.Series
) -> tuple[SourceCount, ...]:
    found = []
    for name in sorted(set(train["source"]) | set(test["source"])):
        sides = [side.loc[side["source"] == name, label] for side in (train, test)]
        numbers = [int((side == value).sum()) for side in sides for value in (1, 0)]
        says = "unknown in train"
        if name in share.index:
            says = "positive" if share[name] >= 0.5 else "negative"
        found.append(
            SourceCount(
                source=name,
                train_positive=numbers[0],
                train_negative=numbers[1],
                test_positive=numbers[2],
                test_negative=numbers[3],
                says=says,
            )
        )
    return tuple(found)


def _checks(
    right: int,
    films: int,
    balanced: float,
    patients: tuple[str, ...],
    files: tuple[str, ...],
    limits: ListLimits,
) -> tuple[ListCheck, ...]:
    one_class = bool(np.isnan(balanced))
    reached = right / films if one_class else balanced
    what = "accuracy (test has one class)" if one_class else "balanced accuracy"
    return (
        ListCheck(
            name="look-up from source to majority label",
            measured=reached,
            limit=limits.lookup,
            passed=reached <= limits.lookup,
            said=f"{what} {reached:.3f}; {right} of {films} test films right",
        ),
        _leak("patients on both sides", patients, limits.patients),
        _leak("files on both sides", files, limits.files),
    )


def _leak(name: str, found: tuple[str, ...], limit: int) -> ListCheck:
    named = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    return ListCheck(
        name=name,
        measured=len(found),
        limit=limit,
        passed=len(found) <= limit,
        said=f"{len(found)}: {named}" if found else "none",
    )

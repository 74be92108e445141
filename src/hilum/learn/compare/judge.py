"""Judge: the rows of the table: one variant on one set of films that it never saw."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from hilum.core.config import Written
from hilum.core.estimate import Estimate
from hilum.judge.bootstrap import Support, bootstrap_all, why_undefined
from hilum.judge.metrics import Floats, auroc, confusion, sensitivity, specificity
from hilum.learn.compare.join import Answers, EntryAnswer, each_once

EVERYTHING = "all left out"
_NOT_COMPARED = "not compared"


class Row(Written):
    """One variant, one label, one set of films.

    Attributes:
        left_out: what training did not see; "all left out" puts the films of all entries
            together, each scored by the run that did not see it; "3-fold cross-validation"
            all folds.
        cohort: one of several that were left out together, or "".
        n, positives, patients: films whose truth is known.
        auroc: NaN where they have one class.
        sensitivity, false_positive_rate: at the threshold with the largest Youden index on val
            of the same run; NaN without a positive, a negative film.
        nuisance_auroc: of twelve numbers, fitted on the same training films.
        difference: of ``auroc`` to the first variant, over the same resamples of patients.
        val_auroc: on val, films of sources that training saw.
        runs, epochs, seconds: trained, kept (mean), spent in all.
    """

    variant: str
    left_out: str
    cohort: str
    label: str
    n: int
    positives: int
    patients: int
    auroc: Estimate
    sensitivity: Estimate
    false_positive_rate: Estimate
    nuisance_auroc: Estimate
    difference: Estimate
    val_auroc: float
    runs: int
    epochs: float
    seconds: float


class Gap(Written):
    """How much cross-validation over all films flatters a variant.

    Attributes:
        pooled, left_out: AUROC on the same films, by cross-validation and with their source
            left out.
        gap: the first less the second, over the same resamples of patients.
    """

    variant: str
    label: str
    pooled: Estimate
    left_out: Estimate
    gap: Estimate


def rows_of(
    variant: str, ours: Answers, first: Answers, nuisance: Answers, *, by: str, folds: int
) -> Iterator[Row]:
    """Judge one variant.

    Args:
        ours: of the variant, the entries that are finished.
        first: of the variant that it is measured against; {} for none.
        nuisance: of the twelve numbers.
        by: column of what is left out, "cohort" or "source".
        folds: bootstrap resamples.
    """
    for title, part, answers in _parts(ours, by):
        test = each_once(answer.test for answer in answers)
        rival, numbers = (_tests(other, ours, answers) for other in (first, nuisance))
        if part:
            test = test[test[by] == part]
        for label, films in test.groupby("label", sort=False):
            known = films[films["truth"].notna()]
            if len(known):
                found = _estimates(known, rival, numbers, folds)
                yield Row(
                    variant=variant,
                    left_out=title,
                    cohort=part,
                    label=str(label),
                    n=len(known),
                    positives=int(known["truth"].sum()),
                    patients=known["group"].nunique(),
                    **found,
                    val_auroc=_val_auroc(answers, str(label)),
                    **_cost(answers),
                )


def gaps_of(variant: str, ours: Answers, *, folds: int) -> Iterator[Gap]:
    """Compare cross-validation with leaving sources out, on the films that both have."""
    pooled = [answer.test for entry, answer in ours.items() if entry.fold]
    left = [answer.test for entry, answer in ours.items() if not entry.fold]
    if not _whole(ours) or not pooled or not left:
        return
    both = each_once(left).merge(
        each_once(pooled)[["case_id", "label", "logit"]],
        on=["case_id", "label"],
        suffixes=("", "_pooled"),
    )
    for label, films in both[both["truth"].notna()].groupby("label", sort=False):
        truth = films["truth"].to_numpy()
        found = _compare(truth, films["logit_pooled"], films["logit"], films["group"], folds)
        yield Gap(
            variant=variant,
            label=str(label),
            pooled=found["one"],
            left_out=found["other"],
            gap=found["difference"],
        )


def _parts(ours: Answers, by: str) -> Iterator[tuple[str, str, list[EntryAnswer]]]:
    left = {entry: answer for entry, answer in ours.items() if not entry.fold}
    for entry, answer in left.items():
        yield entry.title, "", [answer]
        for name in entry.names if len(entry.names) > 1 else ():
            yield entry.title, name, [answer]
    if len(left) > 1:
        yield EVERYTHING, "", list(left.values())
    pooled = {entry: answer for entry, answer in ours.items() if entry.fold}
    if pooled and _whole(ours):
        yield f"{next(iter(pooled)).folds}-fold cross-validation", "", list(pooled.values())


def _whole(ours: Answers) -> bool:
    folds = [entry for entry in ours if entry.fold]
    return len(folds) == (folds[0].folds if folds else 0)


def _tests(other: Answers, ours: Answers, answers: list[EntryAnswer]) -> pd.Series | None:
    """Return another's logits by (case_id, label) for the entries of ``answers``."""
    entries = [entry for entry, answer in ours.items() if any(answer is one for one in answers)]
    if not all(entry in other for entry in entries):
        return None
    return each_once(other[entry].test for entry in entries).set_index(["case_id", "label"])[
        "logit"
    ]


def _estimates(
    films: pd.DataFrame, rival: pd.Series | None, numbers: pd.Series | None, folds: int
) -> dict[str, Estimate]:
    found = _of_own(films, folds)
    baseline = _aligned(films, numbers)
    measured = baseline.notna().to_numpy()
    nothing = Estimate.undefined(len(films), _NOT_COMPARED)
    found["nuisance_auroc"] = found["difference"] = nothing
    if measured.any():
        some, theirs = films[measured], baseline[measured]
        found["nuisance_auroc"] = _compare(
            some["truth"].to_numpy(), theirs, theirs, some["group"], folds
        )["one"]
    logits = _aligned(films, rival)
    both = logits.notna().to_numpy()
    if both.any():
        some, theirs = films[both], logits[both]
        found["difference"] = _compare(
            some["truth"].to_numpy(), some["logit"], theirs, some["group"], folds
        )["difference"]
    return found


def _aligned(films: pd.DataFrame, logits: pd.Series | None) -> pd.Series:
    if logits is None:
        return pd.Series(np.nan, index=films.index)
    keys = pd.MultiIndex.from_frame(films[["case_id", "label"]])
    return pd.Series(logits.reindex(keys).to_numpy(), index=films.index)


def _of_own(films: pd.DataFrame, folds: int) -> dict[str, Estimate]:
    truth, logit = films["truth"].to_numpy(), films["logit"].to_numpy()
    called, groups = films["called"].to_numpy(bool), films["group"].to_numpy(str)

    def statistics(weights: Floats) -> dict[str, Floats]:
        table = confusion(truth, called, weights)
        return {
            "auroc": auroc(truth, logit, weights),
            "sensitivity": sensitivity(table),
            "specificity": specificity(table),
        }

    missing = why_undefined(truth == 1)
    support = {
        "auroc": Support(truth.size, np.unique(groups).size, missing),
        "sensitivity": _share(truth == 1, groups, missing),
        "specificity": _share(truth == 0, groups, missing),
    }
    found = bootstrap_all(statistics, groups, support, folds=folds)
    return {
        "auroc": found["auroc"],
        "sensitivity": found["sensitivity"],
        "false_positive_rate": _complement(found["specificity"]),
    }


def _share(chosen: np.ndarray, groups: np.ndarray, missing: str) -> Support:
    return Support(int(chosen.sum()), np.unique(groups[chosen]).size, missing, proportion=True)


def _complement(share: Estimate) -> Estimate:
    return share.model_copy(
        update={"value": 1 - share.value, "low": 1 - share.high, "high": 1 - share.low}
    )


def _compare(
    truth: Floats, one: pd.Series, other: pd.Series, groups: pd.Series, folds: int
) -> dict[str, Estimate]:
    ours, theirs = one.to_numpy(np.float64), other.to_numpy(np.float64)

    def statistics(weights: Floats) -> dict[str, Floats]:
        first, second = auroc(truth, ours, weights), auroc(truth, theirs, weights)
        return {"one": first, "other": second, "difference": first - second}

    owners = groups.to_numpy(str)
    rests_on = Support(truth.size, np.unique(owners).size, why_undefined(truth == 1))
    support = dict.fromkeys(("one", "other", "difference"), rests_on)
    return bootstrap_all(statistics, owners, support, folds=folds)


def _val_auroc(answers: list[EntryAnswer], label: str) -> float:
    """Mean over the entries of the AUROC on val."""
    values = []
    for answer in answers:
        val = answer.val[answer.val["label"] == label]
        values.append(float(auroc(val["truth"], val["logit"])))
    return float(np.mean(values)) if values else math.nan


def _cost(answers: list[EntryAnswer]) -> dict[str, float]:
    metrics = [each for answer in answers for each in answer.metrics]
    return {
        "runs": len(metrics),
        "epochs": float(np.mean([each.best_epoch for each in metrics])) if metrics else math.nan,
        "seconds": round(sum(each.seconds for each in metrics), 1),
    }

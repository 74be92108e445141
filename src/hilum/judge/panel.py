"""Panel: every metric of one label, computed together from the same resamples."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.core.estimate import Estimate
from hilum.judge import metrics as m
from hilum.judge.bootstrap import Support, bootstrap_all, exact_if_perfect, why_undefined
from hilum.judge.metrics import Floats, Weights, calibration_intercept, calibration_slope


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric in words.

    Attributes:
        title: as a table heads it.
        meaning: one clause, for a reader who does not know it.
        over: the cases that it rests on.
        proportion: it is a plain share of those cases.
        shown: it has a row in the table of metrics.
    """

    title: str
    meaning: str
    over: str = "both"
    proportion: bool = False
    shown: bool = True


METRICS: dict[str, Definition] = {
    "auroc": Definition("AUROC", "chance that a positive film outscores a negative one"),
    "average_precision": Definition(
        "Average precision", "area under precision and recall; chance is the share of positives"
    ),
    "sensitivity": Definition(
        "Sensitivity", "share of positive films that were called", "positive", True
    ),
    "specificity": Definition(
        "Specificity", "share of negative films that were cleared", "negative", True
    ),
    "ppv": Definition("PPV", "share of calls that are right, at the stated prevalence"),
    "npv": Definition("NPV", "share of clearances that are right, at the stated prevalence"),
    "accuracy": Definition("Accuracy", "share of films called right, in this mix", "all", True),
    "balanced_accuracy": Definition("Balanced accuracy", "mean of sensitivity and specificity"),
    "mcc": Definition("MCC", "Matthews correlation of call and truth; 0 is chance"),
    "brier": Definition(
        "Brier score", "mean squared error of the probability; lower is better", "all"
    ),
    "ece": Definition(
        "ECE",
        "distance of stated and observed frequency, 10 bins; lower is better",
        "all",
    ),
    "calibration_slope": Definition(
        "Calibration slope", "1 is right; below 1 the probabilities are too extreme"
    ),
    "calibration_intercept": Definition(
        "Calibration intercept", "0 is right; above 0 more films are positive than stated"
    ),
    "precision_present": Definition("Precision, positive", "", "called", True, shown=False),
    "f1_present": Definition("F1, positive", "", "all", shown=False),
    "precision_absent": Definition("Precision, negative", "", "cleared", True, shown=False),
    "f1_absent": Definition("F1, negative", "", "all", shown=False),
}
"""Name -> definition, in the order of a report. Recall per class is sensitivity, specificity."""

STRATUM_METRICS = ("auroc", "average_precision", "sensitivity", "specificity")
_CURVES = {"auroc", "average_precision"}
_PROBABILITY: dict[str, Callable[[NDArray[np.bool_], Floats, Weights], Floats]] = {
    "brier": m.brier,
    "ece": m.ece,
    "calibration_slope": calibration_slope,
    "calibration_intercept": calibration_intercept,
}


@dataclass(frozen=True, slots=True)
class ScoredCases:
    """Cases of one label whose truth is known; arrays of one length N.

    Attributes:
        truth: bool, the reference standard says present.
        score, probability: float64 in [0, 1].
        called: bool, score >= threshold.
        groups: patient of each case, as text.
    """

    truth: NDArray[np.bool_]
    score: Floats
    probability: Floats
    called: NDArray[np.bool_]
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        """Cases."""
        return self.truth.size

    def where(self, chosen: NDArray[np.bool_]) -> ScoredCases:
        """The cases chosen by bool (N,)."""
        return ScoredCases(
            self.truth[chosen],
            self.score[chosen],
            self.probability[chosen],
            self.called[chosen],
            self.groups[chosen],
        )


def measure(
    cases: ScoredCases,
    *,
    prevalence: float,
    names: Collection[str] = tuple(METRICS),
    folds: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Estimate the metrics ``names`` with intervals over patients.

    Args:
        prevalence: for PPV and NPV, in (0, 1).
        folds, seed: of the bootstrap.
    """
    found = bootstrap_all(
        lambda weights: _compute(cases, weights, prevalence, names),
        cases.groups,
        {name: support_of(cases, name) for name in names},
        folds=folds if len(cases) else 0,
        seed=seed,
    )
    if "auroc" in found:
        sides = (np.unique(cases.groups[side]).size for side in (cases.truth, ~cases.truth))
        found["auroc"] = exact_if_perfect(found["auroc"], min(sides))
    for name, share, rests in (
        ("ppv", prevalence, ("sensitivity", "specificity")),
        ("npv", 1 - prevalence, ("specificity", "sensitivity")),
    ):
        if {name, *rests} <= found.keys():
            found[name] = _by_exact_ends(found[name], share, *(found[each] for each in rests))
    return {name: found[name] for name in names}


def _by_exact_ends(found: Estimate, share: float, hit: Estimate, clear: Estimate) -> Estimate:
    """Give a predictive value of exactly 1 the low end that follows from those of both shares.

    Args:
        found: PPV or NPV.
        share: of films that have (PPV), or have not (NPV), what is looked for.
        hit, clear: sensitivity and specificity of PPV; the other way round of NPV.
    """
    if found.value != 1 or not np.isnan(found.low) or np.isnan(hit.low + clear.low):
        return found
    right = hit.low * share
    low = right / (right + (1 - clear.low) * (1 - share))
    note = "from the low ends of sensitivity and specificity, as every fold agrees"
    return Estimate(value=1.0, low=low, high=1.0, n=found.n, note=note)


def support_of(cases: ScoredCases, name: str) -> Support:
    """Count the cases and patients that a metric rests on, and say what may be missing."""
    definition = METRICS[name]
    chosen = {
        "positive": cases.truth,
        "negative": ~cases.truth,
        "called": cases.called,
        "cleared": ~cases.called,
    }.get(definition.over, np.ones(len(cases), bool))
    missing = why_undefined(cases.truth)
    if name == "calibration_slope":
        missing = why_no_slope(cases)
    elif missing == "undefined":
        missing = "every call is the same"
    groups = np.unique(cases.groups[chosen]).size
    inflated = _PROBABILITY.get(name) in m.INFLATED
    return Support(int(chosen.sum()), groups, missing, definition.proportion, inflated)


def why_no_slope(cases: ScoredCases) -> str:
    """Say why these cases have no calibration slope, should they have none."""
    missing = why_undefined(cases.truth)
    if missing != "undefined":
        return missing
    alike = np.ptp(cases.probability) < 1e-9
    return "every probability is the same" if alike else "the classes do not overlap"


def _compute(
    cases: ScoredCases, weights: Weights, prevalence: float, names: Collection[str]
) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    if "auroc" in names:
        found["auroc"] = m.auroc(cases.truth, cases.score, weights)
    if "average_precision" in names:
        found["average_precision"] = m.average_precision(cases.truth, cases.score, weights)
    for name, metric in _PROBABILITY.items():
        if name in names:
            found[name] = metric(cases.truth, cases.probability, weights)
    if set(names) - _CURVES - set(_PROBABILITY):
        table = m.confusion(cases.truth, cases.called, weights)
        found |= {
            "sensitivity": m.sensitivity(table),
            "specificity": m.specificity(table),
            "ppv": m.ppv_at(table, prevalence),
            "npv": m.npv_at(table, prevalence),
            "accuracy": m.accuracy(table),
            "balanced_accuracy": m.balanced_accuracy(table),
            "mcc": m.mcc(table),
            "precision_present": m.precision(table),
            "f1_present": m.f1(table),
            "precision_absent": m.precision(table.flipped),
            "f1_absent": m.f1(table.flipped),
        }
    return {name: found[name] for name in names}

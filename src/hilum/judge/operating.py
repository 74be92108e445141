"""Operating points: choose a threshold on validation cases, and say what it costs."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hilum.core.errors import CohortError, ConfigError
from hilum.core.labels import Label
from hilum.judge.calibration import OperatingPoint
from hilum.judge.metrics import Floats
from hilum.judge.panel import Scored, measure

Rule = Literal["youden", "sensitivity", "specificity"]


def choose_operating_point(
    truth: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike,
    *,
    label: Label,
    name: str,
    chosen_on: str,
    rule: Rule = "youden",
    target: float = 0.9,
    folds: int = 1000,
    seed: int = 0,
) -> OperatingPoint:
    """Choose a threshold and measure it on the same cases (validation, never test).

    Args:
        truth: (N,) 1, 0 or NaN; NaN is left out.
        score: (N,) in [0, 1].
        groups: (N,) patient of each case.
        chosen_on: the cases in words: "val of default split, 4 sources".
        rule: "youden": largest sensitivity + specificity - 1 (Youden, Cancer 1950); else the
            threshold that reaches ``target`` of the named metric and loses least of the other.

    Raises:
        CohortError: the known cases hold one class only.
        ConfigError: ``target`` is not in (0, 1].
    """
    truths, scores = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    known = ~np.isnan(truths)
    present, scores, owners = truths[known] == 1, scores[known], np.asarray(groups)[known]
    threshold = choose_threshold(present, scores, rule=rule, target=target)
    cases = Scored(present, scores, scores, scores >= threshold, owners.astype(str))
    both = ("sensitivity", "specificity")
    cost = measure(cases, prevalence=0.5, names=both, folds=folds, seed=seed)
    return OperatingPoint(
        name=name,
        label=label,
        threshold=threshold,
        sensitivity=cost["sensitivity"],
        specificity=cost["specificity"],
        chosen_on=chosen_on,
        rule="largest Youden index" if rule == "youden" else f"{rule} of at least {target:g}",
    )


def choose_threshold(
    truth: ArrayLike, score: ArrayLike, *, rule: Rule = "youden", target: float = 0.9
) -> float:
    """Return the threshold on the score that ``rule`` asks for; present is score >= threshold.

    It lies midway between two neighboring scores, so that rounding in another engine does not
    flip a case that stands on it.

    >>> choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9])
    0.5
    """
    if not 0 < target <= 1:
        raise ConfigError(f"target {target:g}; expected a number above 0 and at most 1")
    present, scores = np.asarray(truth, bool), np.asarray(score, np.float64)
    if present.all() or not present.any():
        raise CohortError(
            f"{present.size} cases of one class; an operating point needs both",
            hint="choose it on cases with and without the label",
        )
    levels, sens, spec = _tradeoff(present, scores)
    return _midway(levels, _pick(sens, spec, rule, target))


def _tradeoff(present: np.ndarray, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct scores, ascending, with sensitivity and specificity when each is the threshold."""
    levels = np.unique(scores)
    positives, negatives = np.sort(scores[present]), np.sort(scores[~present])
    sens = 1 - np.searchsorted(positives, levels, side="left") / positives.size
    spec = np.searchsorted(negatives, levels, side="left") / negatives.size
    return levels, sens, spec


def _pick(sens: Floats, spec: Floats, rule: Rule, target: float) -> int:
    if rule == "sensitivity":  # the highest threshold that still finds enough
        return int(np.flatnonzero(sens >= target - 1e-12)[-1])
    if rule == "specificity":  # the lowest threshold that clears enough, else the strictest
        enough = np.flatnonzero(spec >= target - 1e-12)
        return int(enough[0]) if enough.size else sens.size - 1
    return int(np.argmax(sens + spec))


def _midway(levels: Floats, index: int) -> float:
    return float(levels[index] if index == 0 else (levels[index - 1] + levels[index]) / 2)

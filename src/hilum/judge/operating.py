"""Operating points: choose a threshold on validation cases, and say what it costs, by source."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.core.config import did_you_mean
from hilum.core.errors import CohortError, ConfigError
from hilum.core.estimate import Estimate
from hilum.core.labels import Label
from hilum.judge.calibration import OperatingPoint, SourceCost, scored
from hilum.judge.metrics import Floats
from hilum.judge.panel import ScoredCases, measure

Rule = Literal["youden", "sensitivity", "specificity", "worst-source"]

LEAST_OF_SOURCE = 20
"""Films of a class that a source needs before its share of errors counts for or against a point."""


def choose_operating_point(
    truth: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike,
    *,
    label: Label,
    name: str,
    chosen_on: str,
    sources: ArrayLike | None = None,
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
        sources: (N,) where each case comes from; the point then says what it costs on each source
            with at least ``LEAST_OF_SOURCE`` films of a class.
        rule: "youden": largest sensitivity + specificity - 1 (Youden, Cancer 1950);
            "worst-source": the same, among thresholds whose specificity is at least ``target`` on
            every such source that has negatives alone; else the threshold that reaches ``target``
            of the named metric and loses least of the other.

    Raises:
        CohortError: the known cases hold one class only, a truth is not 1, 0 or NaN, or a score of
            a known one not in [0, 1].
        ConfigError: ``target`` is not in (0, 1], or the rule is none.
    """
    truths, scores = scored(truth, score)
    known = ~np.isnan(truths)
    present, scores, owners = truths[known] == 1, scores[known], np.asarray(groups)[known]
    places = None if sources is None else np.asarray(sources)[known].astype(str)
    threshold = choose_threshold(present, scores, rule=rule, target=target, sources=places)
    cases = ScoredCases(present, scores, scores, scores >= threshold, owners.astype(str))
    cost = measure(cases, prevalence=0.5, names=_BOTH, folds=folds, seed=seed)
    return OperatingPoint(
        name=name,
        label=label,
        threshold=threshold,
        sensitivity=cost["sensitivity"],
        specificity=cost["specificity"],
        chosen_on=chosen_on,
        rule=_in_words(rule, target),
        sources=() if places is None else cost_by_source(cases, places, folds=folds, seed=seed),
    )


_BOTH = ("sensitivity", "specificity")


def cost_by_source(
    cases: ScoredCases, sources: NDArray[np.str_], *, folds: int = 1000, seed: int = 0
) -> tuple[SourceCost, ...]:
    """Measure sensitivity and specificity on each source with ``LEAST_OF_SOURCE`` of a class."""
    rows = []
    for source in np.unique(sources):
        part = cases.where(sources == source)
        counts = {"sensitivity": int(part.truth.sum()), "specificity": int((~part.truth).sum())}
        names = [name for name in _BOTH if counts[name] >= LEAST_OF_SOURCE]
        if not names:
            continue
        found = measure(part, prevalence=0.5, names=names, folds=folds, seed=seed)
        few = f"fewer than {LEAST_OF_SOURCE} films"
        missing = {n: Estimate.undefined(counts[n], few) for n in _BOTH if n not in names}
        positives, negatives = counts.values()
        rows.append(
            SourceCost(
                source=str(source), positives=positives, negatives=negatives, **found, **missing
            )
        )
    return tuple(rows)


def choose_threshold(
    truth: ArrayLike,
    score: ArrayLike,
    *,
    rule: Rule = "youden",
    target: float = 0.9,
    sources: ArrayLike | None = None,
) -> float:
    """Return the threshold on the score that ``rule`` asks for; present is score >= threshold.

    It lies midway between two neighboring scores, so that rounding in another engine does not
    flip a case that stands on it.

    >>> choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9])
    0.5
    """
    if rule not in get_args(Rule):
        raise ConfigError(f"no rule '{rule}'", hint=did_you_mean(rule, get_args(Rule)))
    if not 0 < target <= 1:
        raise ConfigError(f"target {target:g}; expected a number above 0 and at most 1")
    present, scores = np.asarray(truth, bool), np.asarray(score, np.float64)
    if present.all() or not present.any():
        raise CohortError(
            f"{present.size} cases of one class; an operating point needs both",
            hint="choose it on cases with and without the label",
        )
    levels, sens, spec = _tradeoff(present, scores)
    if rule == "worst-source":
        first = _cleared_everywhere(levels, present, scores, sources, target)
        return _midway(levels, first + int(np.argmax((sens + spec)[first:])))
    return _midway(levels, _pick(sens, spec, rule, target))


def _cleared_everywhere(
    levels: Floats, present: np.ndarray, scores: Floats, sources: ArrayLike | None, target: float
) -> int:
    """Return the place of the lowest level that clears ``target`` of each source of negatives."""
    if sources is None:
        raise ConfigError("the rule 'worst-source' needs the source of each case")
    places, first = np.asarray(sources), 0
    for source in np.unique(places):
        here = places == source
        if here.sum() < LEAST_OF_SOURCE or present[here].any():
            continue
        spec = np.searchsorted(np.sort(scores[here]), levels, side="left") / here.sum()
        enough = np.flatnonzero(spec >= target - 1e-12)
        first = max(first, int(enough[0]) if enough.size else levels.size - 1)
    return first


def _in_words(rule: Rule, target: float) -> str:
    if rule == "youden":
        return "largest Youden index"
    if rule == "worst-source":
        return (
            "largest Youden index with a specificity of at least "
            f"{target:g} on every source of negatives alone"
        )
    return f"{rule} of at least {target:g}"


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

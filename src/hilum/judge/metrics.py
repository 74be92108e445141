"""Metrics: pure functions of truths, scores and weights, many resamples at once.

Every function takes ``weights`` of shape (N,) or (B, N), how often each case counts, and returns
shape () or (B,): one value a resample. That is the whole bootstrap: a patient drawn twice weighs
two, and a thousand resamples are one sort and a few matrix products (``hilum.judge.bootstrap``).

Truths are 1, 0 or NaN; NaN is unknown and left out. A metric that is undefined is NaN.

Calibration slope and intercept are the line between what was stated and what was seen: a logistic
regression of the truth on the logit of the probability (Cox, Biometrika 1958; Van Calster et al.,
BMC Medicine 2019). All resamples take one batched Newton iteration, not a thousand regressions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.judge.calibration import EDGE

Floats = NDArray[np.float64]
Weights = NDArray[np.float64]


def auroc(truth: ArrayLike, score: ArrayLike, weights: Weights | None = None) -> Floats:
    """Area under the ROC curve: the chance that a present case outscores an absent one.

    A tie counts one half (Mann-Whitney U; Hanley and McNeil, Radiology 1982). In [0, 1];
    NaN where one class has no weight.

    Args:
        truth: (N,) 1, 0 or NaN.
        score: (N,) any finite number, higher = more likely present.
        weights: (N,) or (B, N), at least 0; None counts each case once.

    Returns:
        float64 () or (B,).

    >>> float(auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    present, ordered, weights = _descending(truth, score, weights)
    positive, negative = _by_tie(present, ordered, weights)
    below = negative.sum(-1, keepdims=True) - np.cumsum(negative, axis=-1)
    wins = (positive * (below + negative / 2)).sum(-1)
    return _ratio(wins, positive.sum(-1) * negative.sum(-1))


def average_precision(
    truth: ArrayLike,
    score: ArrayLike,
    weights: Weights | None = None,
    *,
    interpolated: bool = False,
) -> Floats:
    """Average precision: the sum over thresholds of precision times the gain in recall.

    In [0, 1]; chance level is the share of present cases, so it does not compare across cohorts.
    NaN without a present case. Arguments and shapes as in ``auroc``; ``interpolated`` takes the
    best precision at each recall or any higher one, as challenges do (PASCAL VOC 2010).

    >>> round(float(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    present, ordered, weights = _descending(truth, score, weights)
    positive, negative = _by_tie(present, ordered, weights)
    found = np.cumsum(positive, axis=-1)
    called = found + np.cumsum(negative, axis=-1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    if interpolated:
        precision = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    return _ratio((positive * precision).sum(-1), positive.sum(-1))


def roc_curve(
    truth: ArrayLike, score: ArrayLike, weights: Weights | None = None
) -> tuple[Floats, Floats]:
    """False and true positive rates from the strictest threshold to the loosest.

    Returns:
        (1 - specificity, sensitivity), each float64 (T + 1,) or (B, T + 1) from 0 to 1, for T
        distinct scores; NaN where a class has no weight.
    """
    present, ordered, weights = _descending(truth, score, weights)
    positive, negative = _by_tie(present, ordered, weights)
    return _cumulative_share(negative), _cumulative_share(positive)


def precision_recall_curve(truth: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats]:
    """Precision and recall from the strictest threshold to the loosest, each float64 (T,)."""
    present, ordered, weights = _descending(truth, score, None)
    positive, negative = _by_tie(present, ordered, weights)
    found = np.cumsum(positive, axis=-1)
    return found / np.maximum(found + np.cumsum(negative), 1), _cumulative_share(positive)[1:]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts at one threshold, each float64 () or (B,): called and is, called and is not, ..."""

    true_positive: Floats
    false_positive: Floats
    false_negative: Floats
    true_negative: Floats

    @property
    def flipped(self) -> Confusion:
        """The same table with "absent" as the class that is looked for."""
        return Confusion(
            self.true_negative, self.false_negative, self.false_positive, self.true_positive
        )

    @property
    def total(self) -> Floats:
        """All cases."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative


def confusion(truth: ArrayLike, present: ArrayLike, weights: Weights | None = None) -> Confusion:
    """Count calls against truths.

    Args:
        truth: (N,) 1, 0 or NaN.
        present: (N,) bool, what the reader called.
        weights: as in ``auroc``.
    """
    is_present, calls, weights = _known(truth, present, weights)
    called = calls == 1
    cells = (
        is_present & called,
        ~is_present & called,
        is_present & ~called,
        ~is_present & ~called,
    )
    counts = weights @ np.stack(cells, axis=1).astype(np.float64)
    return Confusion(counts[..., 0], counts[..., 1], counts[..., 2], counts[..., 3])


def sensitivity(table: Confusion) -> Floats:
    """Share of present cases that were called (recall); NaN without a present case."""
    return _ratio(table.true_positive, table.true_positive + table.false_negative)


def specificity(table: Confusion) -> Floats:
    """Share of absent cases that were cleared; NaN without an absent case."""
    return sensitivity(table.flipped)


def precision(table: Confusion) -> Floats:
    """Share of calls that are right, at the prevalence of these cases; NaN without a call."""
    return _ratio(table.true_positive, table.true_positive + table.false_positive)


def f1(table: Confusion) -> Floats:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); NaN where that is 0 / 0."""
    twice = 2 * table.true_positive
    return _ratio(twice, twice + table.false_positive + table.false_negative)


def accuracy(table: Confusion) -> Floats:
    """Share of cases called right."""
    return _ratio(table.true_positive + table.true_negative, table.total)


def balanced_accuracy(table: Confusion) -> Floats:
    """Mean of sensitivity and specificity; NaN with one class only."""
    return (sensitivity(table) + specificity(table)) / 2


def mcc(table: Confusion) -> Floats:
    """Matthews correlation coefficient, in [-1, 1]; NaN where a row or column is empty.

    Matthews, Biochimica et Biophysica Acta 1975; Chicco and Jurman, BMC Genomics 2020.
    """
    tp, fp = table.true_positive, table.false_positive
    fn, tn = table.false_negative, table.true_negative
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return _ratio(tp * tn - fp * fn, np.sqrt(margins))


def ppv_at(table: Confusion, prevalence: float) -> Floats:
    """Positive predictive value at a stated ``prevalence`` in (0, 1), by Bayes' rule.

    Carries sensitivity and specificity over to another mix of cases, which holds only if the
    cases themselves are alike (no spectrum effect).

    >>> table = confusion([1, 1, 0, 0], [True, True, True, False])
    >>> round(float(ppv_at(table, 0.05)), 4)  # 0.05 / (0.05 + 0.5 x 0.95)
    0.0952
    """
    hit = sensitivity(table) * prevalence
    return _ratio(hit, hit + (1 - specificity(table)) * (1 - prevalence))


def npv_at(table: Confusion, prevalence: float) -> Floats:
    """Negative predictive value at a stated ``prevalence`` in (0, 1); see ``ppv_at``."""
    return ppv_at(table.flipped, 1 - prevalence)


def brier(truth: ArrayLike, probability: ArrayLike, weights: Weights | None = None) -> Floats:
    """Mean squared distance of probability and truth; 0 is perfect, 0.25 is saying 0.5 always.

    Brier, Monthly Weather Review 1950.
    """
    present, chance, weights = _known(truth, probability, weights)
    return _ratio(weights @ (chance - present) ** 2, weights.sum(-1))


def ece(
    truth: ArrayLike, probability: ArrayLike, weights: Weights | None = None, *, bins: int = 10
) -> Floats:
    """Expected calibration error: mean distance of stated and observed frequency over bins.

    ``bins`` of equal width over [0, 1], each closed on the right, weighted by its cases (Naeini
    et al., AAAI 2015). In [0, 1]. Biased upward when bins hold few cases.
    """
    present, chance, weights = _known(truth, probability, weights)
    member = bin_of(chance, bins)[:, None] == np.arange(bins)
    gap = weights @ (member * (chance - present)[:, None])
    return _ratio(np.abs(gap).sum(-1), weights.sum(-1))


INFLATED: frozenset[object] = frozenset({ece})
"""Metrics that chance makes larger, never smaller; their intervals are of another kind."""


def bin_of(probability: Floats, bins: int) -> NDArray[np.intp]:
    """Return which of ``bins`` equal bins of [0, 1], closed on the right, holds each value."""
    edges = np.linspace(0, 1, bins + 1)
    return np.searchsorted(edges[1:-1], probability, side="left")


def _known(
    truth: ArrayLike, values: ArrayLike, weights: Weights | None
) -> tuple[NDArray[np.bool_], Floats, Weights]:
    truths = np.asarray(truth, np.float64)
    numbers = np.asarray(values, np.float64)
    weights = np.ones(truths.shape) if weights is None else weights
    known = ~np.isnan(truths)
    if known.all():
        return truths == 1, numbers, weights
    return truths[known] == 1, numbers[known], weights[..., known]


def _descending(
    truth: ArrayLike, score: ArrayLike, weights: Weights | None
) -> tuple[NDArray[np.bool_], Floats, Weights]:
    present, numbers, weights = _known(truth, score, weights)
    order = np.argsort(-numbers, kind="stable")
    return present[order], numbers[order], weights[..., order]


def _by_tie(present: NDArray[np.bool_], ordered: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Sum the weight of each class at every distinct score: two arrays (..., T)."""
    positive, negative = weights * present, weights * ~present
    starts = np.flatnonzero(np.diff(ordered, prepend=np.nan) != 0)
    if len(starts) == len(ordered):
        return positive, negative
    return np.add.reduceat(positive, starts, axis=-1), np.add.reduceat(negative, starts, axis=-1)


def _cumulative_share(weight: Floats) -> Floats:
    total = weight.sum(-1, keepdims=True)
    share = _ratio(np.cumsum(weight, axis=-1), np.broadcast_to(total, weight.shape))
    first = np.where(total > 0, 0.0, np.nan)
    return np.concatenate([first, share], axis=-1)


def _ratio(above: Floats, below: Floats) -> Floats:
    above, below = np.asarray(above), np.asarray(below)
    undefined = np.full(below.shape, np.nan)
    return np.asarray(np.divide(above, below, out=undefined, where=below > 0))


_STEPS = 400
_FREE = 60  # steps; then each may go less far, so that none circles the maximum for good
_SETTLED = 1e-9
_ALIKE = 1e-9  # logits closer than this are one
_FARTHEST = 2.0  # of one Newton step, in standard deviations of the logit


def calibration_slope(
    truth: ArrayLike, probability: ArrayLike, weights: Weights | None = None
) -> Floats:
    """Slope of the truth on the logit of the probability; 1 is perfect.

    Below 1 the probabilities are too extreme (overconfident), above 1 too timid. NaN where one
    class has no weight, where every probability is the same, or where the classes do not overlap:
    the slope of most likelihood is then infinite (Albert and Anderson, Biometrika 1984).

    Args:
        truth: (N,) 1 or 0, or bool.
        probability: (N,) in [0, 1].
        weights: (N,) or (B, N), at least 0; None counts each case once.

    Returns:
        float64 () or (B,).
    """
    present, logit, weights, batched = _prepared(truth, probability, weights)
    slope = np.full(len(weights), np.nan)
    overlap = _overlap(present == 1, logit, weights)
    if overlap.any():
        weights, spread = weights[overlap], float(logit.std())
        design = np.stack([np.ones(logit.size), (logit - logit.mean()) / spread])
        start = _newton(design, 0.0, present, np.ones((1, logit.size)), np.zeros((1, 2)))
        found = _newton(design, 0.0, present, weights, np.repeat(start, len(weights), axis=0))
        slope[overlap] = found[:, 1] / spread
    return slope if batched else slope[0]


def calibration_intercept(
    truth: ArrayLike, probability: ArrayLike, weights: Weights | None = None
) -> Floats:
    """Calibration in the large: the shift of the logit that makes the mean right; 0 is perfect.

    Above 0 there are more positives than the probabilities say, below 0 fewer; another prevalence
    alone moves it by the difference of the logits of the prevalences. NaN where one class has no
    weight. Arguments and shapes as in ``calibration_slope``.
    """
    present, logit, weights, batched = _prepared(truth, probability, weights)
    shift = np.full(len(weights), np.nan)
    both = (weights @ present > 0) & (weights @ (1 - present) > 0)
    if both.any():
        weights, ones = weights[both], np.ones((1, logit.size))
        start = _newton(ones, logit, present, ones, np.zeros((1, 1)))
        found = _newton(ones, logit, present, weights, np.repeat(start, len(weights), axis=0))
        shift[both] = found[:, 0]
    return shift if batched else shift[0]


def _newton(
    design: Floats, offset: Floats | float, present: Floats, weights: Weights, numbers: Floats
) -> Floats:
    """Maximize the weighted likelihood of logit = numbers @ design + offset, row by row.

    Args:
        design: (K, N).
        offset: (N,) or 0.
        present: (N,) 1 or 0.
        weights: (B, N).
        numbers: (B, K) to start from.
    """
    for done in range(_STEPS):
        farthest = _FARTHEST * 0.97 ** max(0, done - _FREE)
        chance = 0.5 * (1 + np.tanh(0.5 * (numbers @ design + offset)))
        gradient = (weights * (present - chance)) @ design.T
        spread = weights * (chance * (1 - chance))
        curvature = np.einsum("bn,in,jn->bij", spread, design, design, optimize=True)
        curvature += 1e-12 * np.eye(len(design))
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        numbers = numbers + np.clip(step, -farthest, farthest)
        if np.abs(step).max() < _SETTLED:
            break
    return numbers


def _prepared(
    truth: ArrayLike, probability: ArrayLike, weights: Weights | None
) -> tuple[NDArray[np.float64], Floats, Weights, bool]:
    present = np.asarray(truth, np.float64)
    chance = np.clip(np.asarray(probability, np.float64), EDGE, 1 - EDGE)
    given = np.ones(present.shape) if weights is None else weights
    return present, np.log(chance) - np.log1p(-chance), np.atleast_2d(given), given.ndim == 2


def _overlap(present: NDArray[np.bool_], logit: Floats, weights: Weights) -> NDArray[np.bool_]:
    """Whether, row by row, the logits of the two classes overlap in more than one value."""

    def ends(chosen: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        counted, values = weights[:, chosen] > 0, logit[chosen]
        low = np.where(counted, values, np.inf).min(axis=-1, initial=np.inf)
        return low, np.where(counted, values, -np.inf).max(axis=-1, initial=-np.inf)

    (low, high), (low_absent, high_absent) = ends(present), ends(~present)
    return (low < high_absent - _ALIKE) & (low_absent < high - _ALIKE)

"""Calibration slope and intercept: the line between what was stated and what was seen.

Both come from a logistic regression of the truth on the logit of the probability (Cox, Biometrika
1958; Van Calster et al., BMC Medicine 2019). As the metrics of ``hilum.judge.metrics`` they take a
matrix of weights, one row a resample, so that their intervals cost one batched Newton iteration
and not a thousand regressions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.judge.calibration import EDGE
from hilum.judge.metrics import Floats, Weights

_STEPS = 60
_SETTLED = 1e-9
_FARTHEST = 2.0  # of one Newton step, in standard deviations of the logit
_SEPARATED = 50.0  # a slope beyond this runs to infinity: the classes do not overlap


def calibration_slope(
    truth: ArrayLike, probability: ArrayLike, weights: Weights | None = None
) -> Floats:
    """Slope of the truth on the logit of the probability; 1 is perfect.

    Below 1 the probabilities are too extreme (overconfident), above 1 too timid. NaN where one
    class has no weight, where every probability is the same, or where the classes do not overlap.

    Args:
        truth: (N,) 1 or 0, or bool.
        probability: (N,) in [0, 1].
        weights: (N,) or (B, N), at least 0; None counts each case once.

    Returns:
        float64 () or (B,).
    """
    present, logit, weights, batched = _prepared(truth, probability, weights)
    spread = float(logit.std())
    if spread < 1e-9 or present.all() or not present.any():
        return _undefined(weights, batched)
    design = np.stack([np.ones(logit.size), (logit - logit.mean()) / spread])
    start = _newton(design, 0.0, present, np.ones((1, logit.size)), np.zeros((1, 2)))
    found = _newton(design, 0.0, present, weights, np.repeat(start, len(weights), axis=0))
    slope = found[:, 1] / spread
    slope[_one_class(present, weights) | ~(np.abs(slope) < _SEPARATED)] = np.nan
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
    if present.all() or not present.any():
        return _undefined(weights, batched)
    ones = np.ones((1, logit.size))
    start = _newton(ones, logit, present, ones, np.zeros((1, 1)))
    found = _newton(ones, logit, present, weights, np.repeat(start, len(weights), axis=0))[:, 0]
    found[_one_class(present, weights)] = np.nan
    return found if batched else found[0]


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
    for _ in range(_STEPS):
        chance = 0.5 * (1 + np.tanh(0.5 * (numbers @ design + offset)))
        gradient = (weights * (present - chance)) @ design.T
        spread = weights * (chance * (1 - chance))
        curvature = np.einsum("bn,in,jn->bij", spread, design, design, optimize=True)
        curvature += 1e-12 * np.eye(len(design))
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        numbers = numbers + np.clip(step, -_FARTHEST, _FARTHEST)
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


def _one_class(present: Floats, weights: Weights) -> NDArray[np.bool_]:
    return ((weights @ present) <= 0) | ((weights @ (1 - present)) <= 0)


def _undefined(weights: Weights, batched: bool) -> Floats:
    return np.full(len(weights), np.nan) if batched else np.asarray(np.nan)

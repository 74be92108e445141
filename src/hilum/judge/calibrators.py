"""Calibrators: fit a calibration, and choose the method by what it scores on other patients.

The three methods of the sigmoid family minimize log loss, which is convex, by one bounded optimizer
(SciPy's L-BFGS-B). Truths are pulled in by Platt's correction, to (n+ + 1)/(n+ + 2) and
1/(n- + 2), so that a score which separates the classes completely still gives finite numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.core.config import did_you_mean
from hilum.core.errors import CohortError, ConfigError
from hilum.core.extras import require
from hilum.judge.calibration import EDGE, Calibration, Candidate, Method
from hilum.judge.metrics import Floats

Asked = Method | Literal["auto"]

ISOTONIC_FROM = 1000
"""Cases below which isotonic regression overfits (Niculescu-Mizil and Caruana, ICML 2005)."""

LEAST_PER_CLASS = 20
"""Patients of each class below which nothing is fitted: the loss of three numbers cannot be told
from chance, and each fold of the comparison would hold fewer than four."""

FOLDS = 5


def fit_calibration(
    truth: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike,
    *,
    fitted_on: str,
    method: Asked = "auto",
    seed: int = 0,
) -> Calibration:
    """Fit a calibration of one label.

    Args:
        truth: (N,) 1, 0 or NaN; NaN is left out.
        score: (N,) in [0, 1].
        groups: (N,) patient of each case.
        fitted_on: the cases in words.
        method: "auto" compares by log loss, cross-validated by patient, and takes the simplest
            method that is within one standard error of the best; the simplest is the identity.
            Isotonic needs ``ISOTONIC_FROM`` cases. "identity" fits nothing.
        seed: of the folds.

    Returns:
        The calibration; the identity, with a note, where a class has fewer than
        ``LEAST_PER_CLASS`` patients.

    Raises:
        ConfigError: an unknown method.
        CohortError: the arrays differ in length.
    """
    require("evaluate")
    present, scores, owners = known_cases(truth, score, groups)
    fewest = min(patients_of(present, owners))
    if method == "identity" or fewest < LEAST_PER_CLASS:
        few = f"{fewest} patients of one class; a calibration needs {LEAST_PER_CLASS} of each"
        return Calibration(note="" if method == "identity" else few)
    choice = _compare(present, scores, owners, seed) if method == "auto" else ()
    fitted = FITTERS[_simplest(choice) if method == "auto" else _checked(method)](present, scores)
    facts = {"fitted_on": fitted_on, "prevalence": float(present.mean()), "choice": choice}
    return fitted.model_copy(update=facts)


def known_cases(
    truth: ArrayLike, score: ArrayLike, groups: ArrayLike
) -> tuple[NDArray[np.bool_], Floats, NDArray[np.str_]]:
    """Return (present, score, patient) of the cases whose truth is known.

    Raises:
        CohortError: the arrays differ in length.
    """
    truths, scores = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    owners = np.asarray(groups).astype(str)
    if not truths.shape == scores.shape == owners.shape:
        raise CohortError(f"{truths.size} truths, {scores.size} scores, {owners.size} patients")
    known = ~np.isnan(truths)
    return truths[known] == 1, scores[known], owners[known]


def patients_of(present: NDArray[np.bool_], owners: NDArray[np.str_]) -> tuple[int, int]:
    """Count the patients with a positive film, and those with a negative one."""
    return np.unique(owners[present]).size, np.unique(owners[~present]).size


def log_losses(present: NDArray[np.bool_], probability: Floats) -> Floats:
    """Return -ln of the probability of what is true, each case; at most -ln(``EDGE``)."""
    stated: Floats = np.where(present, probability, 1 - probability)
    return np.asarray(-np.log(np.maximum(stated, EDGE)))


def patient_folds(
    present: NDArray[np.bool_], owners: NDArray[np.str_], *, folds: int = FOLDS, seed: int = 0
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield (fit, held out) indices; no patient is in both, classes are in proportion."""
    from sklearn.model_selection import StratifiedGroupKFold

    folder = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a class with few patients: the folds are what they can be
        warnings.simplefilter("ignore", UserWarning)
        yield from folder.split(np.zeros(present.size), present, owners)


def _compare(
    present: NDArray[np.bool_], scores: Floats, owners: NDArray[np.str_], seed: int
) -> tuple[Candidate, ...]:
    """Cross-validate every method, by patient; from the simplest to the freest."""
    names = [n for n in FITTERS if n != "isotonic" or present.size >= ISOTONIC_FROM]
    stated = {name: np.empty(scores.shape) for name in names}
    for fit, held in patient_folds(present, owners, seed=seed):
        for name in names:
            stated[name][held] = FITTERS[name](present[fit], scores[fit])(scores[held])
    losses = {name: log_losses(present, chance) for name, chance in stated.items()}
    best = losses[min(names, key=lambda name: losses[name].mean())]
    return tuple(
        Candidate(
            method=name,
            log_loss=float(losses[name].mean()),
            brier=float(np.mean((stated[name] - present) ** 2)),
            excess=float((losses[name] - best).mean()),
            excess_error=_clustered_error(losses[name] - best, owners),
        )
        for name in names
    )


def _clustered_error(values: Floats, owners: NDArray[np.str_]) -> float:
    """Return the standard error of the mean of ``values`` over patients, not films."""
    _, index = np.unique(owners, return_inverse=True)
    sums = np.bincount(index, weights=values - values.mean())
    return float(np.sqrt(np.sum(sums**2) * sums.size / max(sums.size - 1, 1)) / values.size)


def _simplest(choice: tuple[Candidate, ...]) -> Method:
    return next(c.method for c in choice if c.excess <= c.excess_error)


def _checked(method: Method) -> Method:
    if method not in FITTERS:
        hint = did_you_mean(method, ["auto", *FITTERS])
        raise ConfigError(f"calibration method '{method}' is not known", hint=hint)
    return method


def _identity(present: NDArray[np.bool_], scores: Floats) -> Calibration:
    return Calibration()


def _temperature(present: NDArray[np.bool_], scores: Floats) -> Calibration:
    rising, falling = _logs(scores)
    (slope,) = _least_loss([rising + falling], present)
    return Calibration(method="temperature", a=slope, b=slope)


def _platt(present: NDArray[np.bool_], scores: Floats) -> Calibration:
    rising, falling = _logs(scores)
    slope, shift = _least_loss([rising + falling], present, shift=True)
    return Calibration(method="platt", a=slope, b=slope, c=shift)


def _beta(present: NDArray[np.bool_], scores: Floats) -> Calibration:
    a, b, c = _least_loss(list(_logs(scores)), present, shift=True)
    return Calibration(method="beta", a=a, b=b, c=c)


def _isotonic(present: NDArray[np.bool_], scores: Floats) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, present)
    seen = np.maximum.accumulate(np.clip(fitted.y_thresholds_, 0, 1))
    knots = zip(fitted.X_thresholds_.tolist(), seen.tolist(), strict=True)
    return Calibration(method="isotonic", knots=tuple(knots))


FITTERS: dict[Method, Callable[[NDArray[np.bool_], Floats], Calibration]] = {
    "identity": _identity,
    "temperature": _temperature,
    "platt": _platt,
    "beta": _beta,
    "isotonic": _isotonic,
}
"""Method -> its fit, from the simplest to the freest."""


def _logs(scores: Floats) -> tuple[Floats, Floats]:
    clipped = np.clip(scores, EDGE, 1 - EDGE)
    return np.log(clipped), -np.log1p(-clipped)


def _least_loss(
    columns: list[Floats], present: NDArray[np.bool_], *, shift: bool = False
) -> list[float]:
    """Return the slopes of ``columns``, each at least 0, and the shift, of least log loss."""
    from scipy.optimize import minimize

    design = np.stack([*columns, np.ones(present.size)] if shift else columns)
    positives = int(present.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (present.size - positives + 2)
    target = np.where(present, high, low)

    def loss(numbers: Floats) -> tuple[float, Floats]:
        logit = numbers @ design
        error = 0.5 * (1 + np.tanh(0.5 * logit)) - target
        return float(np.mean(np.logaddexp(0, logit) - target * logit)), design @ error / target.size

    bounds: list[Any] = [(0, None)] * len(columns) + [(None, None)] * shift
    start = [1.0] * len(columns) + [0.0] * shift
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return [float(number) for number in found.x]

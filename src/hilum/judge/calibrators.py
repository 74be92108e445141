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
from hilum.judge.calibration import EDGE, Calibration, Candidate, Method, alike, scored
from hilum.judge.metrics import Floats

Asked = Method | Literal["auto"]

ISOTONIC_FROM = 1000
"""Cases below which isotonic regression overfits (Niculescu-Mizil and Caruana, ICML 2005)."""

SOURCES_TELL = 0.01
"""Log loss on sources left out below which two methods are taken as alike: of a handful of sources
no standard error can be told."""

LEAST_PER_CLASS = 20
"""Patients of each class below which nothing is fitted: the loss of three numbers cannot be told
from chance, and each fold of the comparison would hold fewer than four."""

FOLDS = 5

NO_RANK = "the score does not rank these films; the probability is the same for all"


def fit_calibration(
    truth: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike,
    *,
    fitted_on: str,
    sources: ArrayLike | None = None,
    method: Asked = "auto",
    seed: int = 0,
) -> Calibration:
    """Fit a calibration of one label.

    Args:
        truth: (N,) 1, 0 or NaN; NaN is left out.
        score: (N,) in [0, 1].
        groups: (N,) patient of each case.
        fitted_on: the cases in words.
        sources: (N,) where each case comes from: then every source counts alike within a class
            (``alike``), and "auto" takes the simplest method that is within ``SOURCES_TELL`` of the
            best on sources that it was not fitted on (on patients, where too few can be spared).
            Isotonic, whose knots are those of the sources, is not tried. None: every case counts
            alike.
        method: "auto" compares by log loss, cross-validated by patient, and takes the simplest
            method that is within one standard error of the best; the simplest is the identity.
            Isotonic needs ``ISOTONIC_FROM`` cases. "identity" fits nothing.
        seed: of the folds.

    Returns:
        The calibration; the identity, with a note, where a class has fewer than
        ``LEAST_PER_CLASS`` patients. A score that runs backward is flattened, with a note.

    Raises:
        ConfigError: an unknown method.
        CohortError: the arrays differ in length, a truth is not 1, 0 or NaN, or a score of a known
            one not in [0, 1].
    """
    require("evaluate")
    check_method(method)
    present, scores, owners = known_cases(truth, score, groups)
    places = None if sources is None else known_cases(truth, score, sources)[2]
    fewest = min(patients_of(present, owners))
    if method == "identity" or fewest < LEAST_PER_CLASS:
        few = f"{fewest} patients of one class; a calibration needs {LEAST_PER_CLASS} of each"
        return Calibration(note="" if method == "identity" else few)
    choice: tuple[Candidate, ...] = ()
    if method == "auto":
        folds = [] if places is None else list(left_out(present, places))
        judged = np.concatenate([held for _, held in folds]) if folds else np.empty(0, np.intp)
        if np.unique(present[judged]).size < 2:  # a method must not be chosen by one class
            folds = list(patient_folds(present, owners, seed=seed))
        choice = _compare(present, scores, owners, places, folds)
    chosen = _simplest(choice, places is not None) if method == "auto" else method
    weights = _weights(present, places)
    fitted = FITTERS[chosen](present, scores, weights)
    prevalence = float(weights[present].sum() / weights.sum())
    note = NO_RANK if fitted.flat else ""
    facts = {"fitted_on": fitted_on, "prevalence": prevalence, "choice": choice, "note": note}
    return fitted.model_copy(update=facts | {"sources_alike": places is not None})


def known_cases(
    truth: ArrayLike, score: ArrayLike, groups: ArrayLike
) -> tuple[NDArray[np.bool_], Floats, NDArray[np.str_]]:
    """Return (present, score, patient) of the cases whose truth is known.

    Raises:
        CohortError: the arrays differ in length, or as ``scored``.
    """
    truths, scores = scored(truth, score)
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


def left_out(
    present: NDArray[np.bool_], sources: NDArray[np.str_]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield (fit, held out) indices, one source held out; where both classes are left to fit on."""
    for source in np.unique(sources):
        if np.unique(present[sources != source]).size == 2:
            yield np.flatnonzero(sources != source), np.flatnonzero(sources == source)


def _weights(present: NDArray[np.bool_], sources: NDArray[np.str_] | None) -> Floats:
    return np.ones(present.shape) if sources is None else alike(present, sources)


def _compare(
    present: NDArray[np.bool_],
    scores: Floats,
    owners: NDArray[np.str_],
    sources: NDArray[np.str_] | None,
    folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]],
) -> tuple[Candidate, ...]:
    """Cross-validate every method; from the simplest to the freest."""
    freest = sources is None and present.size >= ISOTONIC_FROM
    names = [name for name in FITTERS if name != "isotonic" or freest]
    stated = {name: scores.copy() for name in names}
    judged = np.zeros(present.shape, bool)
    for fit, held in folds:
        weights = _weights(present[fit], None if sources is None else sources[fit])
        for name in names:
            stated[name][held] = FITTERS[name](present[fit], scores[fit], weights)(scores[held])
        judged[held] = True
    share = np.where(judged, _weights(present, sources), 0)
    share /= share.sum()
    losses = {name: log_losses(present, chance) for name, chance in stated.items()}
    best = losses[min(names, key=lambda name: share @ losses[name])]
    clusters = owners if sources is None else sources
    return tuple(
        Candidate(
            method=name,
            log_loss=float(share @ losses[name]),
            brier=float(share @ (stated[name] - present) ** 2),
            excess=float(share @ (losses[name] - best)),
            excess_error=_clustered_error(losses[name] - best, share, clusters),
        )
        for name in names
    )


def _clustered_error(values: Floats, share: Floats, clusters: NDArray[np.str_]) -> float:
    """Return the standard error of the weighted mean of ``values`` over patients or sources."""
    _, index = np.unique(clusters, return_inverse=True)
    sums = np.bincount(index, weights=share * (values - share @ values))
    return float(np.sqrt(np.sum(sums**2) * sums.size / max(sums.size - 1, 1)))


def _simplest(choice: tuple[Candidate, ...], by_source: bool) -> Method:
    return next(
        c.method for c in choice if c.excess <= (SOURCES_TELL if by_source else c.excess_error)
    )


def check_method(method: Asked) -> None:
    """Raise ``ConfigError`` unless ``method`` is "auto" or one that can be fitted."""
    if method not in ("auto", *FITTERS):
        hint = did_you_mean(method, ["auto", *FITTERS])
        raise ConfigError(f"calibration method '{method}' is not known", hint=hint)


def _identity(present: NDArray[np.bool_], scores: Floats, weights: Floats) -> Calibration:
    return Calibration()


def _temperature(present: NDArray[np.bool_], scores: Floats, weights: Floats) -> Calibration:
    rising, falling = _logs(scores)
    (slope,) = _least_loss([rising + falling], present, weights)
    return Calibration(method="temperature", a=slope, b=slope)


def _platt(present: NDArray[np.bool_], scores: Floats, weights: Floats) -> Calibration:
    rising, falling = _logs(scores)
    slope, shift = _least_loss([rising + falling], present, weights, shift=True)
    return Calibration(method="platt", a=slope, b=slope, c=shift)


def _beta(present: NDArray[np.bool_], scores: Floats, weights: Floats) -> Calibration:
    a, b, c = _least_loss(list(_logs(scores)), present, weights, shift=True)
    return Calibration(method="beta", a=a, b=b, c=c)


def _isotonic(present: NDArray[np.bool_], scores: Floats, weights: Floats) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    fitted = fitted.fit(scores, present, weights)
    seen = np.maximum.accumulate(np.clip(fitted.y_thresholds_, 0, 1))
    knots = zip(fitted.X_thresholds_.tolist(), seen.tolist(), strict=True)
    return Calibration(method="isotonic", knots=tuple(knots))


FITTERS: dict[Method, Callable[[NDArray[np.bool_], Floats, Floats], Calibration]] = {
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
    columns: list[Floats], present: NDArray[np.bool_], weights: Floats, *, shift: bool = False
) -> list[float]:
    """Return the slopes of ``columns``, each at least 0, and the shift, of least log loss."""
    from scipy.optimize import minimize

    design = np.stack([*columns, np.ones(present.size)] if shift else columns)
    positives = int(present.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (present.size - positives + 2)
    target = np.where(present, high, low)
    share = weights / weights.sum()

    def loss(numbers: Floats) -> tuple[float, Floats]:
        logit = numbers @ design
        error = 0.5 * (1 + np.tanh(0.5 * logit)) - target
        losses = np.logaddexp(0, logit) - target * logit
        return float(share @ losses), design @ (share * error)

    bounds: list[Any] = [(0, None)] * len(columns) + [(None, None)] * shift
    start = [1.0] * len(columns) + [0.0] * shift
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return [float(number) for number in found.x]

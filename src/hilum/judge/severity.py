"""Severity: readers' scores regressed on features of a film, cross-fitted by patient.

One model is a ridge regression on several blocks of features (``ridge_path``): one linear map. Its
penalty is chosen, and its interval measured, on patients that it was not fitted on.

Two additions to the films that readers scored, both measured in docs/explanation/severity.md:

- **normals**: films without a finding stand for the score 0. Together they weigh a small share of
  the scored films.
- **borrowed**: a film that was scored on another scale only has the score that a straight line
  gives, fitted on the films of the training fold that have both.

Neither is ever judged: every figure is of readers' own scores.

Hoerl and Kennard, Technometrics 1970, in its dual form: with more features than films, one
decomposition of the Gram matrix of the films answers every penalty. Every feature is standardized
and every block divided by the root of its size, so that 2,560 numbers of an embedding do not drown
nineteen of grey (the weighting of multiple factor analysis: Escofier and Pages, Computational
Statistics & Data Analysis 1994).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hilum.core.config import Config
from hilum.core.errors import CohortError
from hilum.core.extras import require
from hilum.judge.metrics import Floats

Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

FEWEST = 20
"""Patients with a score that a model needs."""


class SeveritySettings(Config):
    """How severity is fitted.

    Attributes:
        penalties: of the ridge, tried by cross-validation; 1 is the variance of a block.
        folds, inner: of the cross-validation that judges and of the one inside that chooses.
        normals: weight of all normals together, as a share of the scored films.
        borrowed: weight of a film whose score was carried over from another scale.
        coverage: of the intervals.
        bootstrap: resamples of patients for 95 % intervals of the figures.
        seed: of folds and resamples.
    """

    penalties: tuple[float, ...] = (0.03, 0.1, 0.3, 0.6, 1.0, 1.8, 3.0, 6.0, 10.0, 30.0)
    folds: int = Field(default=10, ge=2)
    inner: int = Field(default=5, ge=2)
    normals: float = Field(default=0.1, ge=0)
    borrowed: float = Field(default=0.5, ge=0)
    coverage: float = Field(default=0.9, gt=0, lt=1)
    bootstrap: int = Field(default=1000, ge=0)
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Question:
    """Scores that are fitted together, on the same films.

    Attributes:
        names: of the T scores.
        maxima: (T,) where each scale ends; all begin at 0.
        targets: (N, T) the readers' scores; NaN in all or in none of a row.
        helper: (N,) a score on another scale, NaN where unknown.
        normal: (N,) bool, films that stand for 0.
        owners: (N,) the patient of each film, with those linked by a duplicate film.
        clean: (N,) bool, films that no network learned from what the score rests on; the width of
            intervals comes from these, as long as there are enough patients.
    """

    names: tuple[str, ...]
    maxima: Floats
    targets: Floats
    helper: Floats
    normal: Bools
    owners: NDArray[np.str_]
    clean: Bools

    @property
    def scored(self) -> Bools:
        """(N,) bool: the readers' own scores."""
        return np.asarray(~np.isnan(self.targets).any(1))

    def training(self, rows: Rows, settings: SeveritySettings) -> tuple[Floats, Floats]:
        """Return targets (M, T) and weights (M,) of training films; weight 0 leaves one out.

        Nothing but ``rows`` is looked at.
        """
        targets, helper = self.targets[rows].copy(), self.helper[rows]
        scored, normal = self.scored[rows], self.normal[rows] & ~self.scored[rows]
        weights = scored.astype(np.float64)
        both, lent = scored & ~np.isnan(helper), ~scored & ~normal & ~np.isnan(helper)
        if settings.borrowed and lent.any() and both.sum() >= FEWEST:
            slope, start = np.polyfit(helper[both], targets[both], 1)
            carried = start + slope * helper[lent, None]
            targets[lent] = np.clip(carried, 0, self.maxima)
            weights[lent] = settings.borrowed
        if settings.normals and normal.any():
            targets[normal] = 0.0
            weights[normal] = settings.normals * scored.sum() / normal.sum()
        return targets, weights


@dataclass(frozen=True, eq=False)
class CrossFit:
    """What models say of films of patients that they were not fitted on.

    Attributes:
        estimates: (N, T), clipped to the scale.
        half_widths: (N, T) of the interval about each estimate, from the other patients alone.
    """

    estimates: Floats
    half_widths: Floats


def fit(question: Question, blocks: Blocks, settings: SeveritySettings) -> LinearMap:
    """Fit one linear map on all films, its penalties chosen by cross-validation.

    Args:
        question: scores of N films.
        blocks: group -> float64 (N, F).
        settings: of the fit.

    Raises:
        CohortError: fewer than ``FEWEST`` patients with a score.
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    check(question)
    rows = np.arange(len(question.owners))
    errors = _inner_errors(question, blocks, rows, settings, settings.folds)
    return _fit_rows(question, blocks, rows, _best(errors), settings)


def crossfit(question: Question, blocks: Blocks, settings: SeveritySettings) -> CrossFit:
    """Estimate every film by a fit on other patients, with everything chosen there, too.

    The half width of an interval is the conformal quantile of the inner residuals.

    Raises:
        CohortError: fewer than ``FEWEST`` patients with a score.
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    check(question)
    estimates = np.full(question.targets.shape, np.nan)
    half_widths = np.full(question.targets.shape, np.nan)
    everything = np.arange(len(question.owners))
    for rows, rest in _folds(question, everything, settings.folds, settings.seed):
        errors = _inner_errors(question, blocks, rows, settings, settings.inner)
        best = _best(errors)
        model = _fit_rows(question, blocks, rows, best, settings)
        estimates[rest] = np.clip(model(_take(blocks, rest)), 0, question.maxima)
        residuals = np.stack([errors[chosen, :, place] for place, chosen in enumerate(best)], 1)
        asked = rows[question.scored[rows]]
        half_widths[rest] = _half_widths(question, asked, residuals, settings)
    return CrossFit(estimates, half_widths)


def half_widths_of(question: Question, found: CrossFit, settings: SeveritySettings) -> Floats:
    """Return the half width (T,) of intervals for new films, from all cross-fitted residuals."""
    asked = np.flatnonzero(question.scored)
    residuals = np.abs(found.estimates[asked] - question.targets[asked])
    return _half_widths(question, asked, residuals, settings)


def constant(question: Question, settings: SeveritySettings) -> Floats:
    """Answer every film with the median score of other patients: what a model must beat; (N, T)."""
    estimates = np.full(question.targets.shape, np.nan)
    everything = np.arange(len(question.owners))
    for rows, rest in _folds(question, everything, settings.folds, settings.seed):
        estimates[rest] = np.median(question.targets[rows][question.scored[rows]], axis=0)
    return estimates


def conformal_half_width(residuals: Floats, owners: NDArray[np.str_], coverage: float) -> float:
    """Return the half width that holds the score of a new patient's film with this coverage.

    Absolute residuals of cross-fitted estimates (Barber et al., Annals of Statistics 2021, the
    jackknife by folds). Films of a patient share one weight, so that a talkative patient counts
    once (Dunn, Wasserman and Ramdas, JASA 2023).

    Args:
        residuals: (N,) absolute.
        owners: (N,) patient of each film.
        coverage: in (0, 1).

    Returns:
        Infinite where there are too few patients for that coverage.
    """
    _, index, films = np.unique(owners, return_inverse=True, return_counts=True)
    order = np.argsort(residuals)
    reached = np.cumsum(1 / films[index[order]])
    enough = reached >= coverage * (films.size + 1) - 1e-9
    return float(residuals[order][enough.argmax()]) if enough.any() else np.inf


def _half_widths(
    question: Question, asked: Rows, residuals: Floats, settings: SeveritySettings
) -> Floats:
    owners, clean = question.owners[asked], question.clean[asked]
    if np.unique(owners[clean]).size >= FEWEST:
        owners, residuals = owners[clean], residuals[clean]
    widths = [conformal_half_width(each, owners, settings.coverage) for each in residuals.T]
    return np.minimum(widths, question.maxima)


def check(question: Question) -> None:
    """Raise ``CohortError`` where too few patients have a score."""
    require("evaluate")
    patients = np.unique(question.owners[question.scored]).size
    if patients < FEWEST:
        raise CohortError(
            f"{question.names[0]}: scores of {patients} patients; expected at least {FEWEST}",
            hint="column 'scores' of the cases table holds them; see 'hilum cohort read'",
        )


def _best(errors: Floats) -> NDArray[np.intp]:
    """Return the place of the best penalty of each score, from errors (A, M, T)."""
    return np.asarray(errors.mean(1).argmin(0), np.intp)


def _inner_errors(
    question: Question, blocks: Blocks, rows: Rows, settings: SeveritySettings, folds: int
) -> Floats:
    """Absolute errors (A, M, T) of the scored films among ``rows``, for each penalty."""
    scored = question.scored
    place = np.full(len(scored), -1)
    place[rows[scored[rows]]] = np.arange(scored[rows].sum())
    errors = np.full((len(settings.penalties), scored[rows].sum(), len(question.names)), np.nan)
    for known, held_out in _folds(question, rows, folds, settings.seed + 1):
        asked = held_out[scored[held_out]]
        fresh = _take(blocks, asked)
        for number, model in enumerate(_path(question, blocks, known, settings)):
            found = np.clip(model(fresh), 0, question.maxima)
            errors[number, place[asked]] = np.abs(found - question.targets[asked])
    return errors


def _fit_rows(
    question: Question,
    blocks: Blocks,
    rows: Rows,
    best: NDArray[np.intp],
    settings: SeveritySettings,
) -> LinearMap:
    path = _path(question, blocks, rows, settings)
    return LinearMap(
        {
            name: np.stack([path[a].coefficients[name][:, t] for t, a in enumerate(best)], 1)
            for name in blocks
        },
        np.array([path[a].intercepts[t] for t, a in enumerate(best)]),
        np.asarray(settings.penalties)[best],
    )


def _folds(question: Question, rows: Rows, folds: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Divide films by patient; each fold has its share of normals and of low and high scores."""
    from sklearn.model_selection import StratifiedGroupKFold

    first = question.targets[rows, -1] / question.maxima[-1]
    kinds = np.where(np.isnan(first), 4, np.minimum(np.nan_to_num(first) * 4, 3)).astype(int)
    kinds = np.where(np.isnan(first) & question.normal[rows], 5, kinds)
    owners = question.owners[rows]
    counts = np.bincount(kinds)
    kinds = np.where(counts[kinds] < folds, counts.argmax(), kinds)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    parts = splitter.split(np.zeros(len(rows)), kinds, owners)
    return [(rows[known], rows[rest]) for known, rest in parts]


def _take(blocks: Blocks, rows: Rows) -> dict[str, Floats]:
    return {name: values[rows] for name, values in blocks.items()}


def _path(
    question: Question, blocks: Blocks, rows: Rows, settings: SeveritySettings
) -> list[LinearMap]:
    targets, weights = question.training(rows, settings)
    used = weights > 0
    films = _take(blocks, rows[used])
    return ridge_path(films, targets[used], weights[used], settings.penalties)


Blocks = Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class LinearMap:
    """Scores as a linear map of features: ``intercepts + sum over blocks of x @ coefficients``.

    Attributes:
        coefficients: block -> (F, T).
        intercepts: (T,).
        penalties: (T,) that cross-validation chose.
    """

    coefficients: dict[str, Floats]
    intercepts: Floats
    penalties: Floats

    def __call__(self, blocks: Blocks) -> Floats:
        """Return (N, T), not clipped."""
        parts = [blocks[name] @ weights for name, weights in self.coefficients.items()]
        return np.asarray(self.intercepts + sum(parts), np.float64)


def ridge_path(
    blocks: Blocks, targets: Floats, weights: Floats, penalties: tuple[float, ...]
) -> list[LinearMap]:
    """Fit a ridge for each penalty.

    Args:
        blocks: group -> float64 (N, F).
        targets: (N, T).
        weights: (N,) of each film, positive; only their proportions count.
        penalties: 1 is the variance of a block, summed over films.
    """
    means = {name: np.average(values, axis=0, weights=weights) for name, values in blocks.items()}
    scales = {name: _scale(values) for name, values in blocks.items()}
    root = np.sqrt(weights / weights.mean())[:, None]
    parts = [(values - means[name]) / scales[name] for name, values in blocks.items()]
    films = np.concatenate(parts, 1) * root
    middle = np.average(targets, axis=0, weights=weights)
    values, vectors = np.linalg.eigh(films @ films.T)
    turned = vectors.T @ ((targets - middle) * root)
    path = []
    for penalty in penalties:
        dual = vectors @ (turned / (np.maximum(values, 0)[:, None] + penalty))
        path.append(_unscaled(films.T @ dual, means, scales, middle, penalty))
    return path


def _unscaled(
    weights: Floats, means: Blocks, scales: Blocks, middle: Floats, penalty: float
) -> LinearMap:
    """Bring weights (F, T) of scaled features into the units of the features."""
    coefficients, start, intercepts = {}, 0, middle.copy()
    for name, scale in scales.items():
        coefficients[name] = weights[start : start + scale.size] / scale[:, None]
        intercepts -= means[name] @ coefficients[name]
        start += scale.size
    return LinearMap(coefficients, intercepts, np.full(intercepts.size, penalty))


def _scale(values: Floats) -> Floats:
    """Standard deviation times the root of the block's size; infinite for a constant feature."""
    spread = values.std(0)
    varies = spread > 1e-6
    root = np.sqrt(max(int(varies.sum()), 1))
    return np.where(varies, spread * root, np.inf)

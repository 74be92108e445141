"""Conformal sets: which answers cannot be ruled out for a film, at a stated coverage.

Split conformal prediction, conditional on the class (Mondrian): Vovk, Gammerman and Shafer,
Algorithmic Learning in a Random World, 2005, ch. 4. "Present" stays in the set of a film unless
its score is lower than those of nearly all positive calibration films; "absent" unless it is
higher than those of nearly all negative ones. Of positive films at least ``coverage`` then keep
"present" in their set, of negative films as many keep "absent", whatever the share of positives,
as long as the films are exchangeable with those of the calibration. From another hospital they are
not; docs/explanation/probability.md says what is left of it there.

At a fixed coverage two numbers say everything, so that a reader needs no library.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from hilum.core.config import Config
from hilum.core.errors import ConfigError
from hilum.core.reading import PredictionSet
from hilum.judge.calibration import alike, scored

COVERAGE = 0.9
"""Nominal coverage where none is asked for."""

Count = Annotated[int, Field(ge=1)]


class Conformal(Config):
    """The calibration of prediction sets of one label.

    Attributes:
        coverage: nominal, of each class.
        present_from: a score of at least this keeps "present" in the set; 0 keeps it always.
        absent_to: a score of at most this keeps "absent" in the set; 1 keeps it always.
        positives, negatives: calibration films of each class.
        fitted_on: those films in words.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)]
    present_from: Annotated[float, Field(ge=0, le=1)]
    absent_to: Annotated[float, Field(ge=0, le=1)]
    positives: Count
    negatives: Count
    fitted_on: str

    def __call__(self, score: float) -> PredictionSet:
        """Say which answers a score in [0, 1] leaves."""
        return _SETS[score >= self.present_from, score <= self.absent_to]


_SETS = {
    (True, False): PredictionSet.PRESENT,
    (False, True): PredictionSet.ABSENT,
    (True, True): PredictionSet.INDETERMINATE,
    (False, False): PredictionSet.NONE,
}


def check_coverage(coverage: float) -> None:
    """Raise ``ConfigError`` unless ``coverage`` is in (0, 1)."""
    if not 0 < coverage < 1:
        raise ConfigError(f"coverage {coverage:g}; expected a number between 0 and 1")


def fit_conformal(
    truth: ArrayLike,
    score: ArrayLike,
    *,
    fitted_on: str,
    sources: ArrayLike | None = None,
    coverage: float = COVERAGE,
) -> Conformal | None:
    """Fit the sets of one label on films that the network was not trained on.

    Args:
        truth: (N,) 1, 0 or NaN; NaN is left out.
        score: (N,) in [0, 1].
        fitted_on: the cases in words.
        sources: (N,) where each case comes from: then every source counts alike within a class
            (weighted quantiles, as in Tibshirani et al., NeurIPS 2019, with Kish's effective number
            of films in place of the weight of the film that is judged). None: every case does.
        coverage: nominal, in (0, 1).

    Returns:
        The sets; None where a class has too few films for any answer to be ruled out, which is
        fewer than 1 / (1 - coverage) - 1.

    Raises:
        ConfigError: ``coverage`` is not in (0, 1).
        CohortError: a truth is not 1, 0 or NaN, or a score of a known one not in [0, 1].
    """
    check_coverage(coverage)
    truths, scores = scored(truth, score)
    present, absent = truths == 1, truths == 0
    weights = np.ones(scores.shape)
    if sources is not None:
        known = present | absent
        weights[known] = alike(present[known], np.asarray(sources).astype(str)[known])
    # Fewer films than this and the set would hold both answers whatever the score is.
    if min(spared(_effective(weights[part]), coverage) for part in (present, absent)) < 1:
        return None
    return Conformal(
        coverage=coverage,
        present_from=_strangest_kept(scores[present], weights[present], coverage),
        absent_to=-_strangest_kept(-scores[absent], weights[absent], coverage),
        positives=int(present.sum()),
        negatives=int(absent.sum()),
        fitted_on=fitted_on,
    )


def _strangest_kept(
    scores: NDArray[np.float64], weights: NDArray[np.float64], coverage: float
) -> float:
    """Return the score, counted from the lowest, of the film that ``spared`` speaks of.

    Args:
        scores: (n,), the strangest lowest.
        weights: (n,); alike, the film is of that very rank.
        coverage: nominal.
    """
    # A sum of weights that are alike must reach a whole rank, hence 1e-6 against rounding.
    order, films = np.argsort(scores), _effective(weights)
    reached = np.cumsum(weights[order]) * (films / weights.sum())
    return float(scores[order][int(np.searchsorted(reached, spared(films, coverage) - 1e-6))])


def _effective(weights: NDArray[np.float64]) -> float:
    """Return how many films of weight one say as much (Kish, Survey Sampling, 1965)."""
    return float(weights.sum() ** 2 / max(np.sum(weights**2), 1e-12))


def spared(films: float, coverage: float) -> int:
    """Return the rank, from the strange end, of the last calibration film that must be kept.

    An answer is ruled out when its p-value, (films at least as strange + 1) / (films + 1), is at
    most 1 - coverage; the film of this rank is the strangest whose p-value is above it. 0 where
    there are too few films for any answer to be ruled out.
    """
    return math.floor((1 - coverage) * (films + 1) + 1e-9)

"""Calibration: from a score to a probability, and the operating points on the score.

Three of the methods are one formula, with fewer or more free numbers:

    probability = sigmoid(a ln(score) - b ln(1 - score) + c)

    temperature   a = b, c = 0   Guo et al., On Calibration of Modern Neural Networks, ICML 2017
    platt         a = b          Platt, Probabilistic Outputs for SVMs, 1999; on the logit
    beta          a, b, c        Kull, Silva Filho and Flach, Beta calibration, AISTATS 2017

``isotonic`` is a rising line through knots (Zadrozny and Elkan, KDD 2002). All of it is numbers in
``bundle.json`` and numpy; ``hilum.judge.calibrators`` fits them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from hilum.core.config import Config
from hilum.core.errors import CohortError, ConfigError
from hilum.core.estimate import Estimate
from hilum.core.labels import Label

Method = Literal["identity", "temperature", "platt", "isotonic", "beta"]
Share = Annotated[float, Field(ge=0, le=1)]
Slope = Annotated[float, Field(ge=0)]

EDGE = 1e-6
"""Scores nearer to 0 or 1 than this are taken as this near, since ln(0) is not finite."""


class Candidate(Config):
    """One method that was tried: what it scored on patients, or sources, that it did not see.

    Attributes:
        method: its name.
        log_loss, brier: cross-validated by patient; lower is better.
        excess: its log loss less that of the best.
        excess_error: standard error of that difference over patients, or sources.
    """

    method: Method
    log_loss: float
    brier: float
    excess: float
    excess_error: float


class Calibration(Config):
    """How a label's score becomes a probability.

    Attributes:
        method: "identity" leaves the score as it is: because nothing was fitted, or because no
            method did better on the cases that were tried; ``fitted`` tells which.
        fitted_on: the cases that it was fitted on, in words; "" if nothing was fitted.
        prevalence: share of positives among those cases: what the probability holds for; a half
            where both classes counted alike; None if nothing was fitted.
        sources_alike: every source counted alike within a class, and both classes did.
        a, b, c: of the formula above; a and b are at least 0, so that a higher score never means
            a lower probability.
        knots: of "isotonic": (score, probability), both rising.
        choice: the methods that were compared, from the simplest; empty if one was asked for.
        note: why no calibration was fitted, or that it gives every score one probability; or "".
    """

    method: Method = "identity"
    fitted_on: str = ""
    prevalence: Share | None = None
    sources_alike: bool = False
    a: Slope = 1.0
    b: Slope = 1.0
    c: float = 0.0
    knots: tuple[tuple[Share, Share], ...] = ()
    choice: tuple[Candidate, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _isotonic_has_rising_knots(self) -> Self:
        if (self.method == "isotonic") != bool(self.knots):
            raise ValueError("isotonic has knots, and no other method has")
        if self.knots and (np.diff(np.array(self.knots), axis=0) < 0).any():
            raise ValueError("knots must rise in score and in probability")
        return self

    @property
    def fitted(self) -> bool:
        """Whether the probability was held against cases, so that it holds for their prevalence."""
        return self.prevalence is not None

    @property
    def flat(self) -> bool:
        """Whether every score gets the same probability."""
        if self.knots:
            return self.knots[0][1] == self.knots[-1][1]
        return self.a == self.b == 0

    def __call__(self, score: ArrayLike) -> NDArray[np.float64]:
        """Map scores in [0, 1], any shape, to probabilities in [0, 1] at ``prevalence``."""
        scores = np.asarray(score, np.float64)
        if self.method == "identity":
            return scores
        if self.method == "isotonic":
            stated, seen = zip(*self.knots, strict=True)
            return np.asarray(np.interp(scores, stated, seen))
        clipped = np.clip(scores, EDGE, 1 - EDGE)
        logit = self.a * np.log(clipped) - self.b * np.log1p(-clipped) + self.c
        return np.asarray(0.5 * (1 + np.tanh(0.5 * logit)))

    def at(self, prevalence: float, score: ArrayLike) -> NDArray[np.float64]:
        """Map scores to probabilities where ``prevalence`` of the cases have the label.

        Raises:
            ConfigError: nothing was fitted, so that the probability holds for no known
                prevalence, or ``prevalence`` is not in (0, 1).
        """
        if self.prevalence is None:
            raise ConfigError(
                "no calibration was fitted, so the probability holds for no known prevalence",
                hint="leave --prevalence out, or fit one with 'hilum calibrate'",
            )
        chance = self(score)
        same = prevalence == self.prevalence  # else the last digit may change
        return chance if same else restate(chance, self.prevalence, prevalence)


def alike(present: NDArray[np.bool_], sources: NDArray[np.str_]) -> NDArray[np.float64]:
    """Weigh cases so that each source counts alike within a class, and both classes alike.

    Returns:
        (N,) weights; those of each class sum to N / 2.

    >>> alike(np.array([True, True, True, False]), np.array(["a", "a", "b", "b"])).tolist()
    [0.5, 0.5, 1.0, 2.0]
    """
    weights = np.empty(present.shape)
    for cases in (present, ~present):
        _, place, counts = np.unique(sources[cases], return_inverse=True, return_counts=True)
        weights[cases] = present.size / (2 * counts.size * counts[place]) if counts.size else 1.0
    return weights


def scored(truth: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return truths and scores as float64 (N,), looked at.

    Args:
        truth: (N,) 1, 0 or NaN.
        score: (N,); in [0, 1] where the truth is known.

    Raises:
        CohortError: another truth or score, or arrays that differ in length; with its place.
    """
    truths, scores = np.asarray(truth, np.float64), np.asarray(score, np.float64)
    if truths.ndim != 1 or truths.shape != scores.shape:
        raise CohortError(f"{truths.size} truths and {scores.size} scores; expected one for each")
    known = ~np.isnan(truths)
    for what, values, wrong, expected in (
        ("truth", truths, known & ~np.isin(truths, (0, 1)), "1, 0 or NaN"),
        ("score", scores, known & ~((scores >= 0) & (scores <= 1)), "a number in [0, 1]"),
    ):
        if wrong.any():
            place = int(wrong.argmax())
            raise CohortError(
                f"{what}[{place}]: {values[place]:g}; expected {expected}",
                hint="present is 1 and absent 0; a score is a share, no percentage and no logit",
            )
    return truths, scores


def restate(
    probability: ArrayLike, prevalence_from: float, prevalence_to: float
) -> NDArray[np.float64]:
    """Restate probabilities that hold at one prevalence for another.

    The odds are multiplied by the ratio of the odds of the prevalences (Elkan, IJCAI 2001; Saerens
    et al., Neural Computation 2002). It holds where only the share of positives differs and the
    positives and negatives themselves look alike ("label shift").

    Args:
        probability: any shape, in [0, 1].
        prevalence_from, prevalence_to: in (0, 1).

    Raises:
        ConfigError: a prevalence is not in (0, 1), or a probability not in [0, 1].

    >>> round(float(restate(0.5, 0.5, 0.05)), 4)
    0.05
    """
    for prevalence in (prevalence_from, prevalence_to):
        if not 0 < prevalence < 1:
            raise ConfigError(f"prevalence {prevalence:g}; expected a number between 0 and 1")
    chance = np.asarray(probability, np.float64)
    if ((chance < 0) | (chance > 1)).any():
        raise ConfigError("a probability below 0 or above 1", hint="give shares, not percentages")
    ratio = prevalence_to * (1 - prevalence_from) / (prevalence_from * (1 - prevalence_to))
    return np.asarray(chance * ratio / (chance * ratio + (1 - chance)))


class SourceCost(Config):
    """What an operating point costs on the films of one source.

    Attributes:
        source: its name.
        positives, negatives: its films of each class.
        sensitivity, specificity: NaN, with a note, where the source lacks that class.
    """

    source: str
    positives: int
    negatives: int
    sensitivity: Estimate
    specificity: Estimate


class OperatingPoint(Config):
    """A threshold on the score of one label, with what it cost where it was chosen.

    Attributes:
        name: e.g. "balanced".
        label: whose score it cuts.
        threshold: a film is present when score >= threshold.
        sensitivity, specificity: with intervals, on the cases that it was chosen on.
        chosen_on: those cases in words: "val of default split, 4 sources".
        rule: how it was chosen: "largest Youden index".
        sources: the same for each source of those cases, where the sources are known.
    """

    name: str
    label: Label
    threshold: float
    sensitivity: Estimate
    specificity: Estimate
    chosen_on: str
    rule: str
    sources: tuple[SourceCost, ...] = ()

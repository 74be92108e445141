"""Calibration: from a score to a probability, and the operating points on the score."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilum.core.config import Config
from hilum.core.estimate import Estimate
from hilum.core.labels import Label


class Calibration(Config):
    """How a label's score becomes a probability.

    Attributes:
        method: "identity" leaves the score as it is, and says so.
        fitted_on: the cases that it was fitted on, in words; "" for identity.
    """

    method: Literal["identity"] = "identity"
    fitted_on: str = ""

    def __call__(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map scores in [0, 1], any shape, to probabilities in [0, 1]."""
        return score


class OperatingPoint(Config):
    """A threshold on the score of one label, with what it cost where it was chosen.

    Attributes:
        name: e.g. "balanced".
        threshold: a film is present when score >= threshold.
        sensitivity, specificity: with intervals, on the cases that it was chosen on.
        chosen_on: those cases in words: "val of default split, 4 sources".
        rule: how it was chosen: "largest Youden index".
    """

    name: str
    label: Label
    threshold: float
    sensitivity: Estimate
    specificity: Estimate
    chosen_on: str
    rule: str

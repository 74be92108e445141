"""Failures: the wrong readings that a reader was surest of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hilum.judge.schema import Failure

LISTED = 10


def worst_failures(
    known: pd.DataFrame, threshold: float, listed: int = LISTED
) -> tuple[Failure, ...]:
    """Return the films called wrongly whose score is furthest from the threshold.

    How far is a share of the way from the threshold to 1 for a false positive, and to 0 for a
    false negative, so that the two are comparable where the threshold is not one half.

    Args:
        known: ``case_id``, ``source``, ``truth`` (1 or 0) and ``score`` in [0, 1]; no NaN.
        threshold: a film is called when score >= threshold.
        listed: at most so many.
    """
    score, truth = known["score"].to_numpy(np.float64), known["truth"].to_numpy() == 1
    called = score >= threshold
    beyond = (score - threshold) / max(1 - threshold, 1e-12)
    below = (threshold - score) / max(threshold, 1e-12)
    far = np.where(called, beyond, below)
    wrong = np.flatnonzero(called != truth)
    order = wrong[np.argsort(-far[wrong], kind="stable")][:listed]
    return tuple(
        Failure(
            case_id=str(known["case_id"].iloc[row]),
            source=str(known["source"].iloc[row]),
            truth=int(truth[row]),
            score=float(score[row]),
        )
        for row in order
    )

"""Unseen: one answer a film by a network that did not learn from it, to fit decisions on.

Out of source where that is fair. A collection that holds most films of a class leaves networks that
are no sisters of the packed one when it is left out: without the one hospital that gives negatives
from the ward, every film from a ward is COVID-19. Its films are answered by cross-validation, by
networks that never saw the patient.
"""

from __future__ import annotations

import pandas as pd

from hilum.learn.compare.join import KEYS, Answers

LEFT_OUT = "left_out"
SOURCE, PATIENT = "source", "patient"

MOST = 0.5
"""Share of the films of a class that a left-out entry may hold."""


def unseen(answers: Answers) -> pd.DataFrame:
    """Return the predictions of one variant, each film once for a label.

    Returns:
        The rows of ``Answer.test`` with a column ``left_out``: "source", or "patient" where the
        entry holds more than ``MOST`` of a class; without folds such films are not there.
    """
    whole = [answer.test for entry, answer in answers.items() if not entry.fold]
    folds = [answer.test for entry, answer in answers.items() if entry.fold]
    counts = pd.concat(whole).drop_duplicates(KEYS).groupby(["label", "truth"]).size()
    fair = [_fair(test, counts).assign(**{LEFT_OUT: SOURCE}) for test in whole]
    rest = [test.assign(**{LEFT_OUT: PATIENT}) for test in folds]
    return pd.concat([*fair, *rest], ignore_index=True).drop_duplicates(KEYS, ignore_index=True)


def _fair(test: pd.DataFrame, counts: pd.Series[int]) -> pd.DataFrame:
    """Return the rows of the labels of which enough is left to learn from."""
    shares = test.groupby(["label", "truth"]).size() / counts
    worst = shares.groupby("label").max()
    return test[test["label"].map(worst) <= MOST]

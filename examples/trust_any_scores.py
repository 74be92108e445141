"""Calibration and conformal sets on anyone's scores: no film and no bundle is needed.

python examples/trust_any_scores.py scores.csv

The table has the columns patient, truth (1 or 0) and score (0 to 1). The patients are halved: one
half fits, the other shows what the fit is worth. Needs the extra "evaluate".
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from hilum.core.reading import PredictionSet
from hilum.judge.calibrators import fit_calibration
from hilum.judge.conformal import fit_conformal

KEPT = {
    1: {PredictionSet.PRESENT, PredictionSet.INDETERMINATE},
    0: {PredictionSet.ABSENT, PredictionSet.INDETERMINATE},
}
"""The sets that hold the truth."""


def halves(table: pd.DataFrame, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Halve a table by patient: no patient stands on both sides."""
    patients = np.random.default_rng(seed).permutation(table["patient"].unique())
    first = table["patient"].isin(patients[: len(patients) // 2])
    return table[first], table[~first]


def main(path: str) -> None:
    """Fit on one half and say what the other half shows."""
    fit, test = halves(pd.read_csv(path))
    words = f"{len(fit)} films of {path}"
    calibration = fit_calibration(fit["truth"], fit["score"], fit["patient"], fitted_on=words)
    sets = fit_conformal(fit["truth"], fit["score"], fitted_on=words, coverage=0.9)
    if sets is None:
        raise SystemExit("too few films of a class for sets of this coverage")

    chance = calibration(test["score"])
    print(f"calibration: {calibration.method}, for a prevalence of {calibration.prevalence:.2f}")
    before = np.mean((test["score"] - test["truth"]) ** 2)
    print(f"Brier score on the other half: {before:.3f} before, ", end="")
    print(f"{np.mean((chance - test['truth']) ** 2):.3f} after")
    print(f"where 5 % of the films are positive, a score of 0.8 is {calibration.at(0.05, 0.8):.2f}")

    said = test.assign(set=[sets(score) for score in test["score"]])
    for truth, name in ((1, "positive"), (0, "negative")):
        held = said.loc[said["truth"] == truth, "set"].isin(KEPT[truth]).mean()
        print(f"sets hold the truth of {held:.2f} of the {name} films (nominal 0.90)")
    print(f"no answer is ruled out for {(said['set'] == PredictionSet.INDETERMINATE).mean():.2f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])

"""How long an evaluation of 3,000 cases with 1,000 bootstrap resamples takes.

    OMP_NUM_THREADS=1 python benchmarks/bootstrap.py

Prints the time of the panel (every metric of one label, with intervals), of the same by copying
cases resample by resample with scikit-learn (AUROC alone), and of the whole evaluation with strata
and pictures. Asked for: the panel in under 20 s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from hilum.judge.evaluation import evaluate_predictions
from hilum.judge.panel import METRICS, measure
from hilum.judge.predictions import check_predictions, scored
from hilum.judge.report import write_report
from hilum.judge.schema import EvaluationSettings


def predictions(cases: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    patient = rng.integers(0, 2 * cases // 3, cases)
    truth = (patient % 3 == 0).astype(float)
    return pd.DataFrame(
        {
            "case_id": np.arange(cases).astype(str),
            "label": "covid-19",
            "truth": truth,
            "score": np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1),
            "group": patient.astype(str),
            "cohort": "made",
            "source": rng.choice(list("abcdefgh"), cases),
            "view": rng.choice(["PA", "AP"], cases),
            "sex": rng.choice(["M", "F"], cases),
            "age_years": rng.integers(18, 90, cases),
        }
    )


def naive(truth: np.ndarray, score: np.ndarray, groups: np.ndarray, folds: int) -> None:
    names, index = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(index == name) for name in range(names.size)]
    rng = np.random.default_rng(0)
    for _ in range(folds):
        rows = np.concatenate([members[g] for g in rng.integers(0, names.size, names.size)])
        roc_auc_score(truth[rows], score[rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--folds", type=int, default=1000)
    asked = parser.parse_args()
    table = check_predictions(predictions(asked.cases))
    cases = scored(table, 0.5)
    settings = EvaluationSettings(folds=asked.folds, nuisance=False)
    print(f"{asked.cases} cases, {asked.folds} resamples of patients")

    start = time.perf_counter()
    measure(cases, prevalence=0.05, folds=asked.folds)
    print(f"panel, {len(METRICS)} metrics with intervals: {time.perf_counter() - start:6.2f} s")
    start = time.perf_counter()
    naive(cases.truth, cases.score, cases.groups, asked.folds // 10)
    print(f"naive, AUROC alone:                  {10 * (time.perf_counter() - start):6.2f} s")
    start = time.perf_counter()
    evaluation = evaluate_predictions(table, settings=settings)
    print(f"evaluation with strata:              {time.perf_counter() - start:6.2f} s")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        write_report(evaluation, table, Path(folder))
    print(f"pictures and page:                   {time.perf_counter() - start:6.2f} s")


if __name__ == "__main__":
    main()

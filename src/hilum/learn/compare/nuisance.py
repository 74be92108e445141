"""Nuisance: what twelve numbers of the training films say of those left out, once an entry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from hilum.core import csvtable
from hilum.core.errors import ImageError
from hilum.core.prefetch import prefetch
from hilum.image.nuisance import NUISANCE_FEATURES, nuisance_features
from hilum.image.open import open_radiograph
from hilum.judge.nuisance import score_others
from hilum.learn.compare.run import long_table, read_table, write_table

_THREADS = 2
_EDGE = 1e-6


def measure(cases: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the numbers of ``NUISANCE_FEATURES`` by ``case_id``; NaN where a film does not open.

    Args:
        cases: ``case_id`` and ``path`` are read.
        path: CSV that they are kept in, and found in by the next call.
    """
    if not path.is_file():
        bar = tqdm(cases["path"], desc="nuisance numbers", unit="film", disable=None)
        found = list(prefetch(_measure, bar, workers=_THREADS, ahead=2 * _THREADS))
        table = pd.DataFrame(found, columns=list(NUISANCE_FEATURES))
        write_table(table.assign(case_id=cases["case_id"].to_numpy()), path)
    kept = csvtable.read_table(path)
    numbers = {name: csvtable.numbers_in(kept, name, str(path)) for name in NUISANCE_FEATURES}
    return kept[["case_id"]].assign(**numbers).set_index("case_id")


def baseline(
    cases: pd.DataFrame, features: pd.DataFrame, labels: list[str], path: Path
) -> pd.DataFrame:
    """Fit the baseline on train and score val and test.

    Args:
        cases: with ``split`` and the labels.
        features: as ``measure`` returns them.
        labels: one baseline each; a label that train knows one class of is left out.
        path: CSV that the result is kept in; its name says which split it belongs to.

    Returns:
        One row a film and label, as ``long_table``.
    """
    if not path.is_file():
        measured = cases["case_id"].map(features.notna().all(axis=1)).fillna(False).to_numpy(bool)
        cases = cases[measured].reset_index(drop=True)
        numbers = features.loc[cases["case_id"]].to_numpy(np.float64)
        write_table(_score(cases, numbers, labels), path)
    return read_table(path)


def _score(cases: pd.DataFrame, numbers: np.ndarray, labels: list[str]) -> pd.DataFrame:
    rest = (cases["split"] != "train").to_numpy()
    scores, known = [], []
    for label in labels:
        truth = cases[label].to_numpy(np.float64)
        train = ~rest & ~np.isnan(truth)
        if np.unique(truth[train]).size == 2:
            scores.append(score_others(numbers[train], truth[train] == 1, numbers[rest]))
            known.append(label)
    chance = np.clip(np.array(scores).T.reshape(-1, len(known)), _EDGE, 1 - _EDGE)
    logits = np.log(chance / (1 - chance))
    return long_table(cases[rest], logits, known)


def _measure(path: str) -> dict[str, float]:
    try:
        return nuisance_features(open_radiograph(path))
    except ImageError:
        return {}

"""Table: numbers of films brought together, a row a block, target, method and metric.

Films that the bundle never trained on come first ("held out"); all annotated films, those of its
training among them, are a second block and say so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hilum.apps.map_scores.settings import ALL, HELD_OUT, METRICS, ScoreSettings
from hilum.judge import localization as judge


def summarise(rows: pd.DataFrame, settings: ScoreSettings, against: str) -> pd.DataFrame:
    """Bring films together: a row a block, target, method and metric.

    Args:
        rows: from ``Scores.table``.
        settings: of the run.
        against: method that every other is compared with, film by film.

    Returns:
        Columns block, target, label, method, metric, value, low, high, n, patients, difference,
        difference_low, difference_high (method minus ``against`` on the same films) and flag.
    """
    blocks = {HELD_OUT: rows[rows["held_out"]]}
    if not rows["held_out"].all():
        blocks[ALL] = rows
    found = []
    for block, films in blocks.items():
        for (target, label), part in films.groupby(["target", "label"], sort=False):
            wide = {
                metric: part.set_index(["case_id", "method"])[metric].unstack()  # noqa: PD010
                for metric in METRICS
                if metric in part
            }
            patients = part.drop_duplicates("case_id").set_index("case_id")["patient"]
            for method in dict.fromkeys(part["method"]):
                for metric, values in wide.items():
                    row = _row(values, method, metric, patients, against, settings)
                    if row is not None:
                        names = {"block": block, "target": target, "label": label}
                        found.append(names | {"method": method, "metric": metric} | row)
    return pd.DataFrame(found)


def _row(
    values: pd.DataFrame,
    method: str,
    metric: str,
    patients: pd.Series[str],
    against: str,
    settings: ScoreSettings,
) -> dict[str, Any] | None:
    numbers = values[method].dropna()
    if numbers.empty:
        return None
    owners = patients[numbers.index]
    binary = bool(numbers.isin([0.0, 1.0]).all()) and metric == "pointing"
    seed = settings.seed
    whole = judge.mean_over_films(numbers, owners, proportion=binary, seed=seed)
    row = {
        "value": whole.value,
        "low": whole.low,
        "high": whole.high,
        "n": whole.n,
        "patients": owners.nunique(),
        "difference": np.nan,
        "difference_low": np.nan,
        "difference_high": np.nan,
        "flag": "",
    }
    if against in values and method != against:
        both = (values[method] - values[against]).dropna()
        if not both.empty:
            gap = judge.mean_over_films(both, patients[both.index], seed=seed)
            row |= dict(
                zip(
                    ("difference", "difference_low", "difference_high"),
                    (gap.value, gap.low, gap.high),
                    strict=True,
                )
            )
    if metric == "random weights" and whole.value >= settings.survives:
        row["flag"] = "survives random weights"
    return row

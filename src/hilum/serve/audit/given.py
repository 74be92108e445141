"""Given: the scores of a model that cannot be run here, such as a vendor's product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from hilum.core.config import did_you_mean
from hilum.core.errors import CohortError, ImageError
from hilum.core.machine import cores
from hilum.core.prefetch import prefetch
from hilum.core.reading import Status
from hilum.image.nuisance import nuisance_features
from hilum.image.open import open_radiograph
from hilum.judge.predictions import NUISANCE_PREFIX
from hilum.judge.schema import NotRead
from hilum.serve.audit.films import BATCH, Measured, watched
from hilum.serve.audit.subject import checked


@dataclass(frozen=True, slots=True)
class Given:
    """Scores by film.

    Attributes:
        scores: index case_id; columns ``score`` and, if known, ``probability``.
        name: of the model.
    """

    scores: pd.DataFrame
    name: str

    @classmethod
    def of(cls, table: pd.DataFrame, label: str, name: str) -> Self:
        """Take the rows of ``label`` (all, without a column ``label``).

        Raises:
            CohortError: no column case_id or score, or a film twice.
            ConfigError: a score outside [0, 1].
        """
        for column in ("case_id", "score"):
            if column not in table:
                raise CohortError(
                    f"{name}: no column '{column}'; expected case_id and score",
                    hint=did_you_mean(column, [str(each) for each in table.columns]),
                )
        rows = table[table["label"].astype(str) == label] if "label" in table else table
        rows = rows.assign(case_id=rows["case_id"].astype(str)).set_index("case_id")
        if rows.index.has_duplicates:
            twice = rows.index[rows.index.duplicated()][0]
            raise CohortError(f"{name}: {twice} stands twice", hint="one row per film and label")
        score = pd.to_numeric(rows["score"], errors="coerce")
        checked(score.to_numpy(), len(rows), name)
        chance = pd.to_numeric(rows["probability"], errors="coerce") if "probability" in rows else score  # noqa: E501 # fmt: skip
        return cls(pd.DataFrame({"score": score, "probability": chance}), name)


def measure_given(
    given: Given, cases: pd.DataFrame, label: str, *, progress: bool = False
) -> Measured:
    """Join scores to films by ``case_id``, and measure the nuisance numbers of films that open.

    Raises:
        CohortError: no film of the table has a score.
    """
    found = Measured()
    scored = cases[cases["case_id"].isin(given.scores.index[given.scores["score"].notna()])]
    if scored.empty:
        raise CohortError(
            f"{given.name}: none of its films is in the cases table; e.g. "
            f"'{next(iter(given.scores.index), '')}' against '{cases['case_id'].iloc[0]}'",
            hint="both must name films by the same case_id",
        )
    without = cases[~cases["case_id"].isin(scored["case_id"])]["case_id"]
    found.not_read += [
        NotRead(case_id=each, status=Status.REFUSED, reason="the model gave no score")
        for each in without
    ]
    records: list[dict[Any, Any]] = scored.to_dict("records")
    measured = prefetch(_nuisance, records, workers=cores(), ahead=2 * BATCH)
    rows = zip(records, watched(measured, len(records), progress), strict=True)
    for case, nuisance in rows:
        line = given.scores.loc[case["case_id"]]
        found.rows.append(
            {**case, "label": label, "truth": float(case[label]), **line.to_dict(), **nuisance}
        )
    return found


def _nuisance(case: dict[str, Any]) -> dict[str, float]:
    try:
        measured = nuisance_features(open_radiograph(case["path"]))
    except ImageError:
        return {}
    return {f"{NUISANCE_PREFIX}{name}": value for name, value in measured.items()}

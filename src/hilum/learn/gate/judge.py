"""Judge the gate: what becomes of each kind of picture, by gates that never saw its patients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle.gate import Gate
from hilum.core.refusal import Reason
from hilum.learn.gate.fit import (
    Chosen,
    Scored,
    Views,
    fit_gate,
    score_held_out,
    with_limits,
)
from hilum.learn.gate.material import FOUND, FRONTAL, KINDS
from hilum.learn.gate.measure import Measured
from hilum.learn.gate.recipe import GateFit

READ = "read"
CERTAIN = "certain"
AGES = {0.0: "0 to 2", 3.0: "3 to 5", 6.0: "6 to 10", 11.0: "11 to 14", 15.0: "15 to 17", 18.0: ""}
"""Years from which on a patient belongs to a row of the table of ages."""


class Judged(NamedTuple):
    """A gate with what it is worth.

    Attributes:
        gate: fitted on all of the material.
        outcomes: one row a picture: ``outcome`` (a reason or "read") and ``certain`` (it would be
            corrected), by a gate that saw neither its group nor used it for a limit; ``foreign``,
            the outcome by one that saw nothing of its collection.
        unforeseen: kind -> share refused by a gate that never saw that kind.
    """

    gate: Gate
    outcomes: pd.DataFrame
    unforeseen: dict[str, float]


def fit_and_judge(
    measured: Measured, folds: NDArray[np.float64], fit: GateFit, lungs: str
) -> Judged:
    """Fit the gate, and judge it on what was held out.

    Args:
        measured: the material.
        folds: of each picture; a group never spans two.
        fit: table of the recipe.
        lungs: SHA-256 of the lung network.
    """
    views = score_held_out(measured, folds, fit)
    everything = np.ones(len(folds), bool)
    final = with_limits(fit_gate(measured, fit, lungs), views, measured, everything, fit)
    outcomes = measured.pictures.copy()
    outcomes[["outcome", CERTAIN]] = _by_fold(final, views, measured, folds, fit)
    outcomes["foreign"] = _by_cohort(final, views, measured, fit)
    return Judged(final, outcomes, _unforeseen(final, measured, folds, fit))


def table_of_kinds(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Count outcomes: one row a kind, one column an outcome; varied copies are left out."""
    counted = outcomes[~outcomes["kind"].isin([f"{name}-varied" for name in FOUND])]
    table = pd.crosstab(counted["kind"], counted["outcome"])
    order = [kind for kind in KINDS if kind in table.index]
    columns = [READ, *(reason.value for reason in Reason if reason.value in table.columns)]
    table = table.reindex(index=order, columns=columns, fill_value=0)
    table.insert(0, "pictures", table.sum(axis=1))
    right = [KINDS[kind].reason for kind in order]
    shares = [
        (row[reason.value] if reason in row else 0) / row["pictures"] if reason else math.nan
        for (_, row), reason in zip(table.iterrows(), right, strict=True)
    ]
    table.insert(1, "right_reason", shares)
    table.insert(2, "refused", 1 - table[READ] / table["pictures"])
    certain = counted.groupby("kind")[CERTAIN].mean().reindex(order)
    table.insert(3, "certain", certain)
    return table.rename_axis("kind").reset_index()


def table_of_cohorts(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Count good films refused, per collection: held out by patient, and with it left out."""
    good = outcomes[outcomes["kind"] == FRONTAL]
    rows = []
    for name, films in good.groupby("cohort"):
        rows.append(
            {
                "cohort": name,
                "films": len(films),
                "refused": float((films["outcome"] != READ).mean()),
                "refused_left_out": float(_refused(films["foreign"]).mean()),
                "reasons": _counted(films["outcome"]),
                "reasons_left_out": _counted(films["foreign"]),
            }
        )
    return pd.DataFrame(rows)


def _refused(outcomes: pd.Series[str]) -> pd.Series[float]:
    """Return 1 and 0; NaN for pictures that nobody was asked about."""
    return (outcomes != READ).astype(float).where(outcomes != "")


def _counted(outcomes: pd.Series[str]) -> str:
    counts = outcomes[~outcomes.isin([READ, ""])].value_counts()
    return "; ".join(f"{reason} {count}" for reason, count in counts.items())


def table_of_ages(outcomes: pd.DataFrame, ages: pd.Series[float]) -> pd.DataFrame:
    """Count young patients refused, by age and collection.

    Args:
        outcomes: of ``Judged``.
        ages: in years, by ``case_id``.
    """
    young = outcomes[outcomes["kind"].isin(["pediatric", "teenager"])].copy()
    young["age_years"] = young["case_id"].map(ages)
    years = pd.cut(young["age_years"], list(AGES), right=False, labels=list(AGES.values())[:-1])
    young = young.assign(
        years=years.astype(object).where(years.notna(), "not stated"),
        refused=young["outcome"] != READ,
        refused_left_out=_refused(young["foreign"]),
    )
    grouped = young.groupby(["cohort", "years"])[["refused", "refused_left_out"]]
    return grouped.mean().assign(films=grouped.size()).reset_index()


def _by_fold(
    final: Gate,
    views: Views,
    measured: Measured,
    folds: NDArray[np.float64],
    fit: GateFit,
) -> pd.DataFrame:
    """Judge each fold by scores of gates that never saw it and limits chosen on the others."""
    parts = []
    for fold in np.unique(folds):
        gate = with_limits(final, views, measured, folds != fold, fit)
        parts.append(_outcomes(gate, views.folds, measured, folds == fold))
    return pd.concat(parts).sort_index()


def _by_cohort(final: Gate, views: Views, measured: Measured, fit: GateFit) -> pd.Series[str]:
    """Judge each collection by gates and limits that saw nothing of it; "" where that cannot be."""
    found = pd.Series("", index=measured.pictures.index)
    cohort = measured.pictures["cohort"].to_numpy()
    for name in views.cohorts.gates:
        gate = with_limits(final, views, measured, cohort != name, fit)
        inside = _outcomes(gate, views.cohorts, measured, cohort == name)
        found.loc[inside.index] = inside["outcome"]
    return found


def _outcomes(gate: Gate, scored: Scored, measured: Measured, chosen: Chosen) -> pd.DataFrame:
    rows = {}
    for row in np.flatnonzero(chosen):
        broken = gate.decide(scored.log_odds[row], float(scored.distance[row]), measured.signs[row])
        rows[row] = (READ, False) if broken is None else (broken.reason.value, broken.certain)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["outcome", CERTAIN])


def _unforeseen(
    final: Gate, measured: Measured, folds: NDArray[np.float64], fit: GateFit
) -> dict[str, float]:
    """Refit without each kind, on all folds but one, and ask about that fold's pictures of it."""
    test = folds == np.unique(folds)[0]
    kinds = measured.pictures["kind"]
    shares = {}
    for kind in _judged_kinds(kinds):
        gate = fit_gate(measured.where(~test & (kinds != kind).to_numpy()), fit, "")
        limits = {one.kind: one for one in final.spec.kinds}
        spec = gate.spec.model_copy(
            update={
                "kinds": tuple(limits[name] for name in gate.spec.head.kinds if name in limits),
                "distance": gate.spec.distance.model_copy(
                    update={"refuse": final.spec.distance.refuse}
                ),
                "rules": final.spec.rules,
            }
        )
        some = measured.where(test & (kinds == kind).to_numpy())
        asked = [
            Gate(spec).judge(embedding, signs)
            for embedding, signs in zip(some.embedding, some.signs, strict=True)
        ]
        if asked:
            shares[kind] = sum(one is not None for one in asked) / len(asked)
    return shares


def _judged_kinds(kinds: Iterable[str]) -> list[str]:
    present = set(kinds)
    found = [name for name, kind in KINDS.items() if kind.reason and kind.like]
    return [name for name in found if name in present and not name.endswith("-varied")]

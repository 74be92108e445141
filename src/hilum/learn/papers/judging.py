"""Judging: the papers' numbers and ours, each with interval and n, ready for a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.config import Config, Written
from hilum.core.estimate import Estimate
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import Floats
from hilum.judge.nuisance import nuisance_scores
from hilum.judge.panel import ScoredCases, measure
from hilum.judge.schema import ClassRow
from hilum.learn.papers.experiment import Outcome
from hilum.learn.papers.films import PaperFilms, Places, measure_nuisance

THRESHOLD = 0.5
FOLDS = 1000


class HeadRow(Written):
    """One line of the table that a page begins with.

    Attributes:
        what: whose result, on what.
        detail: one sentence on how it came about.
        patients: people behind the test films; 0 where the paper does not say.
    """

    what: str
    detail: str
    accuracy: Estimate
    loss: Estimate
    auroc: Estimate
    patients: int = 0


def plain(value: float, n: int) -> Estimate:
    """Return a number without interval, as the paper printed it."""
    return Estimate(value=value, n=n)


def not_given(n: int) -> Estimate:
    """Return the number that a paper does not give."""
    return Estimate.undefined(n, "not given")


def pooled(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Join the test films of the folds of one cross-validation."""
    return pd.concat([outcome.predictions for outcome in outcomes], ignore_index=True)


def scored_of(predictions: pd.DataFrame, films: PaperFilms) -> ScoredCases:
    """Return predictions with the patient of each film, called at a score of 0.5."""
    group = films.cases.set_index("case_id")["group"]
    score = predictions["score"].to_numpy(np.float64)
    return ScoredCases(
        truth=predictions["truth"].to_numpy() == 1,
        score=score,
        probability=score,
        called=score >= THRESHOLD,
        groups=group.loc[predictions["case_id"]].to_numpy(dtype=str),
    )


def row_of(what: str, detail: str, cases: ScoredCases, *, seed: int) -> HeadRow:
    """Judge one set of test films."""
    found = measure(cases, prevalence=0.5, names=("accuracy", "auroc"), folds=FOLDS, seed=seed)
    return HeadRow(
        what=what,
        detail=detail,
        accuracy=found["accuracy"],
        auroc=found["auroc"],
        loss=log_loss(cases, seed=seed),
        patients=int(np.unique(cases.groups).size),
    )


def log_loss(cases: ScoredCases, *, seed: int) -> Estimate:
    """Mean binary cross-entropy in nats, scores clipped to [1e-7, 1 - 1e-7] as Keras does."""
    score = np.clip(cases.score, 1e-7, 1 - 1e-7)
    each = -np.log(np.where(cases.truth, score, 1 - score))

    def mean(weights: Floats) -> dict[str, Floats]:
        return {"loss": weights @ each / weights.sum(-1)}

    support = Support(len(cases), int(np.unique(cases.groups).size))
    return bootstrap_all(mean, cases.groups, {"loss": support}, folds=FOLDS, seed=seed)["loss"]


def class_table(cases: ScoredCases, *, seed: int) -> tuple[ClassRow, ClassRow]:
    """Precision, recall and F1 of the classes False and True."""
    names = (
        *("precision_absent", "specificity", "f1_absent"),
        *("precision_present", "sensitivity", "f1_present"),
    )
    found = measure(cases, prevalence=0.5, names=names, folds=FOLDS, seed=seed)
    positives = int(cases.truth.sum())
    return (
        _class_row("False", found, names[:3], len(cases) - positives),
        _class_row("True", found, names[3:], positives),
    )


def nuisance_row(
    what: str, detail: str, films: PaperFilms, places: Places, *, seed: int
) -> HeadRow:
    """Judge the nuisance baseline, cross-validated by patient, on the same films."""
    chosen = films.cases.iloc[places]
    truth = chosen["truth"].to_numpy() == 1
    groups = chosen["group"].to_numpy(dtype=str)
    scores = nuisance_scores(measure_nuisance(films, places), truth, groups, seed=seed)
    if np.isnan(scores).any():
        nothing = Estimate.undefined(len(places), "too few patients of a class")
        return HeadRow(what=what, detail=detail, accuracy=nothing, loss=nothing, auroc=nothing)
    return row_of(
        what, detail, ScoredCases(truth, scores, scores, scores >= THRESHOLD, groups), seed=seed
    )


def in_cell(estimate: Estimate) -> tuple[str, str]:
    """Return (value, interval) of an estimate as text for a table; "-" where it is undefined."""
    if math.isnan(estimate.value):
        return "-", estimate.note
    if math.isnan(estimate.low):
        return _number(estimate.value), ""
    return _number(estimate.value), f"{_number(estimate.low)} to {_number(estimate.high)}"


def _number(value: float) -> str:
    """Two decimals, or three where two would print 0.00 for something."""
    if 0 < value < 0.0005:
        return "<0.001"
    return f"{value:.3f}" if 0 < value < 0.005 else f"{value:.2f}"


def in_lines(options: Config) -> dict[str, str]:
    """Return settings for a table: "augmentation.flip" -> "off"."""
    lines: dict[str, str] = {}
    for name, value in options:
        if isinstance(value, Config):
            lines |= {f"{name}.{key}": text for key, text in in_lines(value).items()}
        else:
            lines[name] = ("on" if value else "off") if isinstance(value, bool) else str(value)
    return lines


def counts_of(cases: ScoredCases) -> NDArray[np.int64]:
    """Return films by truth (rows: False, True) and call (columns: False, True), int (2, 2)."""
    table = np.zeros((2, 2), np.int64)
    np.add.at(table, (cases.truth.astype(int), cases.called.astype(int)), 1)
    return table


def _class_row(
    name: str, found: dict[str, Estimate], names: Sequence[str], support: int
) -> ClassRow:
    precision, recall, f1 = (found[each] for each in names)
    return ClassRow(name=name, precision=precision, recall=recall, f1=f1, support=support)

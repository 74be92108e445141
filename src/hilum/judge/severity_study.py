"""The study behind severity: the models of a bundle, and how far they are from readers.

Every estimate that is judged is of a film of a patient that its fit did not see.

Each statistic of agreement takes ``x`` and ``y`` (N,) and weights (B, N), how often each film was
drawn, and returns (B,), so that intervals come from ``hilum.judge.bootstrap``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hilum.core.errors import CohortError
from hilum.core.estimate import Estimate
from hilum.image.severity import CLASSIFIER, EXTENTS, GREY, LOGITS, LUNGS, SHAPE
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import Floats, Weights
from hilum.judge.severity import (
    FEWEST,
    Blocks,
    Bools,
    CrossFit,
    LinearMap,
    Question,
    SeveritySettings,
    constant,
    crossfit,
    fit,
    half_widths_of,
)

READERS = ("senior", "junior")

SETS: dict[str, tuple[str, ...]] = {
    "extents and logits": (EXTENTS, LOGITS),
    "all but extents": (CLASSIFIER, LOGITS, LUNGS, SHAPE, GREY),
}
"""Sets of feature groups of a bundle's models, in order of preference: the first needs an opacity
network. docs/explanation/severity.md has the others that were compared."""

CONSTANT = "constant (median)"

NEVER_TRAINED = {
    "classifier": "classifier never trained on",
    "opacities": "opacity network never trained on",
}
"""Network -> the column that marks films that it did not learn from."""

Step = tuple[str, str]


@dataclass(frozen=True, eq=False)
class StudyFilms:
    """The films of a study, in one order.

    Attributes:
        table: case_id, group; normal (bool): without a finding; and the columns of
            ``NEVER_TRAINED`` (bool) as far as known.
        scores: one column a score of a reader or of the mean of readers; NaN where unknown.
        blocks: group -> float64 (N, F).
    """

    table: pd.DataFrame
    scores: pd.DataFrame
    blocks: Blocks

    @property
    def owners(self) -> NDArray[np.str_]:
        """(N,) patients, with those linked by a duplicate film."""
        return np.asarray(self.table["group"].to_numpy(dtype=str))

    def flag(self, name: str) -> Bools:
        """One of the boolean columns; True throughout where the table has none of that name."""
        if name not in self.table:
            return np.ones(len(self.table), bool)
        return np.asarray(self.table[name].to_numpy(dtype=bool))

    def take(self, name: str) -> Blocks:
        """The groups of one of ``SETS``."""
        return {group: self.blocks[group] for group in SETS[name]}


@dataclass(frozen=True, eq=False)
class FittedSeverity:
    """One model of the bundle: a question answered from a set of features.

    Attributes:
        question: whose ``names`` are the columns of ``model``.
        model: fitted on all films.
        half_widths: (T,) of the intervals.
    """

    question: Question
    model: LinearMap
    half_widths: Floats


@dataclass(frozen=True, eq=False)
class SeverityStudy:
    """What came out.

    Attributes:
        films: that it is about.
        best: the first set of features in ``SETS`` that could be had.
        questions: name -> what was asked.
        found: (question, set) -> cross-fitted estimates.
        fits: (question, set) -> the models for a bundle, the preferred set first.
    """

    films: StudyFilms
    best: str
    questions: dict[str, Question]
    found: dict[Step, CrossFit]
    fits: dict[Step, FittedSeverity]

    @property
    def estimates(self) -> pd.DataFrame:
        """Cross-fitted estimates of every film from the best set, one column a score."""
        return pd.DataFrame(
            {
                name: self.found[key, self.best].estimates[:, place]
                for key, question in self.questions.items()
                for place, name in enumerate(question.names)
            }
        )


def scores_of(cases: pd.DataFrame) -> pd.DataFrame:
    """Return the scores as columns; Brixia is the mean of both readers."""
    values = [json.loads(text) if text else {} for text in cases["scores"]]
    of_readers = [f"brixia-{reader}-global" for reader in READERS]
    names = ["geographic-extent", "opacity", *of_readers]
    scores = pd.DataFrame(values, index=cases.index).reindex(columns=names).astype("float64")
    return scores.assign(brixia=scores[of_readers].mean(axis=1, skipna=False))


def questions_of(films: StudyFilms) -> dict[str, Question]:
    """Return what is fitted together: the two scores of Cohen et al., and Brixia.

    Raises:
        CohortError: neither has the scores of enough patients.
    """
    names = {
        "cohen": (("geographic-extent", "opacity"), (8.0, 6.0)),
        "brixia": (("brixia",), (18.0,)),
    }
    brixia, nothing = films.scores["brixia"].to_numpy(), np.full(len(films.table), np.nan)
    questions = {
        key: Question(
            names=scores,
            maxima=np.array(maxima),
            targets=films.scores[list(scores)].to_numpy(np.float64),
            helper=brixia if key == "cohen" else nothing,
            normal=films.flag("normal"),
            owners=films.owners,
            clean=films.flag(NEVER_TRAINED["opacities"]),
        )
        for key, (scores, maxima) in names.items()
    }
    patients = {key: np.unique(each.owners[each.scored]).size for key, each in questions.items()}
    if max(patients.values()) < FEWEST:
        raise CohortError(
            f"column scores: {patients['cohen']} patients with geographic extent and opacity, "
            f"{patients['brixia']} with Brixia; expected at least {FEWEST} of one",
            hint="'hilum cohort read' fills it from covid-chestxray-dataset and brixia-score",
        )
    return {key: each for key, each in questions.items() if patients[key] >= FEWEST}


def study(
    films: StudyFilms,
    settings: SeveritySettings,
    watch: Callable[[Sequence[Step]], Iterable[Step]] = iter,
) -> SeverityStudy:
    """Cross-fit each set of features, and fit the models of the bundle on all films.

    Args:
        films: with or without the group "extents".
        settings: of fits and intervals.
        watch: wraps the steps, for a progress bar.

    Raises:
        CohortError: too few patients with a score.
    """
    questions = questions_of(films)
    sets = [name for name, groups in SETS.items() if set(groups) <= set(films.blocks)]
    steps = [(key, name) for name in sets for key in questions]
    found = {
        (key, name): crossfit(questions[key], films.take(name), settings)
        for key, name in watch(steps)
    }
    fits = {
        (key, name): FittedSeverity(
            questions[key],
            fit(questions[key], films.take(name), settings),
            half_widths_of(questions[key], found[key, name], settings),
        )
        for key, name in steps
    }
    return SeverityStudy(films, sets[0], questions, found, fits)


def figures_of(study: SeverityStudy, settings: SeveritySettings) -> pd.DataFrame:
    """Return how far cross-fitted estimates are from readers, with 95 % intervals over patients.

    A row a score, set of features (and the median score of other patients, which a model must
    beat) and part of the films: all, and those that a network never trained on.
    """
    rows = []
    for key, question in study.questions.items():
        nothing = CrossFit(constant(question, settings), np.full(question.targets.shape, np.nan))
        fitted = {name: each for (of, name), each in study.found.items() if of == key}
        for name, found in {CONSTANT: nothing, **fitted}.items():
            rows += _figures(study.films, question, name, found, settings)
    return pd.DataFrame(rows)


def _figures(
    films: StudyFilms, question: Question, name: str, found: CrossFit, settings: SeveritySettings
) -> list[dict[str, Any]]:
    parts = {"all": np.ones(len(films.table), bool)}
    marks = {part: films.flag(part) for part in NEVER_TRAINED.values()}
    parts |= {part: mark for part, mark in marks.items() if not mark.all()}
    how: dict[str, Any] = {"folds": settings.bootstrap, "seed": settings.seed}
    rows = []
    for place, score in enumerate(question.names):
        truth, said = question.targets[:, place], found.estimates[:, place]
        inside = (np.abs(truth - said) <= found.half_widths[:, place] + 1e-9).astype(np.float64)
        for part, chosen in parts.items():
            at = chosen & question.scored
            owners = films.owners[at]
            measured = agreement(said[at], truth[at], owners, **how)
            known = np.isfinite(found.half_widths[at, place]).all()
            if known and at.any():
                support = Support(at.sum(), np.unique(owners).size, "no films", proportion=True)
                measured |= bootstrap_all(
                    partial(_share, inside[at]), owners, {"coverage": support}, **how
                )
            row: dict[str, Any] = {"score": score, "features": name, "films": part}
            row |= {"n": measured["mae"].n, "patients": np.unique(owners).size}
            for measure, estimate in measured.items():
                row[measure] = round(estimate.value, 4)
                row[f"{measure}_low"] = round(estimate.low, 4)
                row[f"{measure}_high"] = round(estimate.high, 4)
            if known:
                row["half_width"] = round(float(found.half_widths[at, place].mean()), 4)
            rows.append(row)
    return rows


def _share(held: Floats, weights: Floats) -> dict[str, Floats]:
    return {"coverage": (weights * held).sum(1) / weights.sum(1)}


def mean_absolute_error(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Mean of ``|x - y|``, in points of the scale.

    >>> mean_absolute_error(np.array([1.0, 2.0]), np.array([2.0, 4.0]), np.ones((1, 2)))
    array([1.5])
    """
    return _mean(np.abs(x - y), weights)


def bias(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Mean of ``x - y``, in points of the scale."""
    return _mean(x - y, weights)


def pearson(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Pearson's correlation, in [-1, 1]; NaN where one side is constant."""
    return _correlation(x[None], y[None], weights)


def spearman(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Spearman's rank correlation, ties at their mean rank; NaN where one side is constant."""
    return _correlation(_ranks(x, weights), _ranks(y, weights), weights)


def quadratic_kappa(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Cohen's kappa with quadratic weights (Cohen, Psychological Bulletin 1968).

    On numbers it is Lin's concordance correlation (Biometrics 1989): 2 cov / (var + var + bias^2).
    """
    mean_x, mean_y = _mean(x, weights), _mean(y, weights)
    spread = _mean(x**2, weights) - mean_x**2 + _mean(y**2, weights) - mean_y**2
    whole = spread + (mean_x - mean_y) ** 2
    return _ratio(2 * (_mean(x * y, weights) - mean_x * mean_y), whole)


def icc(x: Floats, y: Floats, weights: Weights) -> Floats:
    """ICC(2,1): two-way random effects, absolute agreement, a single reader of two.

    Shrout and Fleiss, Psychological Bulletin 1979.
    """
    n = weights.sum(1)
    middle, grand = (x + y) / 2, _mean((x + y) / 2, weights)
    films = 2 * (_mean(middle**2, weights) - grand**2) * n / (n - 1)
    readers = n * _mean(x - y, weights) ** 2 / 2
    rest = (_mean((x - y) ** 2, weights) - _mean(x - y, weights) ** 2) / 2 * n / (n - 1)
    return _ratio(films - rest, films + rest + 2 * (readers - rest) / n)


STATISTICS: dict[str, Callable[[Floats, Floats, Weights], Floats]] = {
    "mae": mean_absolute_error,
    "bias": bias,
    "pearson": pearson,
    "spearman": spearman,
    "kappa": quadratic_kappa,
    "icc": icc,
}


def agreement(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike, *, folds: int = 1000, seed: int = 0
) -> dict[str, Estimate]:
    """Estimate every one of ``STATISTICS`` on films that both sides scored.

    Args:
        x, y: (N,) scores; NaN where a side has none.
        groups: (N,) patient of each film.
        folds, seed: of the bootstrap.
    """
    left, right = np.asarray(x, np.float64), np.asarray(y, np.float64)
    known = ~np.isnan(left) & ~np.isnan(right)
    left, right, owners = left[known], right[known], np.asarray(groups)[known]
    missing = "too few films" if known.sum() < 3 else "one side is constant"
    support = Support(int(known.sum()), np.unique(owners).size, missing)
    if known.sum() < 3:
        return {name: Estimate.undefined(support.n, missing) for name in STATISTICS}
    return bootstrap_all(
        lambda weights: {name: each(left, right, weights) for name, each in STATISTICS.items()},
        owners,
        dict.fromkeys(STATISTICS, support),
        folds=folds,
        seed=seed,
    )


def _mean(values: Floats, weights: Weights) -> Floats:
    """Weighted mean over the last axis; values (N,) or (B, N)."""
    return np.asarray((weights * values).sum(1) / weights.sum(1))


def _correlation(x: Floats, y: Floats, weights: Weights) -> Floats:
    x, y = x - _mean(x, weights)[:, None], y - _mean(y, weights)[:, None]
    spread = np.sqrt(_mean(x**2, weights) * _mean(y**2, weights))
    return _ratio(_mean(x * y, weights), spread)


def _ranks(values: Floats, weights: Weights) -> Floats:
    """Ranks (B, N) in each resample: what lies below, and half of what is equal."""
    below = values[:, None] < values[None]
    equal = values[:, None] == values[None]
    return np.asarray(weights @ (below + 0.5 * equal))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    defined = bottom > 1e-12
    return np.where(defined, top / np.where(defined, bottom, 1.0), np.nan)

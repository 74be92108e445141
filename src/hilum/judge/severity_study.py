"""The study behind severity: which features carry it, and the models of a bundle.

Every estimate is of a film of a patient that its fit did not see. ``hilum.judge.severity_tables``
judges them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.errors import CohortError
from hilum.image.severity import CLASSIFIER, EXTENTS, GREY, LOGITS, LUNGS, SHAPE
from hilum.judge.metrics import Floats
from hilum.judge.ridge import Blocks, LinearMap
from hilum.judge.severity import (
    FEWEST,
    Bools,
    CrossFit,
    Question,
    SeveritySettings,
    crossfit,
    estimate_without,
    fit,
    half_widths_of,
)

ZONES = tuple("abcdef")
"""Brixia zones: A, B, C down the right lung, D, E, F down the left."""

READERS = ("senior", "junior")

SETS: dict[str, tuple[str, ...]] = {
    "handcrafted": (SHAPE, GREY),
    "classifier": (CLASSIFIER, LOGITS),
    "lung network": (LUNGS,),
    "opacity extents": (EXTENTS,),
    "extents and logits": (EXTENTS, LOGITS),
    "all but extents": (CLASSIFIER, LOGITS, LUNGS, SHAPE, GREY),
    "all": (CLASSIFIER, LOGITS, LUNGS, SHAPE, GREY, EXTENTS),
}
"""Sets of feature groups that are compared."""

SHIPPED = ("extents and logits", "all but extents")
"""Sets for a bundle, in order of preference: the first needs an opacity network."""

NO_NORMALS = "no normals"
NOT_BORROWED = "nothing borrowed"

NEVER_TRAINED = {
    "classifier": "classifier never trained on",
    "opacities": "opacity network never trained on",
}
"""Network -> the column that marks films that it did not learn from."""

Step = tuple[str, str, SeveritySettings]
Found = dict[tuple[str, str], CrossFit]


@dataclass(frozen=True, eq=False)
class Films:
    """The films of a study, in one order.

    Attributes:
        table: case_id, group, cohort, view; normal (bool): without a finding; opaque (1, 0 or NaN):
            radiologists saw an opacity; box_area: of the boxes that they drew, in pixels; and the
            columns of ``NEVER_TRAINED`` (bool) as far as known.
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

    def numbers(self, name: str) -> Floats:
        """One of the columns of numbers."""
        return np.asarray(self.table[name].to_numpy(dtype=np.float64))

    def take(self, name: str) -> Blocks:
        """The groups of one of ``SETS``."""
        return {group: self.blocks[group] for group in SETS[name]}


@dataclass(frozen=True, eq=False)
class Fitted:
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
class Study:
    """What came out.

    Attributes:
        films: that it is about.
        best: the set of features of the first model in ``SHIPPED`` that could be had.
        questions: name -> what was asked.
        found: (question, set or variant) -> cross-fitted estimates.
        left_out: (question, set) -> (N, T) of unscored films, by a fit that saw none of their
            collection; NaN for scored films.
        fits: (question, set) -> the models for a bundle, the preferred set first.
    """

    films: Films
    best: str
    questions: dict[str, Question]
    found: Found
    left_out: dict[tuple[str, str], Floats]
    fits: dict[tuple[str, str], Fitted]

    @property
    def estimates(self) -> pd.DataFrame:
        """Cross-fitted estimates of every film from the best set, one column a score."""
        columns = {
            name: self.found[key, self.best].estimates[:, place]
            for key, question in self.questions.items()
            for place, name in enumerate(question.names)
        }
        if "brixia-a" in columns:
            zones = [columns[f"brixia-{zone}"] for zone in ZONES]
            columns["brixia, sum of zones"] = np.sum(zones, axis=0)
        return pd.DataFrame(columns)


def scores_of(cases: pd.DataFrame) -> pd.DataFrame:
    """Return every score as a column, and the mean of both readers' Brixia scores."""
    values = [json.loads(text) if text else {} for text in cases["scores"]]
    parts = [*ZONES, "global"]
    names = ["geographic-extent", "opacity"]
    names += [f"brixia-{reader}-{part}" for reader in READERS for part in parts]
    scores = pd.DataFrame(values, index=cases.index).reindex(columns=names).astype("float64")
    for part in parts:
        of_readers = [scores[f"brixia-{reader}-{part}"] for reader in READERS]
        name = "brixia" if part == "global" else f"brixia-{part}"
        scores[name] = sum(of_readers) / len(READERS)
    return scores


def questions_of(films: Films) -> dict[str, Question]:
    """Return what is fitted together: the two scores of Cohen et al., and Brixia with its zones.

    Raises:
        CohortError: neither has the scores of enough patients.
    """
    names = {
        "cohen": (("geographic-extent", "opacity"), (8.0, 6.0)),
        "brixia": ((*(f"brixia-{zone}" for zone in ZONES), "brixia"), (*[3.0] * 6, 18.0)),
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
    films: Films,
    settings: SeveritySettings,
    watch: Callable[[Sequence[Step]], Iterable[Step]] = iter,
) -> Study:
    """Cross-fit every set of features, and fit the models of the bundle on all films.

    Args:
        films: with or without the group "extents".
        settings: of fits and intervals.
        watch: wraps the steps, for a progress bar.

    Raises:
        CohortError: too few patients with a score.
    """
    questions = questions_of(films)
    sets = [name for name, groups in SETS.items() if set(groups) <= set(films.blocks)]
    shipped = [name for name in SHIPPED if name in sets]
    found: Found = {}
    for key, name, how in watch(_steps(questions, sets, shipped[0], settings)):
        found[key, name] = crossfit(questions[key], films.take(name.partition(",")[0]), how)
    fits = {
        (key, name): Fitted(
            question,
            fit(question, films.take(name), settings),
            half_widths_of(question, found[key, name], settings),
        )
        for name in shipped
        for key, question in questions.items()
    }
    left_out = {
        (key, name): _left_out(films, question, name, settings)
        for name in _LEFT_OUT
        if name in sets
        for key, question in questions.items()
    }
    return Study(films, shipped[0], questions, found, left_out, fits)


_LEFT_OUT = (*SHIPPED, "all")


def _steps(
    questions: Iterable[str], sets: list[str], best: str, settings: SeveritySettings
) -> list[Step]:
    bare = settings.model_copy(update={"normals": 0.0})
    alone = settings.model_copy(update={"borrowed": 0.0})
    steps = [(key, name, settings) for key in questions for name in sets]
    steps += [(key, f"{best}, {NO_NORMALS}", bare) for key in questions]
    steps += [(key, f"{best}, {NOT_BORROWED}", alone) for key in questions if key == "cohen"]
    return steps


def _left_out(films: Films, question: Question, name: str, settings: SeveritySettings) -> Floats:
    """Estimate each collection's unscored films by a fit that saw none of that collection."""
    cohorts = films.table["cohort"].to_numpy(dtype=str)
    asked = ~question.scored & (films.flag("normal") | ~np.isnan(films.numbers("opaque")))
    answers = np.full(question.targets.shape, np.nan)
    for cohort in sorted(set(cohorts[asked])):
        rest = np.flatnonzero((cohorts == cohort) & asked)
        if not (question.scored & (cohorts == cohort)).any():
            answers[rest] = estimate_without(question, films.take(name), rest, settings)
    return answers

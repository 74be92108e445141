"""The study behind severity: which features carry it, how far readers agree, what is said of
normal films and of films of another hospital.

Every estimate is of a film of a patient that its fit did not see; every figure has a 95 % interval
by bootstrap over patients.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hilum.core.estimate import Estimate
from hilum.judge.agreement import agreement
from hilum.judge.bootstrap import Support, bootstrap, bootstrap_all
from hilum.judge.metrics import Floats, auroc
from hilum.judge.severity import (
    Blocks,
    Bools,
    CrossFit,
    LinearMap,
    Question,
    SeveritySettings,
    conformal_half_width,
    constant,
    crossfit,
    estimate_without,
    fit,
)

ZONES = tuple("abcdef")
"""Brixia zones: A, B, C down the right lung, D, E, F down the left."""

READERS = ("senior", "junior")

SETS: dict[str, tuple[str, ...]] = {
    "handcrafted": ("shape", "grey"),
    "classifier": ("classifier", "logits"),
    "lung network": ("lungs",),
    "opacity extents": ("extents",),
    "all but extents": ("classifier", "logits", "lungs", "shape", "grey"),
    "all": ("classifier", "logits", "lungs", "shape", "grey", "extents"),
}
"""Sets of feature groups that are compared; the last that can be had is fitted for the bundle."""

CONSTANT = "constant (median)"
NO_NORMALS = "no normals"
NOT_BORROWED = "nothing borrowed"

Row = dict[str, Any]
Steps = Sequence[tuple[str, str, SeveritySettings]]
Watch = Callable[[Steps], Iterable[tuple[str, str, SeveritySettings]]]


@dataclass(frozen=True, eq=False)
class Films:
    """The films of a study, in one order.

    Attributes:
        table: case_id, group, cohort, view, and the columns that ``films_of`` adds.
        scores: one column a score of a reader or of the mean of readers; NaN where unknown.
        blocks: group -> float64 (N, F).
    """

    table: pd.DataFrame
    scores: pd.DataFrame
    blocks: Blocks

    @property
    def owners(self) -> np.ndarray[Any, Any]:
        """(N,) patients, with those linked by a duplicate film."""
        return self.table["group"].to_numpy(dtype=str)

    def flag(self, name: str) -> Bools:
        """One of the boolean columns."""
        return np.asarray(self.table[name].to_numpy(dtype=bool))


@dataclass(frozen=True, eq=False)
class Fitted:
    """One model of the bundle: a question answered from a set of features.

    Attributes:
        question: whose ``names`` are the columns of ``model``.
        model: fitted on all films.
        half_widths: (T,) of the intervals, from the cross-fitted residual of every scored film.
    """

    question: Question
    model: LinearMap
    half_widths: Floats


@dataclass(frozen=True, eq=False)
class Study:
    """What came out.

    Attributes:
        tables: name -> rows; docs/explanation/severity.md says what they hold.
        fits: (question, set) -> the models for a bundle, the richer set first.
        estimates: of every film by the richest set, cross-fitted; one column a score.
    """

    tables: dict[str, pd.DataFrame]
    fits: dict[tuple[str, str], Fitted]
    estimates: pd.DataFrame


def scores_of(cases: pd.DataFrame) -> pd.DataFrame:
    """Return every score as a column, and the mean of both readers' Brixia scores."""
    values = [json.loads(text) if text else {} for text in cases["scores"]]
    names = ["geographic-extent", "opacity"]
    parts = [*ZONES, "global"]
    names += [f"brixia-{reader}-{part}" for reader in READERS for part in parts]
    scores = pd.DataFrame(values, index=cases.index).reindex(columns=names).astype("float64")
    for part in parts:
        of_readers = [scores[f"brixia-{reader}-{part}"] for reader in READERS]
        name = "brixia" if part == "global" else f"brixia-{part}"
        scores[name] = sum(of_readers) / len(READERS)
    return scores


def questions_of(films: Films) -> dict[str, Question]:
    """Return what is fitted together: the two scores of Cohen et al., and Brixia with its zones."""
    names = {
        "cohen": (("geographic-extent", "opacity"), (8.0, 6.0)),
        "brixia": ((*(f"brixia-{zone}" for zone in ZONES), "brixia"), (*[3.0] * 6, 18.0)),
    }
    nothing = np.full(len(films.table), np.nan)
    return {
        key: Question(
            names=scores,
            maxima=np.array(maxima),
            targets=films.scores[list(scores)].to_numpy(np.float64),
            helper=films.scores["brixia"].to_numpy(np.float64) if key == "cohen" else nothing,
            normal=films.flag("normal"),
            owners=films.owners,
        )
        for key, (scores, maxima) in names.items()
    }


def study(films: Films, settings: SeveritySettings, watch: Watch = iter) -> Study:
    """Cross-fit every set of features, judge it, and fit the models of the bundle on all films.

    Args:
        films: with or without the group "extents".
        settings: of fits and intervals.
        watch: wraps the steps, for a progress bar.

    Raises:
        CohortError: too few patients with a score.
    """
    questions = questions_of(films)
    sets = {name: groups for name, groups in SETS.items() if set(groups) <= set(films.blocks)}
    shipped: list[str] = [name for name in ("all", "all but extents") if name in sets]
    steps = [(key, name, settings) for key in questions for name in sets]
    lone = settings.model_copy(update={"normals": 0.0})
    steps += [(key, f"{shipped[0]}, {NO_NORMALS}", lone) for key in questions]
    alone = settings.model_copy(update={"borrowed": 0.0})
    steps += [("cohen", f"{shipped[0]}, {NOT_BORROWED}", alone)]
    figures, found = [], {}
    for key, name, how in watch(steps):
        blocks = {group: films.blocks[group] for group in SETS[name.partition(",")[0]]}
        found[key, name] = crossfit(questions[key], blocks, how)
    for question in questions.values():
        nothing = CrossFit(constant(question, settings), np.full(question.targets.shape, np.nan))
        figures += _figures(films, question, CONSTANT, nothing, settings)
    for (key, name), each in found.items():
        figures += _figures(films, questions[key], name, each, settings)
    fits: dict[tuple[str, str], Fitted] = {}
    for name in shipped:
        for key, question in questions.items():
            blocks = {group: films.blocks[group] for group in SETS[name]}
            model = fit(question, blocks, settings)
            widths = _half_widths(question, found[key, name], settings)
            fits[key, name] = Fitted(question, model, widths)
    best = {key: found[key, shipped[0]] for key in questions}
    estimates = pd.DataFrame(
        {
            name: best[key].estimates[:, place]
            for key, question in questions.items()
            for place, name in enumerate(question.names)
        }
    )
    estimates["brixia, sum of zones"] = sum(estimates[f"brixia-{zone}"] for zone in ZONES)
    bare = {key: found[key, f"{shipped[0]}, {NO_NORMALS}"] for key in questions}
    away = _left_out(films, questions, shipped[0], settings)
    tables = {
        "figures": pd.DataFrame(figures),
        "readers": pd.DataFrame(_readers(films, estimates, settings)),
        "normals": pd.DataFrame(_normals(films, questions, best, bare, away, settings)),
        "elsewhere": pd.DataFrame(_elsewhere(films, questions, best, away, settings)),
    }
    return Study(tables, fits, estimates)


def _parts(films: Films) -> dict[str, Bools]:
    """Name the films on which the same estimates are judged once more."""
    parts = {"all": np.ones(len(films.table), bool)}
    for name in ("classifier never trained on", "opacity network never trained on"):
        if name in films.table:
            parts[name] = films.flag(name)
    return parts


def _figures(
    films: Films, question: Question, name: str, found: CrossFit, settings: SeveritySettings
) -> list[Row]:
    rows = []
    for place, score in enumerate(question.names):
        truth, said = question.targets[:, place], found.estimates[:, place]
        inside = np.abs(truth - said) <= found.half_widths[:, place] + 1e-9
        for part, chosen in _parts(films).items():
            at = chosen & question.scored
            row: Row = {"score": score, "features": name, "films": part}
            row |= _agreement(said[at], truth[at], films.owners[at], settings)
            if np.isfinite(found.half_widths[at, place]).all():
                covered = _mean_of(inside[at].astype(float), films.owners[at], settings, share=True)
                row |= _flat("coverage", covered)
                row["half_width"] = round(float(found.half_widths[at, place].mean()), 4)
            rows.append(row)
    return rows


def _readers(films: Films, estimates: pd.DataFrame, settings: SeveritySettings) -> list[Row]:
    """Reader to reader, and the model to each of them, on the same films."""
    rows = []
    for part in ("global", *ZONES):
        senior, junior = (films.scores[f"brixia-{reader}-{part}"] for reader in READERS)
        score = "brixia" if part == "global" else f"brixia-{part}"
        model = estimates[score].to_numpy()
        pairs = {
            "senior to junior reader": (senior, junior),
            "model to senior reader": (model, senior),
            "model to junior reader": (model, junior),
            "model to mean of both": (model, films.scores[score]),
        }
        if part == "global":
            summed = estimates["brixia, sum of zones"]
            pairs["sum of zone models to mean of both"] = (summed, films.scores[score])
        for name, (x, y) in pairs.items():
            for where, chosen in _parts(films).items():
                row: Row = {"score": score, "between": name, "films": where}
                x_, y_ = np.asarray(x)[chosen], np.asarray(y)[chosen]
                rows.append(row | _agreement(x_, y_, films.owners[chosen], settings))
    return rows


def _left_out(
    films: Films, questions: dict[str, Question], name: str, settings: SeveritySettings
) -> dict[str, Floats]:
    """Estimate each collection's unscored films by a fit that saw none of that collection."""
    blocks = {group: films.blocks[group] for group in SETS[name]}
    cohorts = films.table["cohort"].to_numpy(dtype=str)
    asked = films.flag("normal") | ~np.isnan(films.table["opaque"].to_numpy(np.float64))
    answers = {}
    for key, question in questions.items():
        answers[key] = np.full(question.targets.shape, np.nan)
        for cohort in sorted(set(cohorts[asked])):
            rest = np.flatnonzero((cohorts == cohort) & ~question.scored)
            answers[key][rest] = estimate_without(question, blocks, rest, settings)
    return answers


def _normals(
    films: Films,
    questions: dict[str, Question],
    best: dict[str, CrossFit],
    bare: dict[str, CrossFit],
    away: dict[str, Floats],
    settings: SeveritySettings,
) -> list[Row]:
    """What is said of films without a finding: it should be 0."""
    cohorts, rows = films.table["cohort"].to_numpy(dtype=str), []
    for key, score, place in _shown(questions):
        ways = {
            "as shipped, other patients": best[key].estimates[:, place],
            "as shipped, collection left out": away[key][:, place],
            "no normals in the fit": bare[key].estimates[:, place],
        }
        for cohort in sorted(set(cohorts[films.flag("normal")])):
            chosen = films.flag("normal") & (cohorts == cohort)
            for way, estimates in ways.items():
                said = estimates[chosen]
                row: Row = {"score": score, "cohort": cohort, "fit": way, "n": said.size}
                row |= _flat("mean", _mean_of(said, films.owners[chosen], settings))
                middle, high = np.quantile(said, [0.5, 0.9])
                rows.append(row | {"median": round(middle, 4), "percentile_90": round(high, 4)})
    return rows


def _elsewhere(
    films: Films,
    questions: dict[str, Question],
    best: dict[str, CrossFit],
    away: dict[str, Floats],
    settings: SeveritySettings,
) -> list[Row]:
    """Another hospital, where radiologists said whether a film shows an opacity, and drew boxes."""
    opaque = films.table["opaque"].to_numpy(np.float64)
    area = films.table["box_area"].to_numpy(np.float64)
    views, rows = films.table["view"].to_numpy(dtype=str), []
    for key, score, place in _shown(questions):
        ways = {"other patients": best[key].estimates[:, place]}
        ways["collection left out"] = away[key][:, place]
        for way, said in ways.items():
            for view in ("", "PA", "AP"):
                at = ~np.isnan(opaque) & ((views == view) | (view == ""))
                at &= ~np.isnan(said)
                if at.sum() < 3:
                    continue
                row: Row = {"score": score, "fit": way, "view": view or "all"}
                row |= _measured(said[at], opaque[at], area[at], films.owners[at], settings)
                rows.append(row)
    return rows


def _measured(
    said: Floats, opaque: Floats, area: Floats, owners: Any, settings: SeveritySettings
) -> Row:
    folds, seed = settings.bootstrap, settings.seed
    found = {"auroc": bootstrap(auroc, opaque, said, owners, folds=folds, seed=seed)}
    for name, value in (("mean_opaque", 1.0), ("mean_clear", 0.0)):
        found[name] = _mean_of(said[opaque == value], owners[opaque == value], settings)
    drawn = (opaque == 1) & (area > 0)
    same = agreement(said[drawn], area[drawn], owners[drawn], folds=folds, seed=seed)
    found["spearman_box_area"] = same["spearman"]
    row: Row = {"n": said.size, "opaque": int(opaque.sum()), "boxed": int(drawn.sum())}
    for name, estimate in found.items():
        row |= _flat(name, estimate)
    return row


def _shown(questions: dict[str, Question]) -> list[tuple[str, str, int]]:
    return [
        (key, name, place)
        for key, question in questions.items()
        for place, name in enumerate(question.names)
        if not name.startswith("brixia-")
    ]


def _half_widths(question: Question, found: CrossFit, settings: SeveritySettings) -> Floats:
    at = question.scored
    residuals = np.abs(found.estimates[at] - question.targets[at])
    owners = question.owners[at]
    return np.array([conformal_half_width(each, owners, settings.coverage) for each in residuals.T])


def _agreement(x: Floats, y: Floats, owners: Any, settings: SeveritySettings) -> Row:
    found = agreement(x, y, owners, folds=settings.bootstrap, seed=settings.seed)
    known = ~np.isnan(x) & ~np.isnan(y)
    row: Row = {"n": found["mae"].n, "patients": np.unique(owners[known]).size}
    for name, estimate in found.items():
        row |= _flat(name, estimate)
    return row


def _mean_of(
    values: Floats, owners: Any, settings: SeveritySettings, *, share: bool = False
) -> Estimate:
    support = Support(values.size, np.unique(owners).size, "no films", proportion=share)
    if not values.size:
        return Estimate.undefined(0, support.missing)
    return bootstrap_all(
        lambda weights: {"mean": (weights * values).sum(1) / weights.sum(1)},
        owners,
        {"mean": support},
        folds=settings.bootstrap,
        seed=settings.seed,
    )["mean"]


def _flat(name: str, estimate: Estimate) -> Row:
    return {
        name: round(estimate.value, 4),
        f"{name}_low": round(estimate.low, 4),
        f"{name}_high": round(estimate.high, 4),
    }

"""Fit the gate: head, distance, and limits from scores of films that neither was fitted on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle.gate import Distance, Gate, GateHead, GateSpec, KindLimit, Limit, Rule
from hilum.core.refusal import Reason
from hilum.image.signs import SIGNS
from hilum.learn.gate.material import FOUND, FRONTAL, KINDS
from hilum.learn.gate.measure import Measured
from hilum.learn.gate.recipe import GateFit

Chosen = NDArray[np.bool_]
Scores = NDArray[np.float64]

CORRECTED = ("inverted", "rotated-left", "rotated-right", "upside-down")
_DIGITS = 5
_SMALLEST_SCALE = 1e-3
_ENOUGH = 20
"""Films that make a collection worth a number of its own."""
_HARDEST = 0.03
_LEAST, _MARGIN = 1.25, 2.0
_WIDER = 1.25
"""The limit of the distance lies this much beyond that of the strangest collection left out."""


def classes(measured: Measured) -> NDArray[np.str_]:
    """Return the class of each picture; "" for those that are set aside."""
    return np.array([KINDS[kind].like for kind in measured.pictures["kind"]])


def is_good(measured: Measured) -> Chosen:
    """Say which pictures are films to be read, as they came."""
    return (measured.pictures["kind"] == FRONTAL).to_numpy()


def fit_head(train: Measured, fit: GateFit) -> GateHead:
    """Fit the multinomial logistic regression (scikit-learn's, L-BFGS).

    Every class weighs alike, and within "frontal" every collection, so that the largest one does
    not say what a film looks like.
    """
    from sklearn.linear_model import LogisticRegression

    named = classes(train)
    train, named = train.where(named != ""), named[named != ""]
    features = np.concatenate([train.embedding, train.signs], axis=1, dtype=np.float64)
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), _SMALLEST_SCALE)
    order = [FRONTAL, *sorted(set(named) - {FRONTAL})]
    model = LogisticRegression(C=fit.strength, max_iter=150, tol=1e-3)
    target = np.array([order.index(name) for name in named])
    model.fit((features - mean) / scale, target, sample_weight=_weights(train, named))
    rows, bias = model.coef_, model.intercept_
    if len(order) == 2:  # scikit-learn then gives the second class alone
        rows, bias = np.vstack([0 * rows, rows]), np.append(0, bias)
    return GateHead(
        kinds=tuple(order),
        mean=_rounded(mean),
        scale=_rounded(scale),
        coefficients=tuple(_rounded(row) for row in rows),
        bias=_rounded(bias),
    )


def fit_distance(good: Measured, fit: GateFit) -> Distance:
    """Fit the principal axes of the embeddings of films to be read; no limit yet."""
    weights = _weights(good, np.full(len(good.pictures), FRONTAL))
    weights /= weights.sum()
    mean = weights @ good.embedding
    centered = (good.embedding - mean) * np.sqrt(weights)[:, None]
    _, lengths, axes = np.linalg.svd(centered.astype(np.float64), full_matrices=False)
    axes = axes[: fit.axes] / lengths[: fit.axes, None]
    return Distance(
        mean=_rounded(mean),
        axes=tuple(_rounded(row) for row in axes),
        refuse=Limit(value=math.inf, chosen="not yet"),
    )


def fit_gate(train: Measured, fit: GateFit, lungs: str) -> Gate:
    """Fit head and distance; every limit is still infinite."""
    head = fit_head(train, fit)
    return Gate(
        GateSpec(
            lungs=lungs,
            signs=SIGNS,
            head=head,
            kinds=(),
            distance=fit_distance(train.where(is_good(train)), fit),
        )
    )


class Scored:
    """What a gate said of pictures; each row by a gate that never saw its group.

    Attributes:
        kinds: the classes of the head.
        log_odds: float64 (n, K); NaN where the gate was not asked.
        distance: float64 (n,).
        gates: fold or collection -> the gate that was fitted without it.
    """

    def __init__(self, rows: int, kinds: Sequence[str]) -> None:
        self.kinds = tuple(kinds)
        self.gates: dict[float | str, Gate] = {}
        self.log_odds = np.full((rows, len(kinds)), np.nan)
        self.distance = np.full(rows, np.nan)

    def add(self, left_out: float | str, gate: Gate, measured: Measured, chosen: Chosen) -> None:
        """Score the chosen pictures; a class that this gate lacks stays NaN."""
        self.gates[left_out] = gate
        some = measured.where(chosen)
        found = gate.log_odds(some.embedding, some.signs)
        for place, kind in enumerate(gate.spec.head.kinds):
            self.log_odds[chosen, self.kinds.index(kind)] = found[:, place]
        self.distance[chosen] = gate.distance(some.embedding)


class Views(NamedTuple):
    """Scores of pictures held out, in two ways.

    Attributes:
        folds: by gates that saw neither the patient nor a copy of the film.
        cohorts: by gates that saw nothing of the collection.
    """

    folds: Scored
    cohorts: Scored


def score_held_out(measured: Measured, folds: NDArray[np.float64], fit: GateFit) -> Views:
    """Score every picture by a gate fitted without its fold, and by one without its collection."""
    return Views(score_folds(measured, folds, fit), score_cohorts(measured, fit))


def score_folds(measured: Measured, folds: NDArray[np.float64], fit: GateFit) -> Scored:
    """Score every picture by a gate fitted on the other folds."""
    scored = Scored(len(folds), _order(measured))
    for fold in np.unique(folds):
        gate = fit_gate(measured.where(folds != fold), fit, "")
        scored.add(float(fold), gate, measured, folds == fold)
    return scored


def score_cohorts(measured: Measured, fit: GateFit) -> Scored:
    """Score every picture by a gate fitted without the collection that it comes from.

    All are NaN where only one collection has enough films to be read.
    """
    cohort = measured.pictures["cohort"].to_numpy()
    scored = Scored(len(cohort), _order(measured))
    found = measured.pictures["kind"].isin([kind for kind in FOUND if FOUND[kind].like]).to_numpy()
    for name in _large(measured, found) if len(cohorts_of(measured)) > 1 else ():
        inside = cohort == name
        groups = set(measured.pictures["group"][inside])
        touched = measured.pictures["group"].isin(groups).to_numpy()
        scored.add(name, fit_gate(measured.where(~touched), fit, ""), measured, inside)
    return scored


def cohorts_of(measured: Measured) -> list[str]:
    """Name the collections with enough films to be read."""
    return _large(measured, is_good(measured))


def _large(measured: Measured, chosen: Chosen) -> list[str]:
    counts = measured.pictures["cohort"][chosen].value_counts()
    return sorted(str(name) for name in counts.index[counts >= _ENOUGH])


def choose_kinds(
    views: Views, measured: Measured, chosen: Chosen, fit: GateFit
) -> tuple[KindLimit, ...]:
    """Choose the limits of the head.

    Args:
        views: scores of pictures held out.
        measured: the pictures.
        chosen: those that limits may be chosen on.
        fit: the shares that may lie beyond.
    """
    named = classes(measured)
    limits = []
    for place, kind in enumerate(views.folds.kinds):
        reason = next(one.reason for one in KINDS.values() if one.like == kind)
        if reason is None:
            continue
        refuse = _refuse(views, place, measured, chosen, fit)
        correct = None
        if kind in CORRECTED:
            others = chosen & (named != kind) & (named != "")
            # not by collection: without the one that holds them all, CT slices are anything
            wrong = _mistaken(views.folds, place, others)
            correct = Limit(
                value=_up(max(wrong, refuse.value)),
                chosen="no picture of another kind that was taken for this one lies beyond",
            )
        limits.append(KindLimit(kind=kind, reason=reason, refuse=refuse, correct=correct))
    return tuple(limits)


def _refuse(views: Views, place: int, measured: Measured, chosen: Chosen, fit: GateFit) -> Limit:
    """Choose one limit: beyond good films, and on towards the kind itself where there is room."""
    good = is_good(measured) & chosen
    worst = max(
        _LEAST,
        _worst(views.folds.log_odds[:, place], measured, good, fit.refused),
        _worst(views.cohorts.log_odds[:, place], measured, good, fit.refused_left_out),
    )
    words = (
        f"{1 - fit.refused:.1%} of the good films of each collection lie below, "
        f"{1 - fit.refused_left_out:.1%} when it is left out; {_LEAST} at least"
    )
    own = chosen & (classes(measured) == views.folds.kinds[place])
    hardest = float(np.quantile(views.folds.log_odds[own, place], _HARDEST)) if own.any() else 0.0
    # No room between good films and this kind: the limit stays where good films end.
    if hardest <= worst:
        return Limit(value=_up(worst), chosen=words)
    return Limit(
        value=_up(worst + min((hardest - worst) / 2, _MARGIN)),
        chosen=f"from good films ({worst:.2f}: {words}) half way to the {_HARDEST:.0%} of its own "
        f"kind that are hardest to tell ({hardest:.2f}), {_MARGIN} at most",
    )


def choose_distance(views: Views, measured: Measured, chosen: Chosen, fit: GateFit) -> Limit:
    """Choose the limit of the distance: beyond the strangest collection left out, and wider."""
    good = is_good(measured) & chosen
    value = max(_worst(view.distance, measured, good, fit.unlike) for view in views)
    return Limit(
        value=_up(_WIDER * value),
        chosen=f"{_WIDER} times what {1 - fit.unlike:.1%} of the good films of each collection "
        "stay below when it is left out",
    )


def choose_rules(measured: Measured, chosen: Chosen) -> tuple[Rule, ...]:
    """Choose the limits of single signs, far beyond every good film."""
    signs = measured.signs[is_good(measured) & chosen]
    lowest, highest = signs.min(axis=0), signs.max(axis=0)

    def low(sign: str, factor: float) -> Limit:
        value = float(lowest[SIGNS.index(sign)]) * factor
        return Limit(value=_up(value), chosen=f"{factor} times the lowest of the good films")

    aspect = SIGNS.index("log_aspect")
    beyond = "factor 1.3 beyond the {} of the good films"
    return (
        Rule(sign="grey_range", reason=Reason.BLANK, low=low("grey_range", 0.5)),
        Rule(
            sign="log_aspect",
            reason=Reason.NOT_A_CHEST_FILM,
            low=Limit(
                value=_up(float(lowest[aspect]) - math.log(1.3)), chosen=beyond.format("narrowest")
            ),
            high=Limit(
                value=_up(float(highest[aspect]) + math.log(1.3)), chosen=beyond.format("widest")
            ),
        ),
        Rule(sign="area", reason=Reason.LUNGS_NOT_IN_FIELD, low=low("area", 0.5)),
    )


def with_limits(
    gate: Gate,
    views: Views,
    measured: Measured,
    chosen: Chosen,
    fit: GateFit,
) -> Gate:
    """Return the gate with limits chosen on some pictures."""
    spec = gate.spec
    far = choose_distance(views, measured, chosen, fit)
    return Gate(
        spec.model_copy(
            update={
                "kinds": choose_kinds(views, measured, chosen, fit),
                "distance": spec.distance.model_copy(update={"refuse": far}),
                "rules": choose_rules(measured, chosen),
            }
        )
    )


def _mistaken(view: Scored, place: int, others: Chosen) -> float:
    """Return the highest log-odds of a class among pictures that are not of it but seem so."""
    scores = np.where(np.isfinite(view.log_odds), view.log_odds, -np.inf)
    taken = others & (scores.argmax(axis=1) == place)
    return float(scores[taken, place].max(initial=-math.inf))


def _order(measured: Measured) -> list[str]:
    return [FRONTAL, *sorted(set(classes(measured)) - {FRONTAL, ""})]


def _worst(scores: Scores, measured: Measured, good: Chosen, share: float) -> float:
    """Return the highest, over collections, of the score that ``share`` of the films exceed."""
    worst = -math.inf
    for name in cohorts_of(measured):
        some = scores[good & (measured.pictures["cohort"] == name).to_numpy()]
        some = some[np.isfinite(some)]
        if len(some):
            worst = max(worst, float(np.quantile(some, 1 - share, method="higher")))
    return worst


def _weights(train: Measured, named: NDArray[np.str_]) -> NDArray[np.float64]:
    """Weigh every class alike, and every collection within "frontal"; the mean is 1."""
    cell = pd.Series(named) + "|" + train.pictures["cohort"].where(named == FRONTAL, "")
    sizes = cell.map(cell.value_counts())
    cells_of_class = cell.groupby(named).transform("nunique")
    weights = (1 / (sizes * cells_of_class)).to_numpy(np.float64)
    return np.asarray(weights / weights.mean())


def _rounded(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)


def _up(value: float) -> float:
    return round(value, 4)

"""Detection: how well boxes lie on boxes, with intervals over patients.

Pure functions on rectangles (x, y, width, height) in any one unit per film.

Matching and average precision are those of COCO (Lin et al., ECCV 2014; pycocotools): from the
highest score down, a box takes the reader's box that it overlaps most among those not yet taken,
if the overlap reaches the threshold; precision is made monotone and read at 101 recalls, 0 to 1.
Recall at so many false boxes a film is a point of the FROC curve (Bunch et al., 1977; Chakraborty,
1989): all films count, those without any box of a reader too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.core.estimate import Estimate
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import Floats, Weights

OVERLAP = 0.5
"""Intersection over union from which on a box counts as found."""

FALSE_BOXES = 0.25
"""False boxes a film at which recall is told."""

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class FilmBoxes:
    """The boxes of one film.

    Attributes:
        truth: float64 (n, 4), x, y, width, height, as readers drew them; none on a negative film.
        found: float64 (m, 4), as a detector found them.
        scores: float64 (m,), larger for what it is surer of.
    """

    truth: Floats
    found: Floats
    scores: Floats

    @classmethod
    def of(cls, truth: ArrayLike, found: ArrayLike, scores: ArrayLike) -> FilmBoxes:
        """Return boxes from nested lists, empty ones included."""
        return cls(
            np.asarray(truth, np.float64).reshape(-1, 4),
            np.asarray(found, np.float64).reshape(-1, 4),
            np.asarray(scores, np.float64).reshape(-1),
        )


@dataclass(frozen=True, eq=False)
class Matches:
    """Every box that was found on some films, best score first.

    Attributes:
        scores: float64 (M,), falling.
        hits: bool (M,), whether it matched a reader's box.
        film: int (M,), on which film.
        truths: float64 (N,), how many boxes readers drew on each film.
    """

    scores: Floats
    hits: NDArray[np.bool_]
    film: NDArray[np.intp]
    truths: Floats


def iou(one: Floats, other: Floats) -> Floats:
    """Return intersection over union of boxes (n, 4) and (m, 4): float64 (n, m) in [0, 1].

    >>> iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 2, 2], [5, 5, 1, 1]])).round(3).tolist()
    [[0.333, 0.0]]
    """
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum((one[:, :2] + one[:, 2:])[:, None], (other[:, :2] + other[:, 2:])[None])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    both = one[:, 2:].prod(axis=1)[:, None] + other[:, 2:].prod(axis=1)[None] - shared
    return np.asarray(np.divide(shared, both, out=np.zeros(both.shape), where=both > 0))


def hits(film: FilmBoxes, overlap: float = OVERLAP) -> NDArray[np.bool_]:
    """Say of each found box of a film whether it matched a reader's box: bool (m,).

    >>> twice = FilmBoxes.of([[0, 0, 2, 2]], [[0, 0, 2, 2], [0, 0, 2, 2]], [0.4, 0.9])
    >>> hits(twice).tolist()
    [False, True]
    """
    overlaps = iou(film.found, film.truth)
    matched = np.zeros(len(film.found), bool)
    for place in np.argsort(-film.scores, kind="stable"):
        if overlaps.shape[1] and overlaps[place].max() >= overlap:
            overlaps[:, overlaps[place].argmax()] = -1  # taken
            matched[place] = True
    return matched


def match(films: Sequence[FilmBoxes], overlap: float = OVERLAP) -> Matches:
    """Match the boxes of each film."""
    scores = np.concatenate([film.scores for film in films] or [np.empty(0)])
    matched = np.concatenate([hits(film, overlap) for film in films] or [np.empty(0, bool)])
    owner = np.repeat(np.arange(len(films)), [len(film.scores) for film in films])
    order = np.argsort(-scores, kind="stable")
    truths = np.array([len(film.truth) for film in films], np.float64)
    return Matches(scores[order], matched[order], owner[order], truths)


def average_precision(matches: Matches, weights: Weights | None = None) -> Floats:
    """Return COCO's average precision at the overlap of ``matches``.

    With one category it is the mAP.

    Args:
        matches: of N films.
        weights: (B, N) how often each film counts; None for once each.

    Returns:
        float64 (B,), in [0, 1]; NaN where no film has a reader's box.
    """
    return np.array([_precision(*_curve(matches, row)) for row in _rows(matches, weights)])


def recall_at(
    matches: Matches, weights: Weights | None = None, *, false_boxes: float = FALSE_BOXES
) -> Floats:
    """Return the share of readers' boxes that are found at so many false boxes a film.

    The threshold is the lowest score at which the boxes that match nothing are not more than
    ``false_boxes`` times the films; equal scores stand or fall together.

    Args:
        matches: of N films.
        weights: (B, N) how often each film counts; None for once each.
        false_boxes: a film.

    Returns:
        float64 (B,), in [0, 1]; NaN where no film has a reader's box.
    """
    found = []
    for row in _rows(matches, weights):
        right, wrong, total = _curve(matches, row)
        if total == 0:
            found.append(np.nan)
            continue
        allowed = _last_of_score(matches.scores) & (wrong <= false_boxes * row.sum() + 1e-9)
        found.append(right[allowed].max(initial=0.0) / total)
    return np.array(found)


def estimate_detection(
    films: Sequence[FilmBoxes],
    groups: ArrayLike,
    *,
    overlap: float = OVERLAP,
    false_boxes: float = FALSE_BOXES,
    folds: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return average precision and recall with 95 % intervals by bootstrap over patients.

    Args:
        films: all of them, negatives too.
        groups: (N,) patient of each film.
        overlap, false_boxes: as above.
        folds, seed: of the bootstrap.

    Returns:
        "map" and "recall"; n is the number of films.
    """
    matches, owners = match(films, overlap), np.asarray(groups)
    missing = "no film has a reader's box"
    support = Support(len(films), np.unique(owners).size, missing)
    return bootstrap_all(
        lambda weights: {
            "map": average_precision(matches, weights),
            "recall": recall_at(matches, weights, false_boxes=false_boxes),
        },
        owners,
        {"map": support, "recall": support},
        folds=folds,
        seed=seed,
    )


def _rows(matches: Matches, weights: Weights | None) -> Weights:
    return np.ones((1, len(matches.truths))) if weights is None else weights


def _curve(matches: Matches, weights: Floats) -> tuple[Floats, Floats, float]:
    """Return right and wrong boxes so far, best first; as recall's total, readers' boxes."""
    each = weights[matches.film]
    right = np.cumsum(each * matches.hits)
    wrong = np.cumsum(each * ~matches.hits)
    return right, wrong, float(weights @ matches.truths)


def _precision(right: Floats, wrong: Floats, total: float) -> float:
    if total == 0:
        return float("nan")
    if not right.size:
        return 0.0
    precision = right / np.maximum(right + wrong, np.finfo(np.float64).eps)
    monotone = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(right / total, _RECALLS, side="left")
    return float(np.append(monotone, 0.0)[np.minimum(place, right.size)].mean())


def _last_of_score(scores: Floats) -> NDArray[np.bool_]:
    """Mark the last of each run of equal scores: thresholds can only lie there."""
    return np.append(scores[1:] != scores[:-1], True)[: scores.size]
